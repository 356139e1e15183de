"""Run checks in threads of this process: for applications whose own state the checks need.

Rule: a thread cannot be killed. One that outlives its deadline is left behind and remembered,
and its check is not started again before that thread has come to an end.
"""

import contextlib
import os
import queue
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from hospital.loading import Entry, Loaded, load
from hospital.model import Check, Outcome, Report, errors
from hospital.running.drive import Abandoned, Died, Driver, Event, Finished, Started, siblings
from hospital.running.executor import Catalog, Selection
from hospital.running.order import Plan, Work
from hospital.running.output import OnOutput, route_standard_streams
from hospital.running.places import Frame, innermost, shown
from hospital.running.selecting import select
from hospital.running.unit import run_unit
from hospital.running.workers import Workers

MOST_THREADS = 64
_OPTIMIZED = (
    "this Python runs with -O, which removes every assert: checks would pass whatever they find; "
    "run without -O, or in wards"
)


class ThreadExecutor:
    """Run checks in threads of this process; see :class:`hospital.running.executor.Executor`.

    Args:
        timeout_s: Seconds that a check may take which does not say otherwise.
        jobs: The most checks at a time.
        on_output: Called with the id of a check and text that it printed.
    """

    def __init__(
        self, *, timeout_s: float, jobs: int | None = None, on_output: OnOutput | None = None
    ) -> None:
        self._timeout_s = timeout_s
        self._jobs = min(jobs or MOST_THREADS, MOST_THREADS)
        self._on_output = on_output or (lambda _id, _text: None)
        self._lock = threading.Lock()
        self._loaded: tuple[tuple[str, ...], Loaded] | None = None
        self._engine: ThreadEngine | None = None

    def collect(self, selection: Selection) -> Catalog:
        """Return what is there under *selection*, imported into this process."""
        with self._lock:
            return _selected(self._load(selection), selection)[0]

    def run(
        self,
        selection: Selection,
        on_outcome: Callable[[Outcome], None] | None = None,
        on_catalog: Callable[[Catalog], None] | None = None,
    ) -> Report:
        """Run what is there under *selection*."""
        with self._lock:
            began, began_at = time.monotonic(), time.time()
            if not __debug__:
                return _report(errors([("python -O", _OPTIMIZED)]), (), began, began_at, on_outcome)
            loaded = self._load(selection)
            catalog, excluded = _selected(loaded, selection)
            plan = Plan(catalog.checks, excluded)
            if on_catalog is not None:
                on_catalog(catalog)
            if on_outcome is not None:
                for problem in catalog.problems:
                    on_outcome(problem)
            if self._engine is None or self._engine.pid != os.getpid():
                self._engine = ThreadEngine(self._jobs, self._on_output)
            self._engine.entries = loaded.entries
            undo = route_standard_streams()
            try:
                Driver(plan, self._engine, self._timeout_s, on_outcome).run()
            finally:
                undo()
            return _report(catalog.problems, plan.ordered(), began, began_at, None)

    def close(self) -> None:
        """Forget what was loaded; hanging threads end with the process."""
        self._loaded = None
        self._engine = None

    @property
    def hanging(self) -> dict[str, float]:
        """The checks whose threads hang, and since when (seconds since the epoch)."""
        return self._engine.hanging_now() if self._engine else {}

    def _load(self, selection: Selection) -> Loaded:
        if self._loaded is None or self._loaded[0] != selection.names or self._loaded[1].problems:
            self._loaded = (selection.names, load(selection.names))
        return self._loaded[1]


def _selected(loaded: Loaded, selection: Selection) -> tuple[Catalog, frozenset[str]]:
    catalog = Catalog(
        tuple(entry.check for entry in loaded.entries.values()),
        errors(loaded.problems, time.time()),
    )
    selected = select(catalog, selection)
    return Catalog(selected.checks, selected.problems), selected.excluded


def _report(
    problems: tuple[Outcome, ...],
    outcomes: tuple[Outcome, ...],
    began: float,
    began_at: float,
    on_outcome: Callable[[Outcome], None] | None,
) -> Report:
    if on_outcome is not None:
        for problem in problems:
            on_outcome(problem)
    return Report((*problems, *outcomes), began_at, time.monotonic() - began)


@dataclass(slots=True)
class _Assignment:
    work: Work
    ident: int = 0
    current: str = ""
    began_at: float = 0.0
    remaining: list[str] = field(default_factory=list)
    lost: bool = False
    red: set[str] = field(default_factory=set)

    @property
    def is_after_checks(self) -> bool:
        """Whether it has come to a fixture that is no part of any check."""
        return bool(self.current) and all(c.id != self.current for c in self.work.checks)


class ThreadEngine:
    """Threads of this process as an engine of :class:`hospital.running.drive.Driver`."""

    def __init__(self, jobs: int, on_output: OnOutput) -> None:
        self.pid = os.getpid()
        self.entries: dict[str, Entry] = {}
        self.hanging: dict[str, float] = {}
        self._jobs = jobs
        self._on_output = on_output
        self._events: queue.SimpleQueue[tuple[_Assignment, Event | None]] = queue.SimpleQueue()
        self._workers: Workers[_Assignment] = Workers(jobs, self._run, "hospital-check")
        self._assignments: list[_Assignment] = []
        self._noted: list[Event] = []

    @property
    def room(self) -> int:
        """How many more works it takes now."""
        return max(0, 2 * self._jobs - len(self._assignments))

    @property
    def busy(self) -> bool:
        """Whether a work has not ended."""
        return bool(self._assignments)

    def submit(self, work: Work) -> None:
        """Take a work."""
        assignment = _Assignment(work, remaining=[check.id for check in work.checks])
        self._assignments.append(assignment)
        self._workers.put(assignment)

    def wait(self, seconds: float) -> list[Event]:
        """Return what happened, waiting at most *seconds* for the first event."""
        if not self._noted:
            with contextlib.suppress(queue.Empty):
                self._note(*self._events.get(timeout=max(seconds, 0.0001)))
        self._drain()
        noted, self._noted = self._noted, []
        return noted

    def expire(self, check_id: str, phase: str) -> tuple[str, list[str]]:
        """Leave the thread behind; run what it would have run next in another."""
        for assignment in self._assignments:
            if assignment.current == check_id:
                break
        else:
            return "", []
        assignment.lost = True
        self._assignments.remove(assignment)
        self._workers.give_up_one()
        self.hanging[check_id] = assignment.began_at
        remaining = [id_ for id_ in assignment.remaining if id_ != check_id]
        kept_back = siblings(check_id, phase, remaining)
        rest = assignment.work.rest(remaining, {*assignment.red, check_id, *kept_back})
        if rest is not None:
            self.submit(rest)
        return _place_of(assignment.ident), kept_back

    def hanging_since(self, check_id: str) -> float | None:
        """Return since when an earlier instance of the check hangs."""
        self._drain()
        return self.hanging.get(check_id)

    def hanging_now(self) -> dict[str, float]:
        """Return the checks whose threads hang by now, and since when."""
        self._drain()
        return dict(self.hanging)

    def _drain(self) -> None:
        """Note what has been told by now."""
        with contextlib.suppress(queue.Empty):
            while True:
                self._note(*self._events.get_nowait())

    def _note(self, assignment: _Assignment, event: Event | None) -> None:
        if assignment.lost:
            if event is None:
                self.hanging.pop(assignment.current, None)
                self._workers.put_back_one()
            return
        if (event is None or isinstance(event, Started)) and assignment.is_after_checks:
            self._noted.append(Abandoned(assignment.current))
        if event is None:
            self._assignments.remove(assignment)
            return
        if isinstance(event, Started):
            assignment.current = event.id
            assignment.began_at = time.time() - (time.monotonic() - event.at)
        elif isinstance(event, Finished):
            if event.outcome.id in assignment.remaining:
                assignment.remaining.remove(event.outcome.id)
            if not event.outcome.status.is_green:
                assignment.red.add(event.outcome.id)
        self._noted.append(event)

    def _run(self, assignment: _Assignment) -> None:
        assignment.ident = threading.get_ident()
        watcher = _Watcher(assignment, self._events)
        checks: tuple[Check, ...] = assignment.work.checks
        try:
            run_unit([self.entries[check.id] for check in checks], watcher, self._on_output)
        except BaseException as error:  # noqa: BLE001 - a fault of ours must not lose the others
            reason = f"hospital could not run it: {type(error).__name__}: {error}"
            for id_ in list(assignment.remaining):
                self._events.put((assignment, Died(id_, reason)))
        finally:
            self._events.put((assignment, None))


class _Watcher:
    def __init__(
        self,
        assignment: _Assignment,
        events: "queue.SimpleQueue[tuple[_Assignment, Event | None]]",
    ) -> None:
        self._assignment = assignment
        self._events = events

    def started(self, check_id: str, phase: str) -> None:
        if self._assignment.lost:
            raise SystemExit  # what comes next runs elsewhere by now
        self._events.put((self._assignment, Started(check_id, phase, time.monotonic())))

    def finished(self, outcome: Outcome) -> None:
        self._events.put((self._assignment, Finished(outcome)))


def _place_of(ident: int) -> str:
    frame = sys._current_frames().get(ident)  # noqa: SLF001 - the documented way to see a thread
    frames: list[Frame] = []
    while frame is not None:
        code = frame.f_code
        frames.append((code.co_filename, frame.f_lineno or 0, code.co_name))
        frame = frame.f_back
    frames.reverse()
    found = innermost(frames)
    return shown(found) if found else ""
