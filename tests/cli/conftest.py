"""What the tests of hospital-cli share: the command as a process, checks to run, a fake."""

import io
import os
import re
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from hospital.model import Check, Outcome, Report
from hospital.running.executor import Catalog, Selection

COMMAND = (sys.executable, "-m", "hospital.cli")
DEADLINE_S = 20.0
_TOKEN = re.compile(r"\x1b\[(\d*)([A-Za-z])|[\s\S]")

Cli = Callable[..., "subprocess.CompletedProcess[str]"]
WriteChecks = Callable[..., Path]


def environment(**more: str) -> dict[str, str]:
    """Return an environment without settings of hospital, colours or coverage."""
    kept = ("PATH", "HOME", "LANG", "TMPDIR")
    return {name: os.environ[name] for name in kept if name in os.environ} | more


def until(condition: Callable[[], object], what: str) -> None:
    """Wait until *condition* holds, and fail with *what* if it does not."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {DEADLINE_S} s: {what}"
        time.sleep(0.01)


class FakeExecutor:
    """Tells outcomes that were written down before, one list for each run.

    Args:
        runs: The outcomes of each run; the last list is told again and again. An outcome that
            is an exception is raised.
        checks: What there is to list.
        problems: What could not be loaded.
    """

    def __init__(
        self,
        *runs: Sequence[Outcome | BaseException],
        checks: Sequence[Check] = (),
        problems: Sequence[Outcome] = (),
    ) -> None:
        self._runs = list(runs)
        self._catalog = Catalog(tuple(checks), tuple(problems))
        self.selections: list[Selection] = []
        self.how: dict[str, object] = {}
        self.closed = 0

    def make(self, kind: str, **how: object) -> "FakeExecutor":
        """Be the factory of itself."""
        self.how = {"kind": kind, **how}
        return self

    def collect(self, selection: Selection) -> Catalog:
        self.selections.append(selection)
        return self._catalog

    def run(
        self,
        selection: Selection,
        on_outcome: Callable[[Outcome], None] | None = None,
        on_catalog: Callable[[Catalog], None] | None = None,
    ) -> Report:
        self.selections.append(selection)
        if on_catalog is not None:
            on_catalog(self._catalog)
        outcomes = self._runs.pop(0) if len(self._runs) > 1 else self._runs[0]
        told = []
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
            told.append(outcome)
            if on_outcome is not None:
                on_outcome(outcome)
        return Report(tuple(told), duration_s=0.001)

    def close(self) -> None:
        self.closed += 1


class Screen(io.StringIO):
    """A terminal, as far as a line of symbols needs one: it wraps, erases, moves and colours.

    Args:
        columns: How wide it is.
    """

    def __init__(self, columns: int = 80) -> None:
        super().__init__()
        self.columns = columns
        self.rows = [""]
        self.column = 0

    def isatty(self) -> bool:
        return True

    def write(self, text: str, /) -> int:
        for match in _TOKEN.finditer(text):
            number, command = match.groups()
            if command is None:
                self._put(match.group())
            elif command == "K":
                self.rows[-1] = self.rows[-1][: min(self.column, self.columns - 1)]
            elif command == "C":
                self.column = min(self.column + int(number), self.columns - 1)
            else:
                assert command == "m", f"unknown escape: {match.group()!r}"
        return len(text)

    def _put(self, character: str) -> None:
        if character == "\n":
            self.rows.append("")
            self.column = 0
        elif character == "\r":
            self.column = 0
        else:
            if self.column == self.columns:
                self.rows.append("")
                self.column = 0
            row = self.rows[-1].ljust(self.column)
            self.rows[-1] = row[: self.column] + character + row[self.column + 1 :]
            self.column += 1

    @property
    def text(self) -> str:
        return "\n".join(row.rstrip() for row in self.rows)


@pytest.fixture
def write_checks(tmp_path: Path) -> WriteChecks:
    """Write a module of checks into the folder where the command runs."""

    def write(source: str, name: str = "checks.py") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(source))
        return path

    return write


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """Run the real command in a folder of its own, bounded in time."""

    def run(*arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*COMMAND, *arguments],
            cwd=tmp_path,
            env=environment(**environ),
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )

    return run
