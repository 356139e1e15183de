"""Run the checks of a unit in one thread, in order, with the fixtures of class and module.

A unit is what unittest would run between two fixtures: a class, a module with fixtures of its
own, or a single check.
"""

import sys
import unittest
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from hospital.loading import Entry
from hospital.model import Outcome, Status
from hospital.redaction import clean
from hospital.running.one import found_in, run_one
from hospital.running.order import unmet
from hospital.running.output import OnOutput, printing_as

if TYPE_CHECKING:
    from types import ModuleType

TEST = "test"


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
        self._module_fault: tuple[Status, str, str] | None = None
        self._case: type[unittest.TestCase] | None = None
        self._class_fault: tuple[Status, str, str] | None = None
        self._class_id = ""
        self._green: dict[str, Status] = {}

    def run(self, entry: Entry) -> None:
        check = entry.check
        fault = self._unmet(entry)
        if fault is None:
            self._enter(entry)
            fault = self._module_fault or self._class_fault
        if fault is not None:
            outcome = Outcome.of(check, fault[0], clean(fault[1]), trace=clean(fault[2], 2000))
        else:
            self._watcher.started(check.id, TEST)
            outcome = run_one(entry, self._on_output)
        self._green[check.id] = outcome.status
        self._watcher.finished(outcome)

    def _unmet(self, entry: Entry) -> tuple[Status, str, str] | None:
        for required in entry.check.requires:
            status = self._green.get(required)
            if status is not None and not status.is_green:
                return Status.SKIP, unmet(required, status), ""
        return None

    def _enter(self, entry: Entry) -> None:
        case = entry.case
        if case is None or case is self._case:
            return
        self._leave_class()
        module = sys.modules.get(case.__module__)
        if module is not self._module:
            self.leave_module()
            self._module = module
            set_up = getattr(module, "setUpModule", None)
            self._module_fault = self._fixture(entry.check.id, "setUpModule", set_up)
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
        if case._class_cleanups:  # noqa: SLF001 - unittest has no other way to ask
            name = f"{self._class_id}.doClassCleanups"
            self._after(name, "doClassCleanups", case.doClassCleanups)
            for info in case.tearDown_exceptions:
                self._report(name, found_in(info[1]))

    def leave_module(self) -> None:
        self._leave_class()
        module, self._module = self._module, None
        if module is None:
            return
        tear_down = getattr(module, "tearDownModule", None)
        if tear_down is not None and self._module_fault is None:
            self._after(f"{module.__name__}.tearDownModule", "tearDownModule", tear_down)
        if hasattr(module, "setUpModule"):
            name = f"{module.__name__}.doModuleCleanups"
            self._after(name, "doModuleCleanups", unittest.case.doModuleCleanups)
        self._module_fault = None

    def _fixture(
        self, check_id: str, phase: str, fixture: Callable[[], object] | None
    ) -> tuple[Status, str, str] | None:
        if fixture is None:
            return None
        self._watcher.started(check_id, phase)
        try:
            with printing_as(check_id, self._on_output):
                fixture()
        except BaseException as error:  # noqa: BLE001 - a fixture may raise anything
            status, reason, frames = found_in(error)
            if status is Status.SKIP:
                return status, reason, frames
            return Status.ERROR, f"{phase}: {reason}", frames
        return None

    def _after(self, name: str, phase: str, fixture: Callable[[], object]) -> None:
        fault = None
        self._watcher.started(name, phase)
        try:
            with printing_as(name, self._on_output):
                fixture()
        except BaseException as error:  # noqa: BLE001 - a fixture may raise anything
            fault = found_in(error)
        if fault is not None:
            self._report(name, fault)

    def _report(self, name: str, fault: tuple[Status, str, str]) -> None:
        _status, reason, frames = fault
        self._watcher.finished(
            Outcome(
                id=name,
                title=name,
                status=Status.ERROR,
                reason=clean(reason),
                trace=clean(frames, 2000),
            )
        )


def _overridden(case: type[unittest.TestCase], name: str) -> bool:
    mine = getattr(case, name)
    return getattr(mine, "__func__", mine) is not getattr(unittest.TestCase, name).__func__
