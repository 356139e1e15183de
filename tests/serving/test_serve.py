"""The command hospital-serve, from its line on standard output to its exit code."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError

import pytest

from hospital import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CHECKS = """
import os
import time

import hospital


@hospital.healthcheck(tags=("quick",))
def quick():
    "It is quick."


@hospital.healthcheck(tags=("slow",))
def slow():
    "It takes its time."
    open("arrived", "w").close()
    time.sleep(1)


@hospital.healthcheck(tags=("red",))
def red():
    "It is red."
    raise AssertionError("postgresql://u:s3cret@h/db is down")


@hospital.healthcheck(tags=("endless",))
def endless():
    "It never ends."
    open("ward", "w").write(str(os.getpid()))
    time.sleep(600)
"""


class Service:
    """A running hospital-serve."""

    def __init__(self, folder: Path, *arguments: str, **variables: str) -> None:
        self.folder = folder
        with (folder / "errors").open("w") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "hospital.serving.serve", *arguments],
                cwd=folder,
                env={"PATH": os.environ["PATH"], **variables},
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        assert self.process.stdout is not None
        with self.process.stdout:
            self.line = self.process.stdout.readline()
        self.url = f"http://127.0.0.1:{self.line.removesuffix('...' + chr(10)).split(' ')[-1]}/"

    def get(self) -> tuple[int, dict[str, Any]]:
        try:
            with urllib.request.urlopen(self.url, timeout=20) as response:  # noqa: S310 - our own
                return response.status, json.load(response)
        except HTTPError as error:
            with error:
                return error.code, json.load(error)

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(20)


@pytest.fixture
def serve(tmp_path: Path) -> "Iterator[Callable[..., Service]]":
    """Start hospital-serve on a free port of the loopback address."""
    (tmp_path / "checks.py").write_text(CHECKS)
    services = []

    def start(*arguments: str, **variables: str) -> Service:
        service = Service(tmp_path, "--host", "127.0.0.1", "--port", "0", *arguments, **variables)
        services.append(service)
        return service

    yield start
    for service in services:
        service.process.kill()
        service.process.wait()


def run(*arguments: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "hospital.serving.serve", *arguments],
        cwd=folder,
        env={"PATH": os.environ["PATH"], **variables},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def poll(condition: "Callable[[], Any]", timeout_s: float = 15) -> Any:
    end = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < end, "it did not come true in time"
        time.sleep(0.02)
    return value


def is_gone(pid: int) -> bool:
    state = Path(f"/proc/{pid}/stat")
    try:
        return state.read_text().rpartition(") ")[2][0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_it_says_where_it_serves_once_it_does(serve: "Callable[..., Service]") -> None:
    """A script that has read the line can connect at once."""
    service = serve("hospital.healthchecks.predictable")

    assert service.line.startswith("Serving on 127.0.0.1 port ")
    assert service.line.endswith("...\n")
    status, answer = service.get()
    assert (200, "pass") == (status, answer["status"])
    assert ["Health checks are collected."] == [each["test"] for each in answer["details"]]


def test_it_answers_as_gevent_does_not_as_wsgiref(serve: "Callable[..., Service]") -> None:
    """HTTP/1.1, and our name in place of Python's."""
    service = serve("hospital.healthchecks.predictable")

    with urllib.request.urlopen(service.url, timeout=20) as response:  # noqa: S310 - our own
        assert (11, "hospital") == (response.version, response.headers["Server"])


def test_the_names_of_the_environment_are_the_default(serve: "Callable[..., Service]") -> None:
    """HEALTHCHECKS counts where the command line names nothing."""
    service = serve(HEALTHCHECKS="hospital.healthchecks.predictable")

    assert 200 == service.get()[0]


def test_checks_in_the_folder_are_found_and_selected(serve: "Callable[..., Service]") -> None:
    """The module lies in the folder where the command was started; tags choose among its checks."""
    service = serve("--tag", "quick", "--tag", "red", "--exclude", "checks.red", "checks")

    status, answer = service.get()
    assert (200, ["checks.quick"]) == (status, [each["id"] for each in answer["details"]])


@pytest.mark.parametrize(("who", "shown"), [("token", False), ("loopback", True)])
def test_reasons_are_for_those_who_may_see_them(
    serve: "Callable[..., Service]",
    who: str,
    shown: bool,  # noqa: FBT001 - a column of the table
) -> None:
    """Strangers get names and statuses only; nobody gets a password."""
    service = serve("--reasons", who, "--tag", "red", "checks")

    status, answer = service.get()
    assert 500 == status
    assert shown is ("is down" in json.dumps(answer))
    assert "s3cret" not in json.dumps(answer)


@pytest.mark.parametrize("fault", ["import no_such_module", "def", "import os; os._exit(0)"])
def test_a_module_that_cannot_be_imported_is_an_answer(
    serve: "Callable[..., Service]", tmp_path: Path, fault: str
) -> None:
    """It is imported when somebody asks: a 500 that names it, and the service lives on."""
    (tmp_path / "broken.py").write_text(f"{fault}\n")

    service = serve("--reasons", "loopback", "broken")

    for _ in range(2):
        status, answer = service.get()
        assert (500, "error") == (status, answer["details"][0]["status"])
        assert "broken" in answer["details"][0]["context"]


def test_an_edited_module_is_noticed(serve: "Callable[..., Service]", tmp_path: Path) -> None:
    """A broken one that was mended is served as it is now, without a restart."""
    (tmp_path / "edited.py").write_text("import no_such_module\n")
    service = serve("edited")
    assert 500 == service.get()[0]

    (tmp_path / "edited.py").write_text(
        "import hospital\n\n@hospital.healthcheck\ndef mended():\n    'It is mended.'\n"
    )

    assert poll(lambda: service.get()[0] == 200)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_drains_and_exits_with_0(
    serve: "Callable[..., Service]", tmp_path: Path, number: int
) -> None:
    """A check that is running when the signal comes still gets its request answered."""
    service = serve("--tag", "slow", "checks")
    with closing(socket.create_connection(("127.0.0.1", int(service.url[17:-1])))) as connection:
        connection.settimeout(20)
        connection.sendall(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n")
        poll((tmp_path / "arrived").exists)

        assert 0 == service.stop(number)
        received = b""
        while chunk := connection.recv(65_536):
            received += chunk

    assert received.startswith(b"HTTP/1.1 200 OK")


def test_no_process_is_left_behind(serve: "Callable[..., Service]", tmp_path: Path) -> None:
    """Not even the ward of a check that hangs."""
    service = serve("--tag", "endless", "--timeout", "2s", "checks")
    with closing(socket.create_connection(("127.0.0.1", int(service.url[17:-1])))) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n")
        ward = tmp_path / "ward"
        poll(lambda: ward.exists() and ward.read_text())

        assert 0 == service.stop()

    poll(lambda: is_gone(int(ward.read_text())), timeout_s=5)


def test_a_taken_port_is_one_line_and_exit_1(serve: "Callable[..., Service]") -> None:
    """Address, port, who holds it, and what to do."""
    port = serve("hospital.healthchecks.predictable").url[17:-1]

    done = run("--host", "127.0.0.1", "--port", port, "x", folder=Path.cwd())

    assert (1, "") == (done.returncode, done.stdout)
    assert done.stderr.startswith(
        f"hospital-serve: error: cannot listen on 127.0.0.1:{port}: the port is in use by "
    )
    assert done.stderr.endswith("; stop it, or choose another port with --port\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "no health checks named; name some, or set HEALTHCHECKS"),
        (("--prot", "1", "x"), "unknown option '--prot'; did you mean '--port'?"),
        (("--port", "65536", "x"), "--port is no port: '65536'; write 0 to 65535"),
        (("--port", "http", "x"), "--port is no port: 'http'"),
        (("--host", "a b", "x"), "--host is no address: 'a b'"),
        (("--reasons", "loopbak", "x"), "did you mean 'loopback'?"),
        (("--timeout", "0", "x"), "--timeout"),
        (("--cache-ttl", "-1", "x"), "--cache-ttl"),
        (("--tag", "a b", "x"), "--tag takes one word, not 'a b'"),
        (("--port",), "expected one argument"),
        (("--timeout", "x", "--port", "y", "z"), " · "),
    ],
)
def test_a_command_line_without_sense_is_one_line_and_exit_2(
    tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    """All faults together, the nearest name with each, and where the help is."""
    done = run(*arguments, folder=tmp_path)

    assert (2, "") == (done.returncode, done.stdout)
    assert done.stderr.startswith("hospital-serve: error: ")
    assert said in done.stderr
    assert done.stderr.endswith("; see hospital-serve --help\n")
    assert 1 == done.stderr.count("\n")


def test_a_bad_setting_is_one_line_and_exit_2(tmp_path: Path) -> None:
    """A variable that nobody reads is a mistake."""
    done = run("x", folder=tmp_path, HOSPITAL_REASON="everyone")

    assert 2 == done.returncode
    assert "did you mean 'HOSPITAL_REASONS'?" in done.stderr


@pytest.mark.parametrize("option", ["--help", "-h", "--version"])
def test_help_and_version_do_nothing_else(tmp_path: Path, option: str) -> None:
    """Even where the environment makes no sense."""
    done = run(option, folder=tmp_path, HOSPITAL_REASON="everyone")

    assert (0, "") == (done.returncode, done.stderr)
    wanted = f"hospital-serve {__version__}\n" if option == "--version" else "exit codes:"
    assert wanted in done.stdout


def test_a_signal_during_the_start_ends_it_quietly(tmp_path: Path) -> None:
    """At any moment: by the signal itself before Python listens, else with 0, never a traceback."""
    for milliseconds in range(100, 500, 80):
        process = subprocess.Popen(
            [sys.executable, "-m", "hospital.serving.serve", "--port", "0", "x"],
            cwd=tmp_path,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        end = time.monotonic() + milliseconds / 1000
        poll(lambda end=end: time.monotonic() >= end)  # type: ignore[misc]
        process.terminate()
        errors = process.communicate(timeout=20)[1]

        assert process.returncode in {0, -signal.SIGTERM}
        assert "" == errors


def test_a_red_answer_stands_in_the_log_under_its_id(serve: "Callable[..., Service]") -> None:
    """Whoever got the answer can tell which line of the log is about it."""
    service = serve("--tag", "red", "checks")

    with pytest.raises(HTTPError) as answered:
        urllib.request.urlopen(service.url, timeout=20)  # noqa: S310 - our own
    answered.value.close()
    service.stop()

    lines = map(json.loads, (service.folder / "errors").read_text().splitlines())
    (line,) = [line for line in lines if line["event"] == "request_answered"]
    assert answered.value.headers["X-Request-Id"] == line["request_id"]
    assert 500 == line["status"]


def test_no_number_of_requests_ends_it(serve: "Callable[..., Service]") -> None:
    """A worker gives way to a new one; nobody would start this one again."""
    service = serve("hospital.healthchecks.predictable", HOSPITAL_MAX_REQUESTS="1")

    codes = [service.get()[0] for _ in range(4)]

    assert [200] * 4 == codes
