"""One run for however many ask at the same time.

Rules: at most one run at a time; nobody waits longer than the request timeout; whatever a run
does, all who wait for it get an answer.
"""

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from hospital.durations import format_duration
from hospital.logs import get_logger
from hospital.redaction import clean, clean_line, to_text
from hospital.running.executor import Executor, Selection
from hospital.running.output import OnOutput
from hospital.verdict import http_status
from hospital.web.answers import SERVER_ERROR, UNAVAILABLE, Answer, fault
from hospital.web.incidents import Incidents
from hospital.web.output import CheckOutput

_CLOSE_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is run on demand, and how long its reports are served.

    A report is served again for *ttl_s* after its run has *ended*. With 0 each request gets a
    run that ended after the request came, with one exception: a run that took so long that
    somebody went away with a 503 serves one more caller, who comes within *request_timeout_s*
    of its end. Otherwise nobody would ever see the report of slow checks.

    Attributes:
        selection: What to run.
        make_executor: Returns the executor; takes what gets the output of checks. Called in
            the thread that runs, with the first run of each process.
        ttl_s: Seconds for which a report is served again.
        request_timeout_s: Seconds that a caller waits at most.
        fail_status: HTTP status of a report that is not green.
        clock: Seconds that only ever grow.
    """

    selection: Selection
    make_executor: Callable[[OnOutput], Executor]
    ttl_s: float = 0.0
    request_timeout_s: float = 30.0
    fail_status: int = SERVER_ERROR
    clock: Callable[[], float] = time.monotonic


@dataclass(slots=True)
class _Flight:
    """One run, and those who wait for it."""

    landed: threading.Event = field(default_factory=threading.Event)
    answer: Answer | None = None
    late: Answer | None = None


@dataclass(slots=True)
class _Preparation:
    """The loading of what runs will need, and who waits for it."""

    done: threading.Event = field(default_factory=threading.Event)
    fault: str = ""


class SharedRuns:
    """Runs checks in a thread of its own, one run at a time, and shares each run.

    Args:
        plan: What to run, and how long its reports are served.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._logger = get_logger("hospital.web")
        self._incidents = Incidents(self._logger)
        self._output = CheckOutput(get_logger("hospital.checks"))
        self._lock = threading.Lock()
        self._flights: queue.SimpleQueue[_Flight | _Preparation | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._executor: Executor | None = None
        self._flight: _Flight | None = None
        self._kept: Answer | None = None
        self._owed: Answer | None = None
        self._closed = False

    def get(self) -> Answer:
        """Return an answer: a kept one, that of the run under way, or of a new one."""
        kept = self._kept
        if kept is not None and self._is_younger(kept, self._plan.ttl_s):
            return kept
        with self._lock:
            flight = self._flight
            if flight is None:
                ready = self._ready_answer()
                if ready is not None:
                    return ready
                flight = self._flight = _Flight()
                self._launch(flight)
        flight.landed.wait(self._plan.request_timeout_s)
        with self._lock:
            if flight.answer is not None:
                return flight.answer
            if flight.late is None:
                flight.late = self._late_answer()
            return flight.late

    def prepare(self, timeout_s: float) -> str:
        """Load the checks, so that the first run finds them loaded; wait *timeout_s* at most.

        The thread that runs does it, so whoever asks meanwhile waits for it and then for a run.

        Returns:
            One line that says why there are no runs to be had, or some checks are missing;
            empty where all is well.
        """
        preparation = _Preparation()
        with self._lock:
            if self._closed:
                return ""
            try:
                self._enqueue(preparation)
            except RuntimeError as error:
                return clean_line(f"{type(error).__name__}: {to_text(error)}")
        if not preparation.done.wait(timeout_s):
            return f"the checks were not loaded within {format_duration(timeout_s)}"
        return preparation.fault

    def close(self) -> None:
        """End everything that was started; who asks later gets a 503."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._kept = self._owed = None
            thread, executor = self._thread, self._executor
        self._flights.put(None)
        if executor is not None:
            try:
                executor.close()
            except Exception:
                self._logger.exception("close_failed")
        if thread is not None and thread is not threading.current_thread():
            thread.join(_CLOSE_TIMEOUT_S)

    def _is_younger(self, answer: Answer, limit_s: float) -> bool:
        return limit_s > 0 and self._plan.clock() - answer.ended_at <= limit_s

    def _ready_answer(self) -> Answer | None:
        """Return what can be answered without a run, with the lock held."""
        if self._closed:
            return self._closing()
        owed, self._owed = self._owed, None
        if owed is not None and self._is_younger(owed, self._plan.request_timeout_s):
            return owed
        kept = self._kept  # by somebody else, since it was looked at without the lock
        if kept is not None and self._is_younger(kept, self._plan.ttl_s):
            return kept
        return None

    def _launch(self, flight: _Flight) -> None:
        try:
            self._enqueue(flight)
        except RuntimeError as error:
            self._land(flight, self._failure(error))

    def _enqueue(self, order: _Flight | _Preparation) -> None:
        """Give *order* to the thread, which begins with the first one; with the lock held.

        Raises:
            RuntimeError: If there can be no thread.
        """
        if self._thread is None:
            thread = threading.Thread(target=self._fly, name="hospital-run", daemon=True)
            thread.start()
            self._thread = thread
        self._flights.put(order)

    def _fly(self) -> None:
        # One thread for all runs: who asked may leave, and the run goes on.
        while (order := self._flights.get()) is not None:
            if isinstance(order, _Preparation):
                order.fault = self._prepare()
                order.done.set()
                continue
            answer, is_report = self._landing()
            with self._lock:
                if is_report and not self._closed:
                    self._kept = answer
                    self._owed = answer if order.late is not None else None
                self._land(order, answer)

    def _prepare(self) -> str:
        """Return what could not be loaded, in one line, whatever the executor does."""
        try:
            collect = getattr(self._take_executor(), "collect", None)  # somebody's own may lack it
            problems = collect(self._plan.selection).problems if callable(collect) else ()
        except BaseException as error:  # noqa: BLE001 - this thread is the only one that answers
            return "" if self._closed else clean_line(f"{type(error).__name__}: {to_text(error)}")
        if not problems:
            return ""
        first, more = problems[0], len(problems) - 1
        named = first.reason if first.id in first.reason else f"{first.id}: {first.reason}"
        return clean_line(named) + (f" (and {more} more)" if more else "")

    def _landing(self) -> tuple[Answer, bool]:
        """Return an answer in any case, and whether it is the report of a run."""
        try:
            return self._run(), True
        except BaseException as error:  # noqa: BLE001 - all who wait get an answer
            failure = error
        try:
            return (self._closing() if self._closed else self._failure(failure)), False
        except BaseException:  # noqa: BLE001 - this thread is the only one that answers
            report = fault("run", "The checks can be run.", "no resources are left", time.time())
            return Answer(report, SERVER_ERROR, incidents={}), False

    def _land(self, flight: _Flight, answer: Answer) -> None:
        flight.answer = answer
        self._flight = None
        flight.landed.set()

    def _run(self) -> Answer:
        began_at = self._plan.clock()
        executor = self._take_executor()
        try:
            report = executor.run(self._plan.selection)
        finally:
            self._output.end_run()
        ended_at = self._plan.clock()
        return Answer(
            report,
            http_status(report, self._plan.fail_status),
            incidents=self._incidents.of(report),
            began_at=began_at,
            ended_at=ended_at,
        )

    def _take_executor(self) -> Executor:
        if self._executor is None:
            executor = self._plan.make_executor(self._output)
            with self._lock:
                self._executor = executor
                closed = self._closed
            if closed:
                executor.close()
        return self._executor

    def _failure(self, error: BaseException) -> Answer:
        reason = clean(f"{type(error).__name__}: {to_text(error)}")
        answer = self._fault("The checks can be run.", reason, SERVER_ERROR)
        self._logger.error("run_failed", exc_info=error)
        return answer

    def _closing(self) -> Answer:
        reason = "hospital is closing and runs nothing more; ask another worker, or later"
        return self._fault("The service is open.", reason, UNAVAILABLE)

    def _late_answer(self) -> Answer:
        limit = format_duration(self._plan.request_timeout_s)
        reason = (
            f"the run did not end within {limit}; it goes on, and its report is for who asks"
            " next: shorten the timeouts of checks, or raise HOSPITAL_REQUEST_TIMEOUT"
        )
        return self._fault(f"The run ends within {limit}.", reason, UNAVAILABLE)

    def _fault(self, title: str, reason: str, code: int) -> Answer:
        report = fault("run", title, reason, time.time())
        return Answer(report, code, incidents=Incidents(self._logger).of(report))
