"""The guard: a process of its own, as circusd starts it, and real processes that it watches."""

import json
import os
import shlex
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

from hospital.serving import beat
from hospital.serving.beat import SERVING, STARTING, Beat
from hospital.supervision import guard
from tests.circus_bundle import is_gone, poll

WATCHDOG_S = 0.5
SLEEP = [sys.executable, "-S", "-c", "import time; print(flush=True); time.sleep(60)"]
Spawn = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def spawn() -> Iterator[Spawn]:
    """Start processes that end with the test."""
    started: list[subprocess.Popen[bytes]] = []

    def start(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
        options["start_new_session"] = True  # as circusd does
        started.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, **options))
        return started[-1]

    yield start
    for each in started:
        with suppress(ProcessLookupError):
            os.killpg(each.pid, signal.SIGKILL)
        each.communicate()


class Guarded:
    """A guard, and the folder that it looks at."""

    def __init__(self, folder: Path, spawn: Spawn) -> None:
        self.beats = folder / "my beats"
        self.log = folder / "guard.log"
        self._spawn = spawn

    def start(self, **options: str) -> "subprocess.Popen[bytes]":
        """Start it without an environment, as circusd does."""
        return self._spawn(self.command(**options), env={}, stderr=subprocess.PIPE)

    @property
    def endpoint(self) -> Path:
        return self.log.parent / "c.sock"

    def command(self, **options: str) -> list[str]:
        """Return the command that Circus makes of its section."""
        from circus.plugins import get_plugin_cmd

        section = {
            "use": "hospital.supervision.guard.Guard",
            "name": "plugin:hospital-guard",
            "__name__": "plugin:hospital-guard",
            "copy_env": "",
            "copy_path": "",
            "heartbeat_dir": f"'{self.beats}'",
            "watchdog": f"{WATCHDOG_S}s",
            "log_file": f"'{self.log}'",
            **options,
        }
        endpoints = f"ipc://{self.endpoint}", f"ipc://{self.log.parent}/e.sock"
        return shlex.split(get_plugin_cmd(section, *endpoints, 1.0, None))

    def events(self, event: str) -> list[dict[str, Any]]:
        """Return what it logged."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [each for each in map(json.loads, lines) if each["event"] == event]

    def write(self, pid: int, state: str = SERVING, started: int | None = None) -> None:
        """Let the process *pid* beat once."""
        began = beat.started(pid) if started is None else started
        assert began is not None
        beat.write(self.beats, pid, Beat("web", began, state))


@pytest.fixture
def guarded(tmp_path: Path, spawn: Spawn) -> Guarded:
    """One that is not started yet; its folder is there."""
    made = Guarded(tmp_path, spawn)
    made.beats.mkdir()
    return made


def grandchild(spawn: Spawn) -> int:
    """Start a process that is no child of this one, and return its pid."""
    parent = spawn(["/bin/sh", "-c", "sleep 60 & echo $!; wait"], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    return int(parent.stdout.readline())


def test_who_is_silent_is_killed_once_and_nobody_else(guarded: Guarded, spawn: Spawn) -> None:
    """Not who starts, who is another process now, who is another's child, or what is no beat."""
    silent, starting, later, beating = (spawn(SLEEP) for _ in range(4))
    foreign = grandchild(spawn)
    guarded.write(silent.pid)
    guarded.write(starting.pid, STARTING)
    guarded.write(later.pid, started=1)
    guarded.write(foreign)
    (guarded.beats / "1").symlink_to("/etc/passwd")
    (guarded.beats / "2").mkdir()
    os.mkfifo(guarded.beats / "3")
    (guarded.beats / "4").write_bytes(b"\xff\0" * 5_000_000)
    (guarded.beats / "5").write_text("[" * 9000)
    (guarded.beats / "README").write_text("none")
    guarded.write(beating.pid)
    guarded.start()

    def is_killed() -> bool:
        beat.touch(guarded.beats, beating.pid)
        return silent.poll() is not None

    poll(is_killed)
    ended_s = time.monotonic()
    while time.monotonic() < ended_s + 2 * WATCHDOG_S:
        is_killed()
        time.sleep(0.02)

    assert -signal.SIGKILL == silent.returncode
    (killed,) = guarded.events("process_killed")
    assert (silent.pid, "web", SERVING) == (killed["process"], killed["watcher"], killed["state"])
    assert WATCHDOG_S < killed["silent_s"] < WATCHDOG_S + 2.0
    assert [None] * 3 == [each.poll() for each in (starting, later, beating)]
    assert not is_gone(foreign)


def test_after_all_were_stopped_nobody_is_killed(guarded: Guarded, spawn: Spawn) -> None:
    """The guard does not count time in which it was stopped itself."""
    worker = spawn(SLEEP)
    guarded.write(worker.pid)
    process = guarded.start()

    def beats() -> bool:
        beat.touch(guarded.beats, worker.pid)
        return bool(guarded.events("guard_started"))

    poll(beats)
    process.send_signal(signal.SIGSTOP)
    time.sleep(2.5 * WATCHDOG_S)  # nobody beats: that is the fault
    process.send_signal(signal.SIGCONT)
    ended_s = time.monotonic() + 2 * WATCHDOG_S
    while time.monotonic() < ended_s:
        beats()
        time.sleep(0.02)

    assert worker.poll() is None


def test_a_missing_folder_is_said_once_and_looked_for(guarded: Guarded, spawn: Spawn) -> None:
    """It is made by who beats; until then there is nothing to do."""
    guarded.beats.rmdir()
    guarded.start()
    (said,) = poll(lambda: guarded.events("heartbeats_unreadable"))
    assert "no such file or directory" == said["reason"]

    guarded.beats.mkdir()
    worker = spawn(SLEEP)
    guarded.write(worker.pid)

    poll(lambda: worker.poll() is not None)
    assert 1 == len(guarded.events("heartbeats_unreadable"))


def test_unusable_options_are_said_in_its_log(guarded: Guarded) -> None:
    """Circus shows nothing of what a plugin says."""
    guarded.start(watchdog="soon", heartbeat_dri="x")

    (said,) = poll(lambda: guarded.events("guard_unusable"))

    assert "unknown option 'heartbeat_dri'; did you mean 'heartbeat_dir'?" in said["reason"]
    assert "watchdog is no duration: 'soon'" in said["reason"]


def test_it_prints_nothing_of_circus(guarded: Guarded) -> None:
    """After a ``reloadconfig`` Circus gives it circusd's standard error, and no log level."""
    process = guarded.start()
    poll(lambda: guarded.events("guard_started"))

    process.terminate()
    process.wait()

    assert process.stderr is not None
    assert b"" == process.stderr.read()


CIRCUSD = """
import socket, subprocess, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
nothing = subprocess.DEVNULL
guard = subprocess.Popen(sys.argv[2:], stdin=nothing, stdout=nothing, stderr=nothing)
print(guard.pid, flush=True)
if sys.stdin.read():
    sys.exit()
"""


def started_by_another(guarded: Guarded, stdin: Any) -> "subprocess.Popen[str]":
    """Start the guard by a process that listens as circusd does, until its input ends."""
    command = [sys.executable, "-S", "-c", CIRCUSD, str(guarded.endpoint), *guarded.command()]
    return subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("then", ["nobody", "another"])
def test_who_lost_its_circusd_while_it_started_ends(guarded: Guarded, then: str) -> None:
    """Whoever is its parent when it looks, and if another circusd listens by then."""
    with started_by_another(guarded, subprocess.DEVNULL) as circusd:
        assert circusd.stdout is not None
        pid = int(circusd.stdout.readline())
    assert not is_gone(pid)

    try:
        with closing(socket.socket(socket.AF_UNIX)) as listener:
            if then == "another":
                guarded.endpoint.unlink()
                listener.bind(str(guarded.endpoint))
                listener.listen()
            poll(lambda: is_gone(pid))
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    assert [] == guarded.events("guard_started")


def test_it_ends_with_the_circusd_that_listens(guarded: Guarded) -> None:
    """It goes on as long as that one lives."""
    with started_by_another(guarded, subprocess.PIPE) as circusd:
        assert circusd.stdout is not None
        pid = int(circusd.stdout.readline())
        poll(lambda: guarded.events("guard_started"))
        assert not is_gone(pid)

        circusd.kill()

    poll(lambda: is_gone(pid))


def test_junk_in_the_folder_hides_no_heartbeat(tmp_path: Path) -> None:
    """However much there is."""
    for name in range(3000):
        (tmp_path / f"junk{name}").touch()
    for pid in range(1, 9):
        beat.write(tmp_path, pid, Beat("web", 1, SERVING))
    for name in range(3000, 6000):
        (tmp_path / f"junk{name}").touch()

    assert set(range(1, 9)) == {each.pid for each in guard.sightings(tmp_path)}


def test_a_process_is_killed_only_as_what_it_was(spawn: Spawn) -> None:
    """The start time and the parent are those of the file and the guard, or nothing happens."""
    process = spawn(SLEEP)
    started = beat.started(process.pid)
    assert started is not None

    assert not guard.kill(process.pid, started + 1, os.getpid())
    assert not guard.kill(process.pid, started, os.getppid())
    assert process.poll() is None
    assert guard.kill(process.pid, started, os.getpid())
    poll(lambda: is_gone(process.pid))
    assert not guard.kill(process.pid, started, os.getpid())
    process.wait()
    assert not guard.kill(process.pid, started, os.getpid())
