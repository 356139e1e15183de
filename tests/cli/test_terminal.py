"""The command on a real terminal: colours, progress, and Ctrl-C as it is typed."""

import fcntl
import json
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.conftest import COMMAND, DEADLINE_S, Screen, WriteChecks, environment, until

COLUMNS = 60
COLOUR = re.compile(r"\x1b\[\d+m")
SLOW = """
import time
from hospital import healthcheck

@healthcheck
def fine():
    "All is well."

@healthcheck
def slow():
    "It is slow."
    print("nearly there")
    time.sleep(1.6)
"""
ON_ITS_TERMINAL = """
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(2, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


class Terminal:
    """The other side of a terminal: what the command wrote, and when."""

    def __init__(self, master: int) -> None:
        self._master = master
        self.text = ""

    def read(self) -> None:
        """Take what has been written."""
        while select.select([self._master], [], [], 0)[0]:
            try:
                data = os.read(self._master, 65536)
            except OSError:  # nobody has the other side open any more
                return
            if not data:
                return
            self.text += data.decode()

    def shows(self, text: str) -> bool:
        """Return whether *text* has been written so far."""
        self.read()
        return text in self.text

    def type(self, keys: str) -> None:
        """Press *keys*."""
        os.write(self._master, keys.encode())

    @property
    def screen(self) -> str:
        """What a person sees."""
        screen = Screen(COLUMNS)
        screen.write(self.text)
        return screen.text


@contextmanager
def on_terminal(
    folder: Path,
    *arguments: str,
    stdout: int | None = None,
    environ: Mapping[str, str] | None = None,
) -> Generator[tuple[Terminal, subprocess.Popen[bytes]]]:
    """Start the command on a terminal of its own; *stdout* may lead elsewhere."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))
    try:
        with subprocess.Popen(
            [COMMAND[0], "-c", ON_ITS_TERMINAL, *COMMAND, *arguments],
            cwd=folder,
            env=environment(TERM="xterm", **environ or {}),
            stdin=slave,
            stdout=slave if stdout is None else stdout,
            stderr=slave,
        ) as process:
            try:
                yield Terminal(master), process
            finally:
                process.kill()
    finally:
        os.close(slave)
        os.close(master)


def finish(terminal: Terminal, process: subprocess.Popen[bytes]) -> int:
    """Return the exit code, once the command has ended and all of its text is there."""

    def has_ended() -> bool:
        terminal.read()  # else it may wait for us to read
        return process.poll() is not None

    until(has_ended, "the command ends")
    terminal.read()
    return process.returncode


@pytest.mark.parametrize(
    ("arguments", "environ", "is_coloured"),
    [
        ((), {}, True),
        ((), {"NO_COLOR": "1"}, False),
        (("--color", "never"), {}, False),
        (("--color", "always"), {"NO_COLOR": "1"}, True),
    ],
)
def test_a_terminal_gets_colours_unless_it_is_told_not_to(
    tmp_path: Path,
    arguments: tuple[str, ...],
    environ: dict[str, str],
    is_coloured: bool,  # noqa: FBT001 - a column of the table
) -> None:
    """Green is green; NO_COLOR and --color are respected."""
    with on_terminal(
        tmp_path, *arguments, "hospital.healthchecks.predictable", environ=environ
    ) as (
        terminal,
        process,
    ):
        code = finish(terminal, process)

    assert 0 == code
    assert is_coloured == ("\x1b[32mOK\x1b[0m" in terminal.text)
    assert is_coloured == bool(COLOUR.search(terminal.text))


@pytest.mark.parametrize("where", [(), ("--in-process",)], ids=["wards", "in-process"])
def test_progress_is_shown_after_a_second_and_erased(
    tmp_path: Path, write_checks: WriteChecks, where: tuple[str, ...]
) -> None:
    """Symbols, what checks print and the status share the terminal; the report stays."""
    write_checks(SLOW)

    with on_terminal(tmp_path, *where, "checks") as (terminal, process):
        until(lambda: terminal.shows("."), "the first symbol")
        early = process.poll()
        code = finish(terminal, process)

    assert (None, 0) == (early, code)
    assert "1 of 2 done, 1 s" in terminal.text
    assert "done" not in terminal.screen
    assert "checks.slow: nearly there" in terminal.screen.splitlines()
    assert 2 == terminal.screen.partition("---")[0].replace("checks.slow", "").count(".")
    assert terminal.screen.endswith("\n\nOK\n")


def test_a_quick_run_shows_no_progress(tmp_path: Path) -> None:
    """What takes less than a second is not worth a status line."""
    with on_terminal(tmp_path, "hospital.healthchecks.predictable") as (terminal, process):
        code = finish(terminal, process)

    assert 0 == code
    assert "done" not in terminal.text
    assert "loading" not in terminal.text


def test_progress_does_not_get_into_a_document(tmp_path: Path, write_checks: WriteChecks) -> None:
    """With JSON for a file the terminal shows how far it is, and the file is strict JSON."""
    write_checks(SLOW)
    target = tmp_path / "report.json"

    with (
        target.open("wb") as stdout,
        on_terminal(tmp_path, "--format", "json", "checks", stdout=stdout.fileno()) as started,
    ):
        code = finish(*started)

    terminal = started[0]
    assert 0 == code
    assert "pass" == json.loads(target.read_text())["status"]
    assert "1 of 2 done, 1 s" in terminal.text
    assert "checks.slow: nearly there" == terminal.screen.strip()


def test_a_gate_tells_a_terminal_how_long_it_still_waits(
    tmp_path: Path, write_checks: WriteChecks
) -> None:
    """There it is a line that changes, not one after the other."""
    write_checks("from hospital import healthcheck\n@healthcheck\ndef no(): assert False, 'no'\n")

    with on_terminal(tmp_path, "--wait", "3s", "checks") as (terminal, process):
        code = finish(terminal, process)

    assert 1 == code
    assert re.search(r"try \d+ soon, \d s left: 1 of 1 not green", terminal.text)
    assert "soon" not in terminal.screen
    assert "not green yet" not in terminal.text
    assert terminal.screen.startswith("F\n===")


def test_ctrl_c_reports_what_is_known(tmp_path: Path, write_checks: WriteChecks) -> None:
    """Typed at the terminal it cuts the run short, with a report and without a traceback."""
    write_checks(SLOW.replace("1.6", "600"))
    began = time.monotonic()

    with on_terminal(tmp_path, "--timeout", "60", "checks") as (terminal, process):
        until(lambda: terminal.shows("1 of 2 done"), "the status")
        terminal.type("\x03")
        code = finish(terminal, process)

    assert 1 == code
    assert time.monotonic() - began < DEADLINE_S
    said = "interrupted by SIGINT: 1 check had not finished: checks.slow"
    assert said in COLOUR.sub("", terminal.text)
    assert "Traceback" not in terminal.text
    assert "FAILED (errors=1)" in terminal.screen
