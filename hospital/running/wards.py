"""Run checks in wards: child processes that can be killed, one check at the cost of itself."""

import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from hospital.model import Outcome, Report, errors
from hospital.running.drive import Driver
from hospital.running.engine import Manner, WardEngine
from hospital.running.executor import Catalog, Selection
from hospital.running.import_path import standard_first
from hospital.running.loadable import Broken, Load, Stamp
from hospital.running.order import Plan
from hospital.running.output import OnOutput
from hospital.running.process import WardProcess, new_token
from hospital.running.selecting import Selected, select
from hospital.running.sweep import leftovers, reap, sweep

_LOAD_PATIENCE_S = 10.0


class WardExecutor:
    """Run checks in wards; see :class:`hospital.running.executor.Executor`.

    Wards stay between runs, so that modules are imported once, and are renewed when a file
    that they imported has changed.

    Args:
        timeout_s: Seconds that a check may take which does not say otherwise.
        jobs: The most checks at a time.
        nice: How much the wards yield to other processes, 0 to 19.
        on_output: Called with the id of a check and text that it printed.
        started: The token, and a ward that was started with it and has loaded nothing yet.
    """

    def __init__(
        self,
        *,
        timeout_s: float,
        jobs: int | None = None,
        nice: int = 0,
        on_output: OnOutput | None = None,
        started: tuple[str, WardProcess | None] | None = None,
    ) -> None:
        self._timeout_s = timeout_s
        token, self._first = started or (new_token(), None)
        self._manner = Manner(jobs, nice, token, on_output or (lambda _id, _text: None))
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._patience_s = max(timeout_s, _LOAD_PATIENCE_S)
        self._closed = False
        self._undead: dict[str, tuple[float, int]] = {}
        self._broken = Broken()
        self._engine: WardEngine | None = None
        self._names: tuple[str, ...] = ()
        self._stamps: tuple[Stamp, ...] | None = None

    def collect(self, selection: Selection) -> Catalog:
        """Return what is there under *selection*, imported in a ward."""
        with self._lock:
            _engine, selected = self._prepare(selection)
            return Catalog(selected.checks, selected.problems)

    def run(
        self,
        selection: Selection,
        on_outcome: Callable[[Outcome], None] | None = None,
        on_catalog: Callable[[Catalog], None] | None = None,
    ) -> Report:
        """Run what is there under *selection*."""
        with self._lock:
            began, began_at = time.monotonic(), time.time()
            engine, selected = self._prepare(selection)
            if on_catalog is not None:
                on_catalog(Catalog(selected.checks, selected.problems))
            if on_outcome is not None:
                for problem in selected.problems:
                    on_outcome(problem)
            plan = Plan(selected.checks, selected.excluded)
            try:
                Driver(plan, engine, self._timeout_s, on_outcome).run()
            except BaseException:
                self._end()
                raise
            self._tidy(engine)
            outcomes = (*selected.problems, *plan.ordered())
            return Report(outcomes, began_at, time.monotonic() - began)

    def close(self) -> None:
        """End all wards and all that checks left behind; a run under way is cut short."""
        self._closed = True
        engine = self._engine
        if engine is not None:
            engine.stopping = True
        with self._lock:
            self._end()

    def _prepare(self, selection: Selection) -> tuple[WardEngine, Selected]:
        engine = self._fresh_engine(selection)
        load = engine.load_first()
        self._stamps = load.stamps
        if self._broken.current():
            self._stamps = None
        catalog = Catalog(load.checks, errors(load.problems, time.time()))
        return engine, select(catalog, selection)

    def _fresh_engine(self, selection: Selection) -> WardEngine:
        self._broken.expire()
        if self._pid != os.getpid():
            self._begin_anew_after_fork()
        if self._engine is not None and (self._names != selection.names or self._is_stale()):
            self._end()
        if self._engine is None:
            self._names = selection.names
            self._engine = WardEngine(self._load, self._manner, self._undead, self._first)
            self._engine.stopping = self._closed
            self._first = None
        return self._engine

    def _begin_anew_after_fork(self) -> None:
        if self._first is not None:
            self._first.close()
        if self._engine is not None:
            self._engine.abandon()
        self._pid, self._first, self._engine = os.getpid(), None, None
        self._manner = replace(self._manner, token=new_token())

    def _load(self) -> Load:
        return Load(
            names=self._names,
            path=_absolute_path(),
            patience_s=self._patience_s,
            broken=self._broken,
        )

    def _is_stale(self) -> bool:
        if self._stamps is None:
            return True
        from hospital.running.stamps import stamp_of

        return any(stamp_of(stamp[0]) != stamp for stamp in self._stamps)

    def _tidy(self, engine: WardEngine) -> None:
        """End what the run has spoiled or left behind; what it has not stays warm."""
        engine.settle()
        known = engine.pids | self._undead_pids
        reap(known)
        if leftovers(self._manner.token, known):
            self._end()

    def _end(self) -> None:
        if self._first is not None:
            self._first.kill()
            self._first.close()
            self._first = None
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.close()
            sweep(self._manner.token, engine.pids | self._undead_pids)

    @property
    def _undead_pids(self) -> set[int]:
        return {pid for _since, pid in self._undead.values()}


def _absolute_path() -> tuple[str, ...]:
    try:
        here = str(Path.cwd())
    except OSError:  # it has been removed
        here = os.sep
    entries = (str(Path(here, entry)) if entry else here for entry in sys.path)
    return tuple(standard_first(entries))
