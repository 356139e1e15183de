"""Run the checks of a unit in one thread, in order, with the fixtures of class and module.

A unit is what unittest would run between two fixtures: a class, a module with fixtures of its
own, or a single check.
"""

import os
import sys
import time
import unittest
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Protocol

from hospital.entries import Entry, settle
from hospital.model import Outcome, Status
from hospital.redaction import clean
from hospital.running.meaning import Found, found_in
from hospital.running.one import LONGEST_TRACE, run_one
from hospital.running.order import TEST, unmet
from hospital.running.output import OnOutput, printing_as

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from types import ModuleType


class Watcher(Protocol):
    """Told what happens in a unit, in its thread."""

    def started(self, check_id: str, phase: str) -> None:
        """Take that a check, or a fixture on its behalf, starts now."""

    def finished(self, outcome: Outcome) -> None:
        """Take an outcome."""


def run_unit(entries: Sequence[Entry], watcher: Watcher, on_output: OnOutput) -> None:
    """Run *entries* in order; tell *watcher* an outcome for each.

    A fixture that fails gives each check that needed it an ``error``, one that skips a ``skip``.
    A fixture that fails after its checks gives an outcome of its own.
    """
    unit = _Unit(watcher, on_output)
    for entry in entries:
        unit.run(entry)
    unit.leave_module()


class _Unit:
    """Where a unit is: which module and class have been set up, and what went wrong there."""

    def __init__(self, watcher: Watcher, on_output: OnOutput) -> None:
        self._watcher = watcher
        self._on_output = on_output
        self._module: ModuleType | None = None
        self._module_fault: Found | None = None
        self._module_cleanups: list[Any] = []
        self._case: type[unittest.TestCase] | None = None
        self._class_fault: Found | None = None
        self._class_id = ""
        self._known: dict[str, Status] = {}
        self._causes: dict[str, str] = {}

    def run(self, entry: Entry) -> None:
        check = entry.check
        fault = self._unmet(entry)
        if fault is None:
            self._enter(entry)
            fault = self._module_fault or (self._class_fault if entry.case else None)
        if fault is not None:
            status, reason, frames = fault
            shown = clean(frames, LONGEST_TRACE)
            outcome = Outcome.of(check, status, clean(reason), trace=shown, time=time.time())
        else:
            self._watcher.started(check.id, TEST)
            with self._own_cleanups():
                outcome = run_one(entry, self._on_output)
        self._known[check.id] = outcome.status
        self._watcher.finished(outcome)

    def _unmet(self, entry: Entry) -> Found | None:
        for required in entry.check.requires:
            status = self._known.get(required)
            if status is not None and not status.is_green:
                cause = self._causes.get(required, required)
                self._causes[entry.check.id] = cause
                return Status.SKIP, unmet(cause, self._known[cause]), ""
        return None

    def _enter(self, entry: Entry) -> None:
        case = entry.case
        if case is not None and case is self._case:
            return
        module = sys.modules.get(entry.module)
        if case is not None or module is not self._module:
            self._leave_class()
        if module is not self._module:
            self.leave_module()
            self._module = module
            set_up = _held(module, "setUpModule")
            self._module_fault = self._fixture(entry.check.id, "setUpModule", set_up)
        if case is None:
            return
        self._case = case
        self._class_id = entry.check.id.rpartition(".")[0]
        self._class_fault = None
        if self._module_fault is None and not getattr(case, "__unittest_skip__", False):
            set_up = case.setUpClass if _overridden(case, "setUpClass") else None
            self._class_fault = self._fixture(entry.check.id, "setUpClass", set_up)
            if self._class_fault is not None:
                self._clean_up(case)

    def _leave_class(self) -> None:
        case, self._case = self._case, None
        if case is None or self._class_fault or self._module_fault:
            return
        if getattr(case, "__unittest_skip__", False):
            return
        if _overridden(case, "tearDownClass"):
            self._after(f"{self._class_id}.tearDownClass", "tearDownClass", case.tearDownClass)
        self._clean_up(case)

    def _clean_up(self, case: Any) -> None:
        if getattr(case, "_class_cleanups", ()):
            name = f"{self._class_id}.doClassCleanups"
            self._after(name, "doClassCleanups", case.doClassCleanups)
            for info in case.tearDown_exceptions:
                self._report(name, found_in(info[1]))

    def leave_module(self) -> None:
        self._leave_class()
        module, self._module = self._module, None
        if module is None:
            return
        tear_down = _held(module, "tearDownModule")
        if tear_down is not None and self._module_fault is None:
            self._after(f"{module.__name__}.tearDownModule", "tearDownModule", tear_down)
        while self._module_cleanups:
            function, args, kwargs = self._module_cleanups.pop()
            name = f"{module.__name__}.doModuleCleanups"
            self._after(name, "doModuleCleanups", lambda: function(*args, **kwargs))  # noqa: B023 - called at once
        self._module_fault = None

    def _fixture(
        self, check_id: str, phase: str, fixture: Callable[[], object] | None
    ) -> Found | None:
        if fixture is None:
            return None
        found = self._call(check_id, phase, fixture)
        if found is None or found[0] is Status.SKIP:
            return found
        return Status.ERROR, f"{phase}: {found[1]}", found[2]

    def _after(self, name: str, phase: str, fixture: Callable[[], object]) -> None:
        found = self._call(name, phase, fixture)
        if found is not None:
            self._report(name, found)

    def _call(self, name: str, phase: str, fixture: Callable[[], object]) -> Found | None:
        pid = os.getpid()
        self._watcher.started(name, phase)
        try:
            with printing_as(name, self._on_output), self._own_cleanups():
                settle(fixture())
        except BaseException as error:  # noqa: BLE001 - a fixture may raise anything
            found: Found | None = found_in(error)
        else:
            found = None
        if os.getpid() != pid:
            os._exit(0)  # a child that came back from the fixture's own fork has nothing to say
        return found

    def _own_cleanups(self) -> "AbstractContextManager[None]":
        if _held(self._module, "setUpModule") is None:
            return nullcontext()
        from hospital.running.module_cleanups import cleaning_up_into

        return cleaning_up_into(self._module_cleanups)

    def _report(self, name: str, found: Found) -> None:
        status, reason, frames = found
        self._watcher.finished(
            Outcome(
                id=name,
                title=name,
                status=Status.SKIP if status is Status.SKIP else Status.ERROR,
                reason=clean(reason),
                trace=clean(frames, LONGEST_TRACE),
                time=time.time(),
            )
        )


def _held(module: "ModuleType | None", name: str) -> Any:
    return None if module is None else vars(module).get(name)


def _overridden(case: type[unittest.TestCase], name: str) -> bool:
    mine: Any = getattr(case, name)
    standard: Any = getattr(unittest.TestCase, name)
    return getattr(mine, "__func__", mine) is not standard.__func__
