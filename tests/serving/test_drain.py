"""How a worker ends: nothing in flight is lost, and it never stays."""

import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Executor

    from tests.serving.conftest import Worker

REQUEST = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"


@pytest.fixture
def threads() -> "Iterator[Executor]":
    """Threads that send requests meanwhile."""
    with ThreadPoolExecutor() as executor:
        yield executor


def listening_inodes() -> set[str]:
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {f"socket:[{row[9]}]" for row in rows if row[3] == "0A"}


def holds_a_listening_socket(pid: int) -> bool:
    held = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # it was closed meanwhile
            held.add(str(link.readlink()))
    return bool(held & listening_inodes())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_request_in_flight_is_answered(
    worker: "Worker", threads: "Executor", number: int
) -> None:
    """SIGTERM and SIGINT let it finish; the answer says that the connection ends; exit 0."""
    answer = threads.submit(worker.get, "/slow?1")
    worker.wait_for_request()

    worker.terminate(number)

    assert b"Connection: close" in answer.result()
    assert b"hello world" in answer.result()
    assert 0 == worker.finish()


def test_many_requests_in_flight_are_answered(worker: "Worker") -> None:
    """However many there are, each gets its own answer, kept connections and others alike."""
    ending = b"Connection: close\r\n\r\n"
    with ExitStack() as clients:
        waiting = [clients.enter_context(closing(worker.connect())) for _ in range(20)]
        for number, each in enumerate(waiting):
            each.sendall(b"GET /slow?0.7 HTTP/1.1\r\nHost: t\r\n" + (ending, b"\r\n")[number % 2])
        worker.wait_for_request()
        worker.get("/")  # it came last, so the others have been read

        worker.terminate()
        answers = [worker.read_to_end(each) for each in waiting]

    assert all(answer.endswith(b"hello world") for answer in answers)
    assert 0 == worker.finish()


def test_a_request_whose_head_is_on_its_way_is_answered(worker: "Worker") -> None:
    """It began before the signal, so it counts as in flight."""
    with closing(worker.connect()) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHo")
        worker.get("/")
        worker.terminate()
        worker.wait_for(lambda: not holds_a_listening_socket(worker.process.pid))
        connection.sendall(b"st: t\r\n\r\n")

        assert worker.read_to_end(connection).endswith(b"hello world")
    assert 0 == worker.finish()


def test_a_worker_gives_way_after_so_many_requests(
    start_worker: "Callable[..., Worker]", environment: dict[str, str]
) -> None:
    """It drains by itself: each request is answered, the last one with the end, and exit code 0."""
    environment["HOSPITAL_MAX_REQUESTS"] = "20"
    worker = start_worker()
    with closing(worker.connect()) as connection:
        connection.sendall(REQUEST * 100)
        received = worker.read_to_end(connection)

    assert 0 == worker.finish()
    assert 21 <= received.count(b"HTTP/1.1 200 OK") <= 23  # the one after the last says goodbye
    assert 1 == received.count(b"Connection: close")
    assert received.endswith(b"hello world")
    assert ["max_requests_reached"] == [
        line["event"] for line in worker.lines() if line["logger"] != "hospital.access"
    ]


def test_workers_that_began_together_do_not_end_together() -> None:
    """Up to a tenth more requests, at random; without a limit there is none."""
    from hospital.serving.backend import _with_jitter

    drawn = {_with_jitter(100) for _ in range(500)}

    assert set(range(100, 111)) == drawn
    assert _with_jitter(0) < 0


def test_what_begins_and_ends_is_told(
    start_worker: "Callable[..., Worker]", tmp_path: Path
) -> None:
    """on_serving once it listens and the loop runs, on_drain when the end begins."""
    told = tmp_path / "told"
    worker = start_worker(
        limits="), on_serving=lambda: open('told', 'a').write('serving '),"
        " on_drain=lambda: open('told', 'a').write('drain'"
    )
    assert b"hello world" in worker.get("/")
    assert "serving " == told.read_text()

    worker.terminate()

    assert 0 == worker.finish()
    assert "serving drain" == told.read_text()


def test_a_kept_connection_ends_with_the_answer_in_flight(worker: "Worker") -> None:
    """The client is told to close, so that it sends no further request into nothing."""
    with closing(worker.connect()) as connection:
        connection.sendall(b"GET /slow?0.5 HTTP/1.1\r\nHost: t\r\n\r\n")
        worker.wait_for_request()
        worker.terminate()
        received = worker.read_to_end(connection)

    assert b"Connection: close" in received
    assert received.endswith(b"hello world")
    assert 0 == worker.finish()


def test_an_idle_connection_is_closed_soon(worker: "Worker") -> None:
    """It holds the drain up for a moment only, not for the graceful timeout."""
    with closing(worker.connect()) as connection:
        connection.sendall(REQUEST)
        worker.read_response(connection)
        began = time.monotonic()
        worker.terminate()

        assert b"" == worker.read_to_end(connection)
    assert 0 == worker.finish()
    assert time.monotonic() - began < 3


def test_a_request_on_its_way_on_an_idle_connection_is_answered(
    worker: "Worker", threads: "Executor"
) -> None:
    """What was sent when the signal came, or just after it, gets its answer."""
    with closing(worker.connect()) as connection:
        connection.sendall(REQUEST)
        worker.read_response(connection)
        slow = threads.submit(worker.get, "/slow?1")
        worker.wait_for_request()

        worker.terminate()
        connection.sendall(REQUEST)
        received = worker.read_to_end(connection)

    assert received.endswith(b"hello world")
    assert b"hello world" in slow.result()
    assert 0 == worker.finish()


def test_the_listening_socket_is_closed_at_once(
    start_worker: "Callable[..., Worker]", threads: "Executor"
) -> None:
    """Both descriptors go, the inherited one and the copy: else nobody could bind again."""
    worker = start_worker()
    assert b"hello world" in worker.get("/")
    assert holds_a_listening_socket(worker.process.pid)
    answer = threads.submit(worker.get, "/slow?2")
    worker.wait_for_request()

    worker.terminate()

    worker.wait_for(lambda: not holds_a_listening_socket(worker.process.pid), timeout_s=1.5)
    assert worker.process.poll() is None
    assert b"hello world" in answer.result()


def test_another_worker_takes_what_comes_later(
    start_worker: "Callable[..., Worker]", threads: "Executor"
) -> None:
    """While one drains, the other one answers, and no request is lost."""
    leaving, staying = start_worker(), start_worker()
    pids = {str(each.process.pid).encode() for each in (leaving, staying)}
    seen: list[bytes] = []

    def both_serve() -> bool:
        seen.append(leaving.get("/pid").split(b"\r\n\r\n")[1])
        return set(seen) == pids

    leaving.wait_for(both_serve)

    leaving.terminate()
    answers = list(threads.map(lambda _: staying.get("/pid"), range(200)))

    assert {b"HTTP/1.1 200 OK"} == {answer.split(b"\r\n")[0] for answer in answers}
    assert 0 == leaving.finish()


def test_what_outlasts_the_graceful_timeout_is_cut(
    start_worker: "Callable[..., Worker]", threads: "Executor"
) -> None:
    """The connection ends without an answer, the log says so, and the exit code is still 0."""
    worker = start_worker("--graceful-timeout", "1")
    answer = threads.submit(worker.get, "/slow?60")
    worker.wait_for_request()
    began = time.monotonic()

    worker.terminate()

    assert 0 == worker.finish()
    assert 0.9 < time.monotonic() - began < 4
    assert b"" == answer.result()
    assert ["requests_cut"] == [line["event"] for line in worker.lines()]


def test_a_second_interrupt_cuts_at_once(
    start_worker: "Callable[..., Worker]", threads: "Executor"
) -> None:
    """Who presses Ctrl-C twice is in a hurry."""
    worker = start_worker("--graceful-timeout", "60")
    answer = threads.submit(worker.get, "/slow?60")
    worker.wait_for_request()
    worker.terminate(signal.SIGINT)
    worker.wait_for(lambda: not holds_a_listening_socket(worker.process.pid))

    worker.terminate(signal.SIGINT)

    assert 0 == worker.finish(timeout_s=5)
    assert b"" == answer.result()


def test_an_application_that_holds_the_loop_cannot_prevent_the_end(
    start_worker: "Callable[..., Worker]", threads: "Executor"
) -> None:
    """A busy loop in Python ends with the drain: a native thread sees to that."""
    worker = start_worker("--graceful-timeout", "1")
    answer = threads.submit(worker.get, "/block?60")
    worker.wait_for_request()

    worker.terminate()

    assert 0 == worker.finish(timeout_s=5)
    assert b"" == answer.result()


def test_the_application_is_closed_at_the_end(
    start_worker: "Callable[..., Worker]", tmp_path: Path
) -> None:
    """An application with a close() gets the chance to end what it has started."""
    (tmp_path / "closable.py").write_text(
        "from application import app as served\n"
        "class App:\n"
        "    def __call__(self, environ, start_response):\n"
        "        return served(environ, start_response)\n"
        "    def close(self):\n"
        "        open('closed', 'w').close()\n"
        "app = App()\n"
    )
    worker = start_worker(application="closable.app")
    worker.get("/")

    worker.terminate()

    assert 0 == worker.finish()
    assert (tmp_path / "closed").exists()


def test_a_signal_during_the_start_ends_it_with_0(
    start_worker: "Callable[..., Worker]", tmp_path: Path
) -> None:
    """While the application is imported nothing is in flight: it goes at once, whoever catches."""
    (tmp_path / "starting.py").write_text(
        "import time\n"
        "open('importing', 'w').close()\n"
        "while True:\n"
        "    try:\n"
        "        time.sleep(60)\n"
        "    except BaseException:\n"
        "        pass\n"
    )
    worker = start_worker(application="starting.app")
    worker.wait_for((tmp_path / "importing").exists)

    worker.terminate()

    assert 0 == worker.finish(timeout_s=5)
    assert "" == worker.complaints()


def test_a_signal_at_any_moment_ends_it(start_worker: "Callable[..., Worker]") -> None:
    """From the first instruction on: by the signal itself before Python listens, else with 0."""
    codes = set()
    for milliseconds in range(0, 400, 40):
        worker = start_worker()
        end = time.monotonic() + milliseconds / 1000
        worker.wait_for(lambda end=end: time.monotonic() >= end)  # type: ignore[misc]
        worker.terminate()
        codes.add(worker.finish(timeout_s=5))

    assert codes <= {0, -signal.SIGTERM}


PARENT = """
import os, signal, subprocess, sys
worker = subprocess.Popen(
    [sys.executable, "-m", "hospital.serving.worker", "--fd", sys.argv[1], "application.app"],
    pass_fds=[int(sys.argv[1])], env={**os.environ, "CIRCUSD_PID": str(os.getpid())},
)
print(worker.pid, flush=True)
signal.pause()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="run it on Linux: the parent's death signal")
@pytest.mark.parametrize("request_in_flight", [False, True])
def test_an_orphan_lets_go_of_the_port_at_once_and_ends_in_a_second(
    start_worker: "Callable[..., Worker]",
    threads: "Executor",
    environment: dict[str, str],
    tmp_path: Path,
    request_in_flight: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """After kill -9 of circusd its next start finds the port free, whatever was in flight."""
    template = start_worker()  # only for its way to talk to the socket
    template.terminate(signal.SIGKILL)
    template.finish()
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        parent = subprocess.Popen(
            [sys.executable, "-c", PARENT, str(listener.fileno())],
            cwd=tmp_path,
            env=environment,
            pass_fds=[listener.fileno()],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert parent.stdout is not None
        with parent.stdout:
            pid = int(parent.stdout.readline())
        template.address = listener.getsockname()
        assert b"hello world" in template.get("/")
        if request_in_flight:
            answer = threads.submit(template.get, "/slow?60")
            template.wait_for_request()

        parent.kill()
        parent.wait()

        def gone() -> bool:
            state = Path(f"/proc/{pid}/stat")
            return not state.exists() or state.read_text().split(") ")[1][0] == "Z"

        template.wait_for(lambda: gone() or not holds_a_listening_socket(pid), timeout_s=0.8)
        template.wait_for(gone, timeout_s=2.0)
    if request_in_flight:
        assert b"" == answer.result()


def test_a_worker_whose_circusd_died_before_it_looked_does_not_serve(
    start_worker: "Callable[..., Worker]", environment: dict[str, str]
) -> None:
    """The parent's death signal comes only to who asked for it in time."""
    environment["CIRCUSD_PID"] = str(os.getpid() + 1)  # any process but the parent

    assert 0 == start_worker().finish()
