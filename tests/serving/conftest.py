"""A worker in a process of its own, on a socket that the test has opened, as circusd does it."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

APPLICATION = """
import contextvars
import gc
import json
import os
import sys
import time

import gevent


def app(environ, start_response):
    path, query = environ["PATH_INFO"], environ["QUERY_STRING"]
    headers = [("Cache-Control", "no-store"), ("Content-Type", "text/plain")]
    parts = [b"hello ", b"world"]
    if path == "/slow":
        with open("arrived", "a") as arrived:
            arrived.write("x")
        gevent.sleep(float(query))
    elif path == "/block":
        open("arrived", "w").close()
        end = time.monotonic() + float(query)
        while time.monotonic() < end:
            pass
    elif path == "/environ":
        shown = {k: v for k, v in environ.items() if isinstance(v, str | bool | tuple)}
        parts = [json.dumps(shown).encode()]
    elif path == "/echo":
        parts = [environ["wsgi.input"].read()]
    elif path == "/stream":
        parts = iter([b"one", b"", b"two"])
    elif path == "/empty":
        start_response("204 No Content", [])
        return []
    elif path == "/write":
        start_response("200 OK", headers)(b"written ")
        return parts
    elif path == "/raise":
        raise RAISED[query]("password=s3cret")
    elif path == "/spawn":
        gevent.spawn(fail, RAISED[query]).join()
    elif path == "/late":
        parts = late()
    elif path == "/length":  # too few or too many bytes, of a list or a stream
        length, kind = query.split(",")
        headers.append(("Content-Length", length))
        parts = parts if kind == "list" else iter([b"hello", b" world"])
    elif path == "/status":
        start_response(query + " Said", [*headers, ("Content-Length", "11")])
        return parts
    elif path == "/keep":
        KEPT.append(start_response("200 OK", headers))
        return parts
    elif path == "/again":
        try:
            KEPT.pop()(b"HTTP/1.1 200 Forged")
        except RuntimeError as error:
            parts = [str(error).encode()]
    elif path == "/closing":
        parts = Writing(start_response("200 OK", headers))
        return parts
    elif path == "/context":
        parts = [SEEN.get().encode()]
        SEEN.set(query)
        gevent.sleep(0)
        parts.append(SEEN.get().encode())
    elif path == "/timeout":
        gevent.Timeout(float(query)).start()
    elif path == "/greenlet":
        parts = [str(id(gevent.getcurrent())).encode()]
    elif path == "/errors":
        print("said to wsgi.errors", file=environ["wsgi.errors"], flush=True)
    elif path == "/pid":
        parts = [str(os.getpid()).encode()]
    elif path == "/large":
        parts = Closing(int(query))
    elif path == "/whole":
        parts = [b"x" * 1_000_000 * int(query)]
    elif path == "/counts":
        parts = [json.dumps(counts()).encode()]
    elif path == "/hoard":
        hoard(float(query))
    elif path == "/never":
        return parts
    elif path == "/twice":
        start_response("200 OK", headers)
    elif path == "/replaced":
        start_response("200 OK", headers)
        try:
            raise ValueError
        except ValueError:
            start_response("503 Replaced", headers, sys.exc_info())
        return parts
    elif path == "/split":
        headers.append(("X-A", "b\\r\\nX-Injected: 1"))
    elif path == "/id":
        headers.append(("X-Request-Id", "mine"))
        start_response("503 Service Unavailable", headers)
        return parts
    start_response("200 OK", headers)
    return parts


RAISED = {
    "exit": SystemExit,
    "interrupt": KeyboardInterrupt,
    "greenlet": gevent.GreenletExit,
    "value": ValueError,
}
KEPT = []
SEEN = contextvars.ContextVar("seen", default="nothing")


def fail(kind):
    raise kind("password=s3cret")


class Writing:
    def __init__(self, write):
        self.write = write

    def __iter__(self):
        yield b"hello world"

    def close(self):
        self.write(b"too late")


class Closing:
    closed = 0

    def __init__(self, megabytes):
        self.parts = iter([b"x" * 1_000_000] * megabytes)

    def __iter__(self):
        return self.parts

    def close(self):
        Closing.closed += 1


def hoard(seconds):
    held = []
    try:
        while True:
            held.append(open(os.devnull))
    except OSError:
        held.pop().close()
        open("arrived", "w").close()
        held.append(open(os.devnull))
        gevent.sleep(seconds)
    for each in held:
        each.close()


def counts():
    gc.collect()
    return {
        "greenlets": sum(isinstance(each, gevent.Greenlet) for each in gc.get_objects()),
        "handles": len(os.listdir("/proc/self/fd")),
        "closed": Closing.closed,
    }


def late():
    yield b"first"
    raise ValueError("too late")
"""

PROGRAM = """
from gevent import monkey

monkey.patch_all()

import sys

from application import app
from hospital import logs
from hospital.serving.backend import Server
from hospital.serving.limits import Limits

logs.configure()
listener = ("fd://" + sys.argv[1], None)
Server(listener, app, limits=Limits(LIMITS)).serve_forever()
"""

DEADLINE_S = 15.0


class Worker:
    """One worker process and how to talk to it."""

    def __init__(self, process: subprocess.Popen[str], address: Any, folder: Path) -> None:
        self.process = process
        self.address = address
        self.folder = folder

    def is_cut_while_dripping(self, begin: bytes, drop: bytes, timeout_s: float) -> bool:
        """Tell whether a client that sends *begin*, and *drop* now and then, is sent away."""
        end = time.monotonic() + timeout_s
        with closing(self.connect()) as connection:
            connection.sendall(begin)
            connection.settimeout(0.1)
            while time.monotonic() < end:
                try:
                    connection.sendall(drop)
                    if connection.recv(1) == b"":
                        return True
                except TimeoutError:
                    continue
                except OSError:
                    return True
        return False

    def connect(self) -> socket.socket:
        family = socket.AF_UNIX if isinstance(self.address, str) else socket.AF_INET
        connection = socket.socket(family)
        connection.settimeout(DEADLINE_S)
        try:
            connection.connect(self.address)
        except OSError:
            connection.close()
            raise
        return connection

    def exchange(self, request: bytes) -> bytes:
        """Send bytes on a connection of their own and return all that comes back."""
        with closing(self.connect()) as connection:
            with suppress(BrokenPipeError, ConnectionResetError):  # refused before it was all sent
                connection.sendall(request)
            return self.read_to_end(connection)

    def get(self, path: str, method: str = "GET") -> bytes:
        line = f"{method} {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"
        return self.exchange(line.encode())

    def terminate(self, number: int = signal.SIGTERM) -> None:
        self.process.send_signal(number)

    def finish(self, timeout_s: float = DEADLINE_S) -> int:
        return self.process.wait(timeout_s)

    def output(self) -> str:
        return (self.folder / "output").read_text()

    def complaints(self) -> str:
        """Return what the worker said, but for the lines of its access log."""
        lines = self.output().splitlines()
        return "\n".join(line for line in lines if '"hospital.access"' not in line)

    def counts(self) -> dict[str, int]:
        """Return how many greenlets and handles it has, this request's own included."""
        counted: dict[str, int] = json.loads(self.get("/counts").partition(b"\r\n\r\n")[2])
        return counted

    def resident_kb(self) -> int:
        """Return the memory that it has."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0])

    def cpu_s(self) -> float:
        """Return the processor time that it has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(") ")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def lines(self) -> list[dict[str, Any]]:
        """Return what the worker logged."""
        return [json.loads(line) for line in self.output().splitlines() if line[:1] == "{"]

    def wait_for_request(self) -> None:
        """Wait until the application has been called with /slow, /block or /hoard."""
        self.wait_for((self.folder / "arrived").exists)

    @staticmethod
    def wait_for(condition: Callable[[], Any], timeout_s: float = DEADLINE_S) -> Any:
        """Return what *condition* returns as soon as that is true."""
        end = time.monotonic() + timeout_s
        while not (value := condition()):
            assert time.monotonic() < end, "it did not come true in time"
            time.sleep(0.01)
        return value

    @staticmethod
    def read_to_end(connection: socket.socket) -> bytes:
        received = b""
        with suppress(ConnectionResetError):
            while chunk := connection.recv(65_536):
                received += chunk
        return received

    @staticmethod
    def read_response(connection: socket.socket) -> bytes:
        """Read one response whose length is announced, and no byte more."""
        received = b""
        while b"\r\n\r\n" not in received:
            chunk = connection.recv(65_536)
            assert chunk, f"the connection ended after {received!r}"
            received += chunk
        head, _, body = received.partition(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        announced = [line.split(b":")[1] for line in lines if line.startswith(b"content-length")]
        while len(body) < int(announced[0]):
            body += connection.recv(65_536)
        return head + b"\r\n\r\n" + body


@pytest.fixture
def environment() -> dict[str, str]:
    """What a worker gets under circusd, and nothing of who runs the tests."""
    return {"PATH": os.environ["PATH"], "PYTHONUNBUFFERED": "1"}


@pytest.fixture
def start_worker(tmp_path: Path, environment: dict[str, str]) -> Iterator[Callable[..., Worker]]:
    """Start workers that share a listening socket; they are killed at the end."""
    workers: list[Worker] = []
    (tmp_path / "application.py").write_text(APPLICATION)
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:

        def start(
            *arguments: str,
            application: str = "application.app",
            inherited: Any = listener,
            limits: str = "",
        ) -> Worker:
            number = str(inherited.fileno())
            command = ["-m", "hospital.serving.worker", "--fd", number, *arguments, application]
            if limits:  # those that no setting changes
                (tmp_path / "program.py").write_text(PROGRAM.replace("LIMITS", limits))
                command = ["program.py", number]
            with (tmp_path / "output").open("a") as output:
                process = subprocess.Popen(
                    [sys.executable, *command],
                    cwd=tmp_path,
                    env=environment,
                    pass_fds=[inherited.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    text=True,
                )
            workers.append(Worker(process, inherited.getsockname(), tmp_path))
            return workers[-1]

        try:
            yield start
        finally:
            for worker in workers:
                worker.process.kill()
                worker.process.wait()


@pytest.fixture
def worker(start_worker: Callable[..., Worker]) -> Worker:
    """One worker that serves already."""
    started: Worker = start_worker()
    assert b"hello world" in started.get("/")
    return started
