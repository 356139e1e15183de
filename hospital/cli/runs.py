"""Run the checks of one command: once, or until they are green.

Rule: whatever cuts a run short, what is known by then is reported, and never as green.
"""

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from types import FrameType

from hospital.cli.console import Console, seconds
from hospital.cli.signals import Signals
from hospital.durations import format_duration
from hospital.model import Outcome, Report, Status
from hospital.running.executor import Catalog, Executor, Selection
from hospital.verdict import passed

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 2.0
SAY_EVERY_S = 60.0
_NAMED_AT_MOST = 5


class Overdue(KeyboardInterrupt):
    """The time of ``--wait`` is over, and a check still runs."""


class Progress:
    """How far a command is.

    Attributes:
        expected: The ids that will have an outcome; None until that is known.
        known: The outcomes of this try.
        began: When this try began, on the monotonic clock.
        attempt: Number of the try, from 1; 0 where there is only one.
        deadline: When the last try may begin, on the monotonic clock.
    """

    def __init__(self, deadline: float = 0.0) -> None:
        self.expected: tuple[str, ...] | None = None
        self.known: list[Outcome] = []
        self.began = 0.0
        self.attempt = 0
        self.deadline = deadline

    def status(self) -> str:
        """Return the line that a terminal shows."""
        count = len(self.known)
        done = "loading" if self.expected is None else f"{count} of {len(self.expected)} done"
        now = time.monotonic()
        if self.attempt:
            return f"try {self.attempt}, {seconds(self.deadline - now)} left: {done}"
        return f"{done}, {seconds(now - self.began)}"

    def unfinished(self) -> str:
        """Return how many checks have no outcome, and which."""
        if self.expected is None:
            return "the checks were still being loaded"
        seen = {outcome.id for outcome in self.known}
        missing = [id_ for id_ in self.expected if id_ not in seen]
        if not missing:
            return "all checks had finished"
        checks = "check" if len(missing) == 1 else "checks"
        return f"{len(missing)} {checks} had not finished: {_some(missing)}"


class CutShort(Exception):  # noqa: N818 - says what became of the run
    """A run that ended before its checks did.

    Attributes:
        report: What is known, with an ``error`` that says that it is not all.
        cause: Who or what ended it, and how many checks had not finished.
    """

    def __init__(self, report: Report, cause: str) -> None:
        super().__init__(cause)
        self.report = report
        self.cause = cause


def run_once(
    executor: Executor,
    selection: Selection,
    console: Console,
    signals: Signals,
    progress: Progress | None = None,
) -> Report:
    """Run *selection*, show outcomes as they arrive, and return the report.

    Raises:
        CutShort: If it was interrupted.
    """
    progress = progress or Progress()
    progress.expected, progress.known, progress.began = None, [], time.monotonic()
    began_at = time.time()

    def take(outcome: Outcome) -> None:
        progress.known.append(outcome)
        console.outcome(outcome)

    def expect(catalog: Catalog) -> None:
        signals.check()
        problems = tuple(problem.id for problem in catalog.problems)
        progress.expected = (*problems, *(check.id for check in catalog.checks))

    try:
        with console.while_running(progress.status):
            report = executor.run(selection, take, expect)
            signals.check()
    except KeyboardInterrupt as error:
        cause = f"{_who(error)}: {progress.unfinished()}"
        spent_s = time.monotonic() - progress.began
        cut = _cut_short(progress.known, cause, began_at, spent_s)
        console.outcome(cut.outcomes[-1])
        raise CutShort(cut, cause) from None
    for outcome in _unseen(report.outcomes, progress.known):
        console.outcome(outcome)
    return report


def run_until_green(  # noqa: PLR0913 - each is a fact of its own
    executor: Executor,
    selection: Selection,
    console: Console,
    signals: Signals,
    *,
    wait_s: float,
    grace_s: float,
    say: Callable[[str], None],
) -> Report:
    """Run *selection* again and again until it is green; return the report of the last try.

    No try begins later than *wait_s* after the start, and none lasts longer than *grace_s*
    beyond that: then it is cut short. Between two tries it pauses, 0.2 s at first, 2 s at most.

    Args:
        executor: Runs the checks.
        selection: What to run.
        console: Shows a status line, if it can.
        signals: What has been asked of this process meanwhile.
        wait_s: Seconds to try for.
        grace_s: Seconds that a try may outlast *wait_s*: the timeout of a check.
        say: Called with a line that says what is not green yet, once a minute at most; not
            called where the console shows a status line.

    Raises:
        CutShort: If it was interrupted or cut short.
    """
    began = time.monotonic()
    progress = Progress(deadline=began + wait_s)
    pause_s = FIRST_PAUSE_S
    said: float | None = None
    before: tuple[Outcome, ...] = ()
    while True:
        progress.attempt += 1
        try:
            with _cut_at(progress.deadline + grace_s):
                report = run_once(executor, selection, console, signals, progress)
        except CutShort as cut:
            raise _with_earlier(cut, before) from None
        now = time.monotonic()
        left_s = progress.deadline - now
        if passed(report) or left_s <= 0:
            return report
        before = report.outcomes
        if not console.shows_status and (said is None or now - said >= SAY_EVERY_S):
            said = now
            say(f"{_not_green(report)}; trying for another {format_duration(left_s)}")
        try:
            with console.while_running(partial(_waiting, progress, report)):
                time.sleep(min(pause_s, left_s))
        except KeyboardInterrupt as error:
            cause = f"{_who(error)} between two tries"
            spent_s = time.monotonic() - began
            raise CutShort(_cut_short(before, cause, report.time, spent_s), cause) from None
        pause_s = min(pause_s * 2, LONGEST_PAUSE_S)


@contextmanager
def _cut_at(moment: float) -> Iterator[None]:
    """Raise ``Overdue`` at *moment* of the monotonic clock; only the main thread can be cut."""
    from threading import current_thread, main_thread

    if current_thread() is not main_thread():
        yield
        return
    armed = True

    def raise_overdue(_signal: int, _frame: FrameType | None) -> None:
        if armed:
            raise Overdue

    before = signal.signal(signal.SIGALRM, raise_overdue)
    signal.setitimer(signal.ITIMER_REAL, max(0.01, moment - time.monotonic()))
    try:
        yield
    finally:
        armed = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _who(error: KeyboardInterrupt) -> str:
    if isinstance(error, Overdue):
        return "the time to wait is over"
    return f"interrupted by {error.args[0]}" if error.args else "interrupted"


def _cut_short(known: Sequence[Outcome], cause: str, began_at: float, spent_s: float) -> Report:
    """Return what is *known* as a report that is not green, whatever is known."""
    missing = Outcome(
        id="hospital.cli",
        title="The run is complete.",
        status=Status.ERROR,
        reason=cause,
        time=began_at,
        duration_s=spent_s,
    )
    return Report((*known, missing), time=began_at, duration_s=spent_s)


def _with_earlier(cut: CutShort, before: Sequence[Outcome]) -> CutShort:
    """Return *cut* with what an earlier try says of the checks that this one did not reach."""
    seen = {outcome.id for outcome in cut.report.outcomes}
    earlier = tuple(outcome for outcome in before if outcome.id not in seen)
    report = cut.report
    return CutShort(Report((*earlier, *report.outcomes), report.time, report.duration_s), cut.cause)


def _unseen(outcomes: Sequence[Outcome], seen: Sequence[Outcome]) -> list[Outcome]:
    """Return those of *outcomes* that were not shown when they arrived."""
    if len(outcomes) == len(seen):
        return []
    shown = {outcome.id for outcome in seen}
    return [outcome for outcome in outcomes if outcome.id not in shown]


def _not_green(report: Report) -> str:
    red = [outcome for outcome in report.outcomes if outcome.status.is_red]
    if not red:
        return "not green yet: nothing held"
    names = [f"{outcome.id} ({outcome.status})" for outcome in red]
    return f"not green yet: {_some(names)}"


def _some(names: Sequence[str]) -> str:
    """Return the first of *names*, and how many more there are."""
    from hospital.redaction import clean_line

    more = f" and {len(names) - _NAMED_AT_MOST} more" if len(names) > _NAMED_AT_MOST else ""
    return ", ".join(map(clean_line, names[:_NAMED_AT_MOST])) + more


def _waiting(progress: Progress, report: Report) -> str:
    red = sum(outcome.status.is_red for outcome in report.outcomes)
    left_s = progress.deadline - time.monotonic()
    state = f"{red} of {len(report.outcomes)} not green"
    return f"try {progress.attempt + 1} soon, {seconds(left_s)} left: {state}"
