"""A rendered set under a real circusd, started from elsewhere, as whoever is to run it."""

import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
DEADLINE_S = 30.0
NOBODY = 65_534
# The Python of the tests may lie in a folder of root's: the user may read all, no more. The secure
# bit keeps that right where somebody becomes another user, and lets access(2) know of it.
MAY_READ = (
    "--securebits=+no_setuid_fixup",
    *("--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search"),
)


def poll(condition: Callable[[], Any], folder: Path) -> Any:
    """Return what *condition* returns as soon as it is true, or fail with all that was said."""
    deadline = time.monotonic() + DEADLINE_S
    while not (value := condition()):
        assert time.monotonic() < deadline, said_in(folder)
        time.sleep(0.02)
    return value


def said_in(folder: Path) -> str:
    """Return what circusd and its workers said."""
    logs = [folder / "output", *(folder / "set" / "var" / "log").glob("*.log")]
    return "\n".join(f"{each.name}: {each.read_text()[-3000:]}" for each in logs if each.exists())


def first_report(circusd: "subprocess.Popen[str]", port: int, folder: Path) -> dict[str, Any]:
    """Return what the port answers as soon as it does."""

    def look() -> dict[str, Any] | None:
        assert circusd.poll() is None, said_in(folder)
        return answer(port)

    report: dict[str, Any] = poll(look, folder)
    return report


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as probe:
        port: int = probe.getsockname()[1]
        return port


def answer(port: int) -> dict[str, Any] | None:
    """Return the document that the port answers with; None while it does not."""
    connection = HTTPConnection("127.0.0.1", port, timeout=20)
    with closing(connection):
        try:
            connection.request("GET", "/")
            report: dict[str, Any] = json.loads(connection.getresponse().read())
        except (OSError, HTTPException):
            return None
        return report


def ordinary_user() -> list[str]:
    """Return what to put before a command so that it is no command of root's."""
    if os.geteuid() != 0:
        return []
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        pytest.skip("install util-linux: setpriv starts a program as another user")
    ids = (f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
    return [setpriv, *ids, *MAY_READ, "--"]


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder through which everyone may pass; those of pytest are for the user of the tests."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(open_folder: Path) -> Iterator[Start]:
    """Start circusd on the set in ``set``, from the root folder, with an empty environment."""
    started: list[subprocess.Popen[str]] = []

    def begin(*prefix: str) -> "subprocess.Popen[str]":
        with (open_folder / "output").open("a") as output:
            started.append(
                subprocess.Popen(
                    [*prefix, BIN / "circusd", open_folder / "set" / "circus.ini"],
                    cwd="/",
                    env={},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    text=True,
                )
            )
        return started[-1]

    yield begin
    for circusd in started:
        with suppress(ProcessLookupError):
            circusd.send_signal(signal.SIGTERM)
        try:
            circusd.wait(20)
        finally:
            circusd.kill()


def render(folder: Path, *options: str, prefix: list[str] | None = None) -> None:
    """Run hospital-deploy as a command."""
    result = subprocess.run(
        [
            *(prefix or []),
            *(sys.executable, "-m", "hospital.deploy", "render", "--output", folder / "set"),
            *options,
        ],
        cwd="/",
        env={},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert 0 == result.returncode, result.stderr


def workers_of(circusd: int) -> list[Any]:
    import psutil

    found = []
    for child in psutil.Process(circusd).children():
        with suppress(psutil.Error):
            if "hospital.serving.worker" in child.cmdline():
                found.append(child)
    return found


def test_an_ordinary_user_renders_and_starts_it_from_elsewhere(
    open_folder: Path, start: Start
) -> None:
    """From an environment that is not activated; what it writes stays in its folder."""
    user = ordinary_user()
    if user:
        os.chown(open_folder, NOBODY, NOBODY)
    (open_folder / "output").touch()
    port = free_port()
    secret = "pa$$ 'word' #1"  # noqa: S105 - an example
    (open_folder / "site.toml").write_text(f'[secrets]\nDB_PASSWORD = "{secret}"\n')
    render(open_folder, "--port", str(port), "--site", str(open_folder / "site.toml"), prefix=user)

    circusd = start(*user)

    report = first_report(circusd, port, open_folder)
    assert "Memory is available." in {each["test"] for each in report["details"]}
    workers = poll(lambda: workers_of(circusd.pid), open_folder)
    assert {secret} == {each.environ()["DB_PASSWORD"] for each in workers}
    assert [] == [each for each in workers if secret in " ".join(each.cmdline())]
    circusd.terminate()
    assert 0 == circusd.wait(20)
    log = open_folder / "set" / "var" / "log"
    for name in ("circusd.log", "hospital-web.log"):
        lines = (log / name).read_text().splitlines()
        assert lines
        assert [] == [line for line in lines if not json.loads(line)["event"]]
        assert [] == [line for line in lines if secret in line]
        assert 0o640 == (log / name).stat().st_mode & 0o777
    assert "" == (open_folder / "output").read_text()


def root_whose_workers_may_read() -> list[str]:
    """Return what to put before circusd so that its workers get to the Python of the tests.

    That may lie in a folder of root's. They may read all, no more, although they are not root.
    """
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        pytest.skip("install util-linux: setpriv lets a program keep the right to read")
    return [setpriv, *MAY_READ, "--"]


def test_root_runs_the_workers_as_somebody_else(open_folder: Path, start: Start) -> None:
    """They beat in a folder of their own, and the files of the set are none of theirs."""
    if os.geteuid() != 0:
        return  # then nobody can; test_site has the refusal
    port = free_port()
    name = pwd.getpwuid(NOBODY).pw_name
    source = "import hospital\n\n\n@hospital.healthcheck\ndef own():\n    'It is mine.'\n"
    (open_folder / "own.py").write_text(source)
    options = ("--port", str(port), "--user", name, "--checks", "own")
    render(open_folder, *options, "--working-dir", str(open_folder))

    circusd = start(*root_whose_workers_may_read())

    report = first_report(circusd, port, open_folder)
    assert ["own.own"] == [each["id"] for each in report["details"]], said_in(open_folder)
    workers = poll(lambda: len(found := workers_of(circusd.pid)) == 2 and found, open_folder)
    assert {NOBODY} == {each.uids().effective for each in workers}
    beats = [open_folder / "set" / "var" / "run" / "beats" / str(each.pid) for each in workers]
    poll(lambda: all('"serving"' in each.read_text() for each in beats), open_folder)
    before = [each.stat().st_mtime_ns for each in beats]
    pairs = list(zip(beats, before, strict=True))
    poll(lambda: all(each.stat().st_mtime_ns > old for each, old in pairs), open_folder)
    assert {NOBODY} == {each.stat().st_uid for each in beats}
    assert not [each for each in (open_folder / "set").glob("*.*") if each.stat().st_mode & 0o007]
