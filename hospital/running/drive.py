"""Take a plan through an engine: start what may start, keep the deadlines, collect outcomes.

An engine is where checks run: threads of this process, or wards. Both are driven from here, so
that deadlines, requirements and outcomes mean the same in both.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

from hospital.durations import format_duration
from hospital.model import Check, Outcome, Status
from hospital.running.order import TEST, Plan, Work

_LONGEST_WAIT_S = 0.05

_SHORT_WAIT_S = 0.3
"""A check that waits longer than this to be run again gets the wait back."""

_CLASS_FIXTURE = "setUpClass"


@dataclass(frozen=True, slots=True)
class Started:
    """A check began, or a fixture on its behalf.

    Attributes:
        id: The check; for a fixture after its checks, a name of its own.
        phase: ``test``, or the name of the fixture.
        at: Monotonic time, seconds.
    """

    id: str
    phase: str
    at: float


@dataclass(frozen=True, slots=True)
class Finished:
    """A check has its outcome."""

    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Died:
    """A check, or what runs it, came to an end without an outcome."""

    id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Abandoned:
    """What was under way in a place that is no more will not be heard of again."""

    id: str


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The place in which it ran is no more, by no fault of its own; it will be started again."""

    id: str


Event = Started | Finished | Died | Abandoned | Interrupted


class Engine(Protocol):
    """Where checks run."""

    @property
    def room(self) -> int:
        """How many more works it takes now."""

    @property
    def busy(self) -> bool:
        """Whether a work that it took has not ended."""

    def submit(self, work: Work) -> None:
        """Take a work; run it when it can."""

    def wait(self, seconds: float) -> list[Event]:
        """Return what happened, waiting at most *seconds* for the first event."""

    def expire(self, check_id: str, phase: str) -> tuple[str, list[str]]:
        """Give up on what is beyond its deadline, and see to it that nothing of it lives on.

        Returns:
            Where it hangs, as text (may be empty), and the ids of the checks which
            the same fixture keeps from running.
        """

    def hanging_since(self, check_id: str) -> float | None:
        """Return since when (seconds since the epoch) an earlier instance hangs."""


@dataclass(slots=True)
class _Flight:
    phase: str
    began_at: float
    deadline: float
    paused_at: float = 0.0


@dataclass(slots=True)
class Driver:
    """One run.

    Args:
        plan: What to run.
        engine: Where.
        timeout_s: Seconds that a check may take which does not say otherwise.
        on_outcome: Called with each outcome as it becomes known.
    """

    plan: Plan
    engine: Engine
    timeout_s: float
    on_outcome: Callable[[Outcome], None] | None = None
    _checks: dict[str, Check] = field(default_factory=dict)
    _flights: dict[str, _Flight] = field(default_factory=dict)
    _first: dict[str, _Flight] = field(default_factory=dict)

    def run(self) -> None:
        """Run until each check has its outcome and each fixture has ended."""
        self._checks = {check.id: check for check in self.plan.undecided}
        self._tell(self.plan.start())
        while not self.plan.done or self.engine.busy:
            self._start_what_may()
            for event in self.engine.wait(self._patience()):
                self._take(event)
            self._expire(time.monotonic())

    def _start_what_may(self) -> None:
        while self.plan.has_ready:
            works = self.plan.take(self.engine.room)
            if not works:
                return
            for work in works:
                self._submit(work)

    def _submit(self, work: Work) -> None:
        kept = []
        for check in work.checks:
            since = self.engine.hanging_since(check.id)
            if since is None:
                kept.append(check.id)
            else:
                when = datetime.fromtimestamp(since, UTC).isoformat(timespec="seconds")
                reason = f"still hanging since {when}; not started a second time"
                self._record(Outcome.of(check, Status.ERROR, reason, time=since))
        rest = work.rest(kept, [check.id for check in work.checks if check.id not in kept])
        if rest is not None:
            self.engine.submit(rest)

    def _take(self, event: Event) -> None:
        if isinstance(event, Started):
            self._started(event)
        elif isinstance(event, Finished):
            self._flights.pop(event.outcome.id, None)
            self._record(event.outcome)
        elif isinstance(event, Abandoned):
            self._flights.pop(event.id, None)
        elif isinstance(event, Interrupted):
            if event.id in self._flights:
                self._flights[event.id].paused_at = time.monotonic()
        else:
            self._fail(event.id, event.reason)

    def _started(self, event: Started) -> None:
        at = min(event.at, time.monotonic())  # the clock of a ward is as good as its checks
        flight = _Flight(event.phase, at, at + self._timeout(event.id))
        if event.phase == TEST and event.id not in self.plan.outcomes:
            # Against its first deadline, however often it has to be run again.
            flight = self._first.setdefault(event.id, flight)
            waited = at - flight.paused_at if flight.paused_at else 0.0
            flight.paused_at = 0.0
            if waited > _SHORT_WAIT_S:  # by no fault of its own
                flight.deadline += waited
        self._flights[event.id] = flight

    def _expire(self, now: float) -> None:
        late = [
            (id_, flight)
            for id_, flight in self._flights.items()
            if flight.deadline <= now and not flight.paused_at
        ]
        for id_, flight in late:
            if id_ not in self._flights:
                continue
            place, others = self.engine.expire(id_, flight.phase)
            limit = format_duration(self._timeout(id_))
            inside = "" if flight.phase == TEST else f" in {flight.phase}"
            reason = f"timed out after {limit}{inside}" + (f" at {place}" if place else "")
            self._fail(id_, reason)
            for other in others:
                self._fail(other, reason)

    def _fail(self, id_: str, reason: str) -> None:
        flight = self._flights.pop(id_, None)
        if id_ in self.plan.outcomes:
            return
        took = time.monotonic() - flight.began_at if flight else 0.0
        check = self._checks.get(id_) or Check(id=id_, title=id_, unit=id_)
        self._record(
            Outcome.of(check, Status.ERROR, reason, time=time.time() - took, duration_s=took)
        )

    def _record(self, outcome: Outcome) -> None:
        self._tell(self.plan.record(outcome))

    def _tell(self, outcomes: Iterable[Outcome]) -> None:
        if self.on_outcome is not None:
            for outcome in outcomes:
                self.on_outcome(outcome)

    def _timeout(self, id_: str) -> float:
        check = self._checks.get(id_)
        return self.timeout_s if check is None or check.timeout_s is None else check.timeout_s

    def _patience(self) -> float:
        if not self._flights:
            return _LONGEST_WAIT_S
        soonest = min(
            (flight.deadline for flight in self._flights.values() if not flight.paused_at),
            default=time.monotonic() + _LONGEST_WAIT_S,
        )
        return min(_LONGEST_WAIT_S, max(0.0, soonest - time.monotonic()))


def siblings(check_id: str, phase: str, remaining: Iterable[str]) -> list[str]:
    """Return which of the *remaining* checks of a work a hanging fixture keeps from running."""
    if phase == "setUpModule":
        return list(remaining)
    if phase == _CLASS_FIXTURE:
        case = check_id.rpartition(".")[0]
        return [each for each in remaining if each.rpartition(".")[0] == case]
    return []
