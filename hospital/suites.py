"""Health checks as test cases of unittest, for runners that know nothing else."""

import sys
import unittest
from collections.abc import Iterator
from typing import Any

from hospital.entries import Entry, instance_entry, is_marked_test, settle
from hospital.errors import HospitalError
from hospital.redaction import to_text

_MADE_FOR = "_hospital_made_for"


class FunctionHealthCheck(unittest.FunctionTestCase):
    """A plain function as a test case."""

    is_healthcheck = True
    __test__ = False  # the class itself stands for nothing

    def __init__(self, entry: Entry) -> None:
        function: Any = entry.function
        super().__init__(lambda: settle(function()), description=entry.check.title)
        self.entry = entry
        if getattr(function, "__unittest_expecting_failure__", False):
            self.__unittest_expecting_failure__ = True

    def id(self) -> str:
        """Return the check's id."""
        return self.entry.check.id

    def __str__(self) -> str:
        return self.entry.check.id

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other


class ProblemCase(unittest.TestCase):
    """What could not be loaded, as a test case that errs with the reason."""

    is_healthcheck = True
    __test__ = False  # likewise

    def __init__(self, name: str, reason: str) -> None:
        super().__init__("runTest")
        self.problem = name, reason

    def id(self) -> str:
        """Return the name of what could not be loaded."""
        return self.problem[0]

    def __str__(self) -> str:
        return self.problem[0]

    def shortDescription(self) -> None:  # noqa: N802 - unittest's name
        """Return no title: its name says what could not be loaded."""

    def runTest(self) -> None:  # noqa: N802 - unittest's name
        """Raise the reason."""
        raise HospitalError(self.problem[1])


def as_test(entry: Entry) -> unittest.TestCase:
    """Return *entry* as a test case; one that errs where its class cannot be instantiated."""
    if entry.make is None:
        return _with_module_of(entry)(entry)
    try:
        test = entry.make()
    except Exception as error:  # noqa: BLE001 - somebody's __init__ may raise anything
        return ProblemCase(entry.check.id, f"{type(error).__name__}: {to_text(error)}")
    vars(test)[_MADE_FOR] = entry, {**vars(test)}
    return test


def entries_in(suite: Any) -> Iterator[Entry | tuple[str, str]]:
    """Yield the health checks of a suite that ``load_tests`` returned; other tests stay out."""
    if not isinstance(suite, unittest.TestCase):
        for each in suite:
            yield from entries_in(each)
        return
    problem, entry = _problem_of(suite), _pristine_entry(suite)
    if problem is not None:
        yield problem
    elif entry is not None:
        yield entry
    elif is_marked_test(suite):
        yield instance_entry(suite)


def _pristine_entry(test: unittest.TestCase) -> Entry | None:
    """Return the entry that *test* was made for, unless somebody has changed it since."""
    if isinstance(test, FunctionHealthCheck):
        return test.entry
    entry, made = vars(test).get(_MADE_FOR, (None, {}))
    now = {name: value for name, value in vars(test).items() if name != _MADE_FOR}
    same = now.keys() == made.keys() and all(now[name] is made[name] for name in now)
    return entry if entry is not None and same else None


def _problem_of(test: unittest.TestCase) -> tuple[str, str] | None:
    """Return the problem that *test* stands for, here or in unittest's own loader."""
    if isinstance(test, ProblemCase):
        return test.problem
    exception = getattr(test, "_exception", None)
    if type(test).__name__ == "_FailedTest" and isinstance(exception, BaseException):
        return test.id().removeprefix("unittest.loader._FailedTest."), to_text(exception)
    return None


def _with_module_of(entry: Entry) -> type[FunctionHealthCheck]:
    """Return a class whose module has the fixtures that the function needs."""
    module = vars(sys.modules[entry.module]) if entry.module in sys.modules else {}
    if "setUpModule" not in module and "tearDownModule" not in module:
        return FunctionHealthCheck
    return type("FunctionHealthCheck", (FunctionHealthCheck,), {"__module__": entry.module})
