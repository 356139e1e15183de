"""Where in the user's own code something happened."""

import json
import sysconfig
from pathlib import Path

import pytest

import hospital
from hospital.running.places import (
    Frame,
    frames_in_dump,
    frames_of,
    innermost,
    is_library,
    is_ours,
    shown,
    source_line,
    trace,
)

LIBRARY = sysconfig.get_path("stdlib")
SITE = sysconfig.get_path("purelib")
OURS = str(Path(hospital.__file__).parent)
MINE = ("/srv/checks/db.py", 12, "up")
SOCKET = (f"{LIBRARY}/socket.py", 800, "connect")
DRIVER = (f"{SITE}/driver/core.py", 7, "open")
RUNNER = (f"{OURS}/running/one.py", 60, "run_one")


def test_what_counts_as_a_library() -> None:
    """The standard library, what is installed, hospital; but not its ready-made checks."""
    assert is_library(SOCKET[0])
    assert is_library(DRIVER[0])
    assert is_library(RUNNER[0])
    assert is_library("<frozen importlib._bootstrap>")
    assert not is_library(MINE[0])
    assert not is_library("<string>")
    assert not is_library(f"{OURS}/healthchecks/host.py")
    assert is_ours(RUNNER[0])
    assert not is_ours(f"{OURS}/healthchecks/host.py")


def test_the_innermost_frame_of_the_user_counts() -> None:
    """Not that of the library which it called, nor that of the runner."""
    assert MINE == innermost([RUNNER, MINE, DRIVER, SOCKET])


def test_of_installed_checks_the_package_called_first_is_the_users() -> None:
    """Checks that are installed as a package are the user's own, too."""
    installed = (f"{SITE}/shop/checks/db.py", 3, "up")
    inner = (f"{SITE}/shop/db.py", 9, "connect")

    frames = [RUNNER, (f"{LIBRARY}/unittest/case.py", 1, "run"), installed, inner, DRIVER, SOCKET]

    assert inner == innermost(frames)
    assert 4 == len(trace(frames).splitlines())


def test_without_any_of_the_users_the_innermost_frame_counts() -> None:
    """As good as it gets; of nothing there is nothing."""
    assert SOCKET == innermost([RUNNER, SOCKET])
    assert None is innermost([])


def test_frames_of_a_traceback_are_in_the_order_of_the_calls() -> None:
    """Those of the import system left out."""
    try:
        json.loads("{")
    except ValueError as error:
        frames = frames_of(error.__traceback__)

    assert "test_frames_of_a_traceback_are_in_the_order_of_the_calls" == frames[0][2]
    assert "raw_decode" == frames[-1][2]
    assert [] == frames_of(None)


def test_a_place_is_shown_from_here() -> None:
    """Relative to the current folder; the function only where there is one."""
    here = Path.cwd()

    assert "checks/db.py:3 in up" == shown((f"{here}/checks/db.py", 3, "up"))
    assert "/srv/db.py:3" == shown(("/srv/db.py", 3, "<module>"))


def test_a_trace_has_a_dozen_lines_at_most() -> None:
    """The innermost ones, with their source where it can be had."""
    lines = trace([MINE] * 100).splitlines()

    assert 12 == len(lines)
    assert "/srv/checks/db.py:12 in up" == lines[0]
    assert '"""Where in the user\'s own code something happened."""' == source_line(
        (__file__, 1, "")
    )
    assert "" == source_line(("/nowhere.py", 1, ""))


DUMP = """\
Thread 0x00007f01 [hospital-tick] (most recent call first):
  File "/usr/lib/python3/threading.py", line 359 in wait

Thread 0x00007f02 (most recent call first):
  File "/srv/a folder, line 3/check "quoted".py", line 12 in up
  File "/srv/run.py", line 1 in <module>
  ...

Current thread 0x00007f03 (most recent call first):
  <no Python frame>

Thread 0x00007f04 (most recent call first):
  File "/srv/main.py", line 5 in serve
"""


def test_a_dump_of_faulthandler_is_read() -> None:
    """One thread of it, by its number; 0 is the main thread, which comes last."""
    expected: list[Frame] = [
        ("/srv/run.py", 1, "<module>"),
        ('/srv/a folder, line 3/check "quoted".py', 12, "up"),
    ]

    assert expected == frames_in_dump(DUMP, 0x7F02)
    assert [("/srv/main.py", 5, "serve")] == frames_in_dump(DUMP, 0)
    assert [] == frames_in_dump(DUMP, 0x7F03)
    assert [] == frames_in_dump(DUMP, 0x9999)
    assert [] == frames_in_dump("Thread 0xnonsense\n", 1) == frames_in_dump("", 0)


@pytest.mark.parametrize("cut", range(1, len(" 5 in serve\n")))
def test_a_line_of_a_dump_that_was_cut_is_no_frame(cut: int) -> None:
    """Half a name would be taken for a name, and half a number for another line."""
    assert [] == frames_in_dump(DUMP[:-cut], 0)
