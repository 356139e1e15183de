"""The heartbeat of a process: kept as it should be, whatever becomes of its folder."""

import json
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hospital.logs import get_logger
from hospital.serving import beat
from hospital.serving.beat import Beat
from hospital.serving.pulse import Pulse

OWN = beat.started(os.getpid()) or 0
Events = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the folder of heartbeat files."""
    path = tmp_path / "beats"
    path.mkdir()
    return path


@pytest.fixture
def pulse(folder: Path) -> Pulse:
    """Return the pulse of this process."""
    return Pulse(folder, get_logger("test"))


@pytest.fixture
def events(capsys: pytest.CaptureFixture[str]) -> Events:
    """Return a function that returns what was logged."""
    return lambda: [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def own_file(folder: Path) -> Path:
    return beat.path_of(folder, os.getpid())


def test_a_state_is_shown_until_the_next(folder: Path, pulse: Pulse) -> None:
    """With the start time of this process; the end takes the file away."""
    shown = []
    for state, fault in ((beat.STARTING, ""), (beat.SERVING, "no checks"), (beat.DRAINING, "")):
        pulse.say(state, fault)
        pulse.beat()
        shown.append(beat.read(own_file(folder)))
    pulse.end()

    assert [
        Beat("", OWN, beat.STARTING),
        Beat("", OWN, beat.SERVING, "no checks"),
        Beat("", OWN, beat.DRAINING),
    ] == shown
    assert [] == list(folder.iterdir())


def test_a_beat_touches_the_file_and_writes_nothing(folder: Path, pulse: Pulse) -> None:
    """Twice a second somebody would have to pay for it."""
    pulse.say(beat.SERVING)
    before = own_file(folder).stat()
    os.utime(own_file(folder), ns=(5, 5))

    pulse.beat()

    after = own_file(folder).stat()
    assert before.st_ino == after.st_ino
    assert 5 < after.st_mtime_ns


def test_the_watcher_that_the_hook_wrote_is_kept(folder: Path, pulse: Pulse) -> None:
    """The process itself does not know it."""
    beat.write(folder, os.getpid(), Beat("hospital-web", OWN, beat.STARTING))

    pulse.say(beat.SERVING)

    assert Beat("hospital-web", OWN, beat.SERVING) == beat.read(own_file(folder))


def test_a_hook_that_comes_late_changes_no_state(folder: Path, pulse: Pulse) -> None:
    """Where circusd stood still meanwhile; the name that it brings is taken."""
    pulse.say(beat.SERVING, "no checks")
    beat.write(folder, os.getpid(), Beat("hospital-web", OWN, beat.STARTING))

    pulse.beat()

    assert Beat("hospital-web", OWN, beat.SERVING, "no checks") == beat.read(own_file(folder))


def test_the_file_of_a_dead_process_is_nobodys_name(folder: Path, pulse: Pulse) -> None:
    """A pid is given again."""
    beat.write(folder, os.getpid(), Beat("of-somebody-else", OWN - 1, beat.SERVING))

    pulse.say(beat.STARTING)

    assert Beat("", OWN, beat.STARTING) == beat.read(own_file(folder))


def test_a_folder_that_is_missing_is_said_once(folder: Path, pulse: Pulse, events: Events) -> None:
    """It is tried again with each beat, and said when it works again."""
    pulse.say(beat.SERVING)
    shutil.rmtree(folder)
    for _ in range(3):
        pulse.beat()
    missing = events()
    folder.mkdir()
    pulse.beat()
    pulse.beat()

    assert ["heartbeat_unwritable"] == [line["event"] for line in missing]
    assert (str(own_file(folder)), "FileNotFoundError: No such file or directory") == (
        missing[0]["path"],
        missing[0]["reason"],
    )
    assert ["heartbeat_written_again"] == [line["event"] for line in events()]
    assert Beat("", OWN, beat.SERVING) == beat.read(own_file(folder))


def test_a_forked_child_does_not_beat_for_its_parent(folder: Path) -> None:
    """Else nobody would notice that the parent hangs; nor does its end take the file away."""
    code = """
        import os, pathlib, sys
        from hospital.logs import get_logger
        from hospital.serving.pulse import Pulse
        pulse = Pulse(pathlib.Path(sys.argv[1]), get_logger("test"))
        pulse.say("serving")
        path = pathlib.Path(sys.argv[1], str(os.getpid()))
        os.utime(path, ns=(5, 5))
        if os.fork() == 0:
            pulse.beat()
            pulse.say("draining")
            pulse.end()
            os._exit(0)
        os.wait()
        print(path.stat().st_mtime_ns, "serving" in path.read_text())
    """

    told = subprocess.check_output(
        [sys.executable, "-c", textwrap.dedent(code), folder], text=True, timeout=30
    )

    assert "5 True\n" == told
