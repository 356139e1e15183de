"""The worker program: patched first, honest exit codes, one line for each mistake."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.serving.conftest import Worker

PROGRAM = "hospital.serving.worker"

INSPECTING = """
import json
import logging
import socket
import ssl
import threading

import gevent.monkey


def is_native(lock):
    return type(getattr(lock, "_block", lock)).__module__ == "_thread"


def app(environ, start_response):
    modules = ("socket", "ssl", "threading", "subprocess", "queue", "time", "select", "os")
    seen = {
        "patched": {name: gevent.monkey.is_module_patched(name) for name in modules},
        "logging": [
            is_native(logging._lock),
            *(is_native(reference().lock) for reference in logging._handlerList),
        ],
        "new lock": is_native(threading.Lock()),
        "new socket": socket.socket.__module__,
        "ssl": ssl.SSLContext.__module__,
    }
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(seen).encode()]
"""


def run(*arguments: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", PROGRAM, *arguments],
        cwd=folder,
        env={"PATH": os.environ["PATH"], **variables},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_the_first_statement_patches() -> None:
    """Nothing native is imported before: gevent comes first, and what it needs itself."""
    timed = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", PROGRAM, "--help"],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )

    # An import is listed when it has ended, so what gevent imports stands before gevent itself.
    rows = [line.split("|") for line in timed.stderr.splitlines() if line.startswith("import time")]
    names = [row[2].strip() for row in rows]
    depths = [len(row[2]) - len(row[2].lstrip()) for row in rows]
    end = names.index("gevent")
    begun = end - 1
    while depths[begun] > depths[end]:
        begun -= 1
    own = {"hospital", "hospital.serving"}
    started = names.index("site")
    early = [name for name in names[started + 1 : begun + 1] if name not in own]
    heavy = {"ssl", "socket", "threading", "subprocess", "logging", "queue", "asyncio", "select"}
    assert set() == heavy & set(early), early


def test_importing_the_worker_patches_nothing() -> None:
    """It is a program; tools that import every module of a package stay as they are."""
    code = (
        "import hospital.serving.worker, sys; "
        "print([name for name in sys.modules if name.startswith('gevent')])"
    )

    shown = subprocess.check_output([sys.executable, "-c", code], text=True, timeout=30)

    assert "[]\n" == shown


def test_all_of_the_process_is_patched(
    start_worker: "Callable[..., Worker]", tmp_path: Path
) -> None:
    """Sockets, threads, TLS, subprocesses, and the locks of modules that were there before."""
    (tmp_path / "inspecting.py").write_text(INSPECTING)

    worker = start_worker(application="inspecting.app")

    seen = json.loads(worker.get("/").split(b"\r\n\r\n")[1])
    assert {True} == set(seen["patched"].values())
    assert {False} == set(seen["logging"])
    assert seen["new lock"] is False
    assert seen["new socket"].startswith("gevent.")
    assert seen["ssl"].startswith("gevent.")
    assert "" == worker.output()


def test_patching_warns_of_nothing(tmp_path: Path) -> None:
    """As gevent would do where a module was imported too early."""
    code = (
        "import runpy, sys, warnings; warnings.simplefilter('error'); "
        f"sys.argv[1:] = ['--help']; runpy.run_module('{PROGRAM}', run_name='__main__')"
    )

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False
    )

    assert (0, "") == (done.returncode, done.stderr)


@pytest.mark.parametrize(
    ("application", "said"),
    [
        ("no_such_module.app", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("json.no_such_name", "json.no_such_name"),
        ("json.__doc__", "the application cannot be called"),
        ("json", "the application cannot be called"),
        ("needy.app", "ModuleNotFoundError: No module named 'missing_dependency'"),
        ("leaving.app", "it ended before it served"),
        ("raising.app", "ValueError: no value"),
    ],
)
def test_an_application_that_cannot_be_served_is_told_in_one_line(
    tmp_path: Path, application: str, said: str
) -> None:
    """Exit code not 0, the cause named, no traceback on standard error."""
    (tmp_path / "needy.py").write_text("import missing_dependency\n")
    (tmp_path / "leaving.py").write_text("raise SystemExit(0)\n")
    (tmp_path / "raising.py").write_text("raise ValueError('no value')\n")

    done = run("--port", "0", application, folder=tmp_path)

    assert done.returncode in {1, 2}
    assert said in done.stderr
    assert done.stderr.startswith(f"{PROGRAM}: error: ")
    assert 1 == done.stderr.count("\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--backend", "wsgiref", "--graceful-timeout", "1"), "does not support"),
        (("--use-reloader",), "Reloader requires Werkzeug"),
        (("--fd", "77"), "cannot listen on descriptor 77: Bad file descriptor"),
        (("--fd", "0"), "cannot listen on descriptor 0: Socket operation on non-socket"),
        (("--fd", "$(circus.sockets.web)"), "invalid int value"),
        (("--fd", "3", "--backlog", "5"), "not allowed with argument --fd"),
        (("--host", "192.0.2.1"), "192.0.2.1:8080: this machine has no such address"),
        (("--host", "no.such.host.invalid"), "the host is unknown"),
        (("--socket-type", "SOCK_DGRAM"), "HTTP needs a stream socket"),
        (("--backend", "no-such"), "invalid choice"),
    ],
)
def test_what_chaussette_refuses_does_not_exit_0(
    tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    """Under circusd an exit with 0 and without a word is a silent respawn loop."""
    done = run(*arguments, "chaussette.util.hello_app", folder=tmp_path)

    assert done.returncode in {1, 2}
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_taken_port_is_told_with_its_holder(worker: "Worker", tmp_path: Path) -> None:
    """One line: address, port, who holds it, what to do."""
    host, port = worker.address

    done = run("--host", host, "--port", str(port), "application.app", folder=tmp_path)

    assert 1 == done.returncode
    assert f"cannot listen on {host}:{port}: the port is in use by " in done.stderr
    assert "; stop it, or choose another port with --port" in done.stderr
    assert 1 == done.stderr.count("\n")


def test_a_bad_setting_is_told_to_the_log_and_to_each_client(
    start_worker: "Callable[..., Worker]", environment: dict[str, str]
) -> None:
    """A worker that ended instead would be started for ever, while clients wait for an answer."""
    environment["HOSPITAL_CHACHE_TTL"] = "5"

    worker = start_worker(application="hospital.wsgi.application")

    answer = worker.get("/")
    assert answer.startswith(b"HTTP/1.1 500 ")
    assert b'"settings"' in answer
    (told,) = [line for line in worker.lines() if line["event"] == "settings_unusable"]
    assert "did you mean 'HOSPITAL_CACHE_TTL'?" in told["reason"]


def test_the_help_is_chaussettes_own(tmp_path: Path) -> None:
    """Its options are the worker's."""
    done = run("--help", folder=tmp_path)

    assert 0 == done.returncode
    assert "--graceful-timeout" in done.stdout
    assert "gevent" in done.stdout


def test_other_backends_stay_chaussettes_own(
    start_worker: "Callable[..., Worker]", tmp_path: Path
) -> None:
    """The server of wsgiref serves as it does without us."""
    worker = start_worker("--backend", "wsgiref")

    assert b"Server: WSGIServer/" in worker.get("/")


def test_a_worker_can_listen_by_itself(
    start_worker: "Callable[..., Worker]", environment: dict[str, str], tmp_path: Path
) -> None:
    """--host takes a unix socket too; one that a dead worker left behind is replaced."""
    template = start_worker()
    path = tmp_path / "own.sock"
    for _ in range(2):
        process = subprocess.Popen(
            [sys.executable, "-m", PROGRAM, "--host", f"unix:{path}", "application.app"],
            cwd=tmp_path,
            env=environment,
        )
        try:
            template.wait_for(path.exists)
            template.address = str(path)

            def answers() -> bool:
                try:
                    return b"hello world" in template.get("/")
                except (ConnectionRefusedError, FileNotFoundError):  # it is being replaced
                    return False

            template.wait_for(answers)
        finally:
            process.kill()
            process.wait()


def test_what_an_application_starts_does_not_hold_the_port(
    start_worker: "Callable[..., Worker]", tmp_path: Path
) -> None:
    """The inherited socket is closed in its children, even those that inherit everything."""
    (tmp_path / "spawning.py").write_text(
        "import subprocess\n"
        "child = subprocess.Popen(['sleep', '60'], close_fds=False)\n"
        "def app(environ, start_response):\n"
        "    start_response('200 OK', [('Content-Type', 'text/plain')])\n"
        "    late = subprocess.Popen(['sleep', '60'], close_fds=False)\n"
        "    return [str(late.pid).encode()]\n"
    )
    worker = start_worker(application="spawning.app")
    pid = int(worker.get("/").split(b"\r\n\r\n")[1])

    try:
        held = [str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()]
    finally:
        os.kill(pid, 9)

    assert [] == [name for name in held if name.startswith("socket:")]
