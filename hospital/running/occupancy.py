"""What a ward has been given, how far it has got, and what its end or its silence means."""

import os
import signal
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from hospital.running import protocol
from hospital.running.loadable import Load
from hospital.running.order import Work
from hospital.running.output import MOST_CHARACTERS
from hospital.running.places import frames_in_dump, innermost, shown
from hospital.running.process import WardProcess

SILENCE_S = 0.5
"""Without a tick for so long, somebody holds the ward's interpreter."""

EOF_GRACE_S = 0.2
"""So long may a process live on after its channel is closed: it is about to end."""

_LONGEST_LINE = 8192

BEGIN_S = 10.0
"""Within this a ward has to begin the one work that it was made for."""


@dataclass(slots=True, eq=False)
class Assignment:
    """A work, and how far a ward has got with it."""

    number: int
    work: Work
    remaining: list[str]
    given_at: float
    current: str = ""
    thread: int = 0
    lost: bool = False
    red: set[str] = field(default_factory=set)

    @property
    def started(self) -> bool:
        """Whether the ward has begun it."""
        return bool(self.current)

    @property
    def is_after_checks(self) -> bool:
        """Whether it has come to a fixture that is no part of any check."""
        return self.started and all(check.id != self.current for check in self.work.checks)

    @property
    def is_between_checks(self) -> bool:
        """Whether the fixtures of a check that has finished may still have been under way."""
        return self.started and self.current not in self.remaining

    def rest_with_fixture(self) -> Work:
        """Return what is left to run, and before it what ran last, for the fixtures around it."""
        finished = [check for check in self.work.checks if check.id not in self.remaining]
        rest = self.rest()
        return replace(self.work, checks=(*finished[-1:], *(rest.checks if rest else ())))

    def rest(self, without: Iterable[str] = ()) -> Work | None:
        """Return what is left to run of it."""
        return self.work.rest(self.remaining, {*self.red, *without})


@dataclass(slots=True, eq=False)
class Ward:
    """A ward with what it has been given.

    Attributes:
        process: The process.
        load: How far it has got with loading.
        alone: Whether it was made for one work.
        condemned: Whether it gets no more work, and dies when its innocent works have ended.
        number: What its zygote knows it by.
        assignments: By number, what it was given and has not ended.
        deferred: What may run elsewhere as soon as it is dead.
    """

    process: WardProcess
    load: Load
    alone: bool = False
    condemned: bool = False
    number: int = 0
    assignments: dict[int, Assignment] = field(default_factory=dict)
    deferred: list[Work] = field(default_factory=list)
    _line: str = ""
    _left: int = MOST_CHARACTERS

    @property
    def running(self) -> list[Assignment]:
        """Works that it has begun, but for those beyond their deadline."""
        return [each for each in self.assignments.values() if each.started and not each.lost]

    @property
    def speaker(self) -> str:
        """Who writes to its descriptors 1 and 2, as far as that can be told."""
        if not self.load.done and self.load.module:
            return self.load.module
        running = self.running
        return running[0].current if len(running) == 1 else f"ward {self.process.pid}"

    def whole_lines(self, text: str, *, is_last: bool = False) -> str:
        """Return the whole lines of what came, and no flood of it; the rest waits for its end."""
        text = self._line + text
        lines, newline, self._line = text.rpartition("\n")
        if is_last or len(self._line) > _LONGEST_LINE:
            lines, self._line = text.strip("\n"), ""
        elif not newline:
            return ""
        shown, was_open = lines[: self._left], self._left > 0
        self._left -= len(shown)
        if was_open and not self._left:
            shown += f"\n… [the rest of over {MOST_CHARACTERS} characters is cut]"
        return shown

    def refill(self) -> None:
        """Let it write as much again: a new run begins."""
        self._left = MOST_CHARACTERS

    @property
    def waiting(self) -> list[Assignment]:
        """Works that it has not begun."""
        return [each for each in self.assignments.values() if not each.started]


def is_over(ward: Ward, now: float) -> bool:
    """Return whether *ward* has ended, or is to be ended for what it does not do."""
    process = ward.process
    if process.poll_exit():
        return True
    if ward.alone and ward.load.done and ward.waiting and now - process.heard_at > BEGIN_S:
        return True
    return ward.load.overdue(now) or (process.eof and now - process.eof_at > EOF_GRACE_S)


def is_quiet(ward: Ward, now: float) -> bool:
    """Return whether a working ward has missed ticks, so that it had better get no more work."""
    return bool(ward.running) and now - ward.process.heard_at > SILENCE_S / 2


def how_it_ended(ward: Ward, now: float) -> str:
    """Return what the end or the silence of *ward* says of the check that ran in it."""
    process = ward.process
    if not ward.load.done and not process.eof and not process.poll_exit():
        frames = frames_in_dump(process.stacks(), 0)
        place = innermost(frames)
        where = f" at {shown(place)}" if place else ""
        return f"did not finish within {ward.load.patience_s:g} s{where}"
    if process.garbled:
        return "the check wrote into the channel of its ward"
    status = process.status
    if status is None and not process.eof:
        return f"its ward did not begin it within {BEGIN_S:g} s"
    if status is None and process.eof and now - process.eof_at > EOF_GRACE_S:
        return "the check closed descriptors that are not its own"
    return _in_words(status)


def _in_words(status: int | None) -> str:
    if status is None:
        return "the check ended its process"
    code = os.waitstatus_to_exitcode(status)
    if code == protocol.LOST_CHANNEL_EXIT:
        return "the check closed descriptors that are not its own"
    if code >= 0:
        return f"the check ended its process (exit {code})"
    try:
        name = f", {signal.Signals(-code).name}"
    except ValueError:
        name = ""
    return f"the check ended its process (signal {-code}{name})"
