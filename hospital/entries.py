"""What was found, as checks with what it takes to run them.

A check's id says where it is defined, so that it is one check however often it is re-exported.
"""

import contextvars
import copy
import functools
import inspect
import sys
import unittest
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import FunctionType, MethodType, ModuleType
from typing import Any

from hospital.errors import HospitalError
from hospital.marking import Options, awaiting, is_healthcheck, manages_own_loop, options_of
from hospital.model import Check
from hospital.redaction import clean, clean_line

_MARK = "is_healthcheck"
_WATCHED = "__hospital_watched__"
_MODULE_FIXTURES = ("setUpModule", "tearDownModule")
_NEVER_MARKED = (str, bytes, int, float, dict, list, tuple, set, ModuleType, type(None))


class ReturnError(HospitalError):
    """A check returned something which says that it did not do what its author meant."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A check with what it takes to run it.

    Attributes:
        check: The check.
        make: Returns the test case to run; None for a plain function.
        function: The plain function; None for a test case.
        case: The class of the test case; None for a plain function.
        module: Name of the module whose ``setUpModule`` it needs.
    """

    check: Check
    make: Callable[[], unittest.TestCase] | None = None
    function: Callable[[], object] | None = None
    case: type[unittest.TestCase] | None = None
    module: str = ""

    @property
    def target(self) -> object:
        """What makes it the same check as another entry: equal for equal ones."""
        return id(self.function) if self.make is None else self.make


def is_marked(value: Any) -> bool:
    """Return whether *value*, no class, is a marked function; asks no lazy object anything."""
    kind = type(value)  # isinstance would ask a proxy for its __class__
    if kind in _NEVER_MARKED:
        return False
    if kind is MethodType:
        return is_marked(value.__func__)
    if kind is FunctionType:
        held = vars(value)
        return held.get(_MARK) is True and held.get("__test__") is not False
    try:
        mark = inspect.getattr_static(value, _MARK, None)
        return mark is True and inspect.getattr_static(value, "__test__", None) is not False
    except Exception:  # noqa: BLE001 - somebody's object may raise anything
        return False


def is_class(value: object) -> bool:
    """Return whether *value* is a class, without asking a proxy what it stands for."""
    return issubclass(type(value), type)


def function_entry(function: Any, found_as: str) -> Entry:
    """Return the entry of a plain function that was found under the dotted name *found_as*."""
    check_id = _id_of(function, found_as)
    module = check_id.rpartition(".")[0]
    unit = module if _has_fixtures(module) else check_id
    check = _check(check_id, function, options_of(function), unit)
    return Entry(check=check, function=function, module=module)


def case_entry(case: type[unittest.TestCase], method: str, found_as: str) -> Entry:
    """Return the entry of a method of a class that was found under *found_as*."""
    class_id = _id_of(case, found_as)
    function = getattr(case, method)
    options = options_of(function).over(options_of(case))
    make = New(case, method)
    check = _check(f"{class_id}.{method}", function, options, _unit_of(case, class_id))
    if case.shortDescription is not unittest.TestCase.shortDescription:
        check = _with_own_title(check, make)
    return Entry(check=check, make=make, case=case, module=case.__module__)


def instance_entry(test: unittest.TestCase) -> Entry:
    """Return the entry of a test case that somebody's ``load_tests`` made."""
    case = type(test)
    method = getattr(test, "_testMethodName", "runTest")
    function: Any = getattr(case, method, None)
    test_id = str(test.id())
    if isinstance(test, unittest.FunctionTestCase):
        function = getattr(test, "_testFunc", function)
        test_id = _id_of(function, f"{getattr(function, '__module__', case.__module__)}.{test_id}")
    options = options_of(function).over(options_of(case))
    make = Again(test)
    check = _check(test_id, function, options, _unit_of(case, test_id.rpartition(".")[0]))
    return Entry(check=_with_own_title(check, make), make=make, case=case, module=case.__module__)


def skipped_entry(name: str, reason: str) -> Entry:
    """Return the entry of a module that asked to be skipped when it was imported."""

    def skip() -> None:
        raise unittest.SkipTest(reason)

    return Entry(check=Check(id=name, title=name, unit=name), function=skip)


@dataclass(frozen=True)
class New:
    """Makes a fresh instance of a class for each run, as unittest does."""

    case: type[unittest.TestCase]
    method: str

    def __call__(self) -> unittest.TestCase:
        """Return the instance."""
        return _watched(self.case(self.method))


@dataclass(frozen=True, eq=False)
class Again:
    """Makes a copy of an instance that ``load_tests`` made."""

    test: unittest.TestCase

    def __call__(self) -> unittest.TestCase:
        """Return the copy, which shares nothing that a run changes."""
        test: Any = copy.copy(self.test)
        _unwatched(test)
        test._cleanups = []  # noqa: SLF001 - unittest has no other way to ask
        if hasattr(test, "_asyncioTestContext"):
            test._asyncioTestContext = contextvars.copy_context()  # noqa: SLF001 - likewise
        return _watched(test)


def settle(returned: object) -> None:
    """Await what a check or a fixture returned, where it can be awaited.

    Raises:
        ReturnError: If it is False, or something that would still have to be run.
    """
    while inspect.isawaitable(returned):
        kept: list[object] = []
        awaiting(_kept_by(returned, kept))()
        (returned,) = kept
    _refuse_what_says_nothing(returned)


def _kept_by(awaitable: Any, kept: list[object]) -> Callable[[], Any]:
    async def wait() -> None:
        kept.append(await awaitable)

    return wait


def _refuse_what_says_nothing(returned: object) -> None:
    if returned is None:
        return
    if returned is False:
        raise ReturnError("returned False", remedy="a check fails by raising, as assert does")
    if inspect.isgenerator(returned) or inspect.isasyncgen(returned):
        raise ReturnError("is a generator, so nothing of it was run", remedy="remove the yield")
    if hasattr(type(returned), "__enter__") or hasattr(type(returned), "__aenter__"):
        raise ReturnError(
            "returned a context manager, so nothing of it was run", remedy="enter it in the check"
        )


class _Watched:
    """A method of a test that does not let what it returns go unnoticed."""

    def __init__(self, method: Callable[[], object]) -> None:
        functools.update_wrapper(self, method)
        self._method = method

    def __call__(self) -> None:
        settle(self._method())


def _watched_coroutine(method: Callable[[], Any]) -> Callable[[], Any]:
    @functools.wraps(method)
    async def watched() -> None:
        _refuse_what_says_nothing(await method())

    vars(watched)[_WATCHED] = True
    return watched


def _watched(test: unittest.TestCase) -> unittest.TestCase:
    name = getattr(test, "_testMethodName", "runTest")
    method = getattr(test, name)
    if manages_own_loop(type(test)) and inspect.iscoroutinefunction(method):
        setattr(test, name, _watched_coroutine(method))
        return test
    setattr(test, name, _Watched(method))
    for fixture in (test.setUp, test.tearDown):
        if inspect.iscoroutinefunction(fixture) or inspect.isgeneratorfunction(fixture):
            setattr(test, fixture.__name__, _Watched(fixture))
    return test


def _unwatched(test: Any) -> None:
    """Take from a copy of a test what is bound to the test that it was copied from."""
    for name, held in list(vars(test).items()):
        if isinstance(held, _Watched) or hasattr(held, _WATCHED):
            delattr(test, name)


def _unit_of(case: type[unittest.TestCase], class_id: str) -> str:
    """Return what has to run in one thread, in order: the class, or its module with fixtures."""
    return case.__module__ if _has_fixtures(case.__module__) else class_id


def _has_fixtures(module_name: str) -> bool:
    module = sys.modules.get(module_name)
    held = vars(module) if isinstance(module, ModuleType) else {}
    return any(name in held for name in _MODULE_FIXTURES)


def _id_of(value: Any, found_as: str) -> str:
    """Return where *value* is defined, or where it was found if it cannot be found there."""
    try:
        module_name, qualified = value.__module__, value.__qualname__
        held = vars(sys.modules[module_name])
    except Exception:  # noqa: BLE001 - no name, no module, or an object with ideas of its own
        return found_as
    if _within(held, qualified) is value:
        return f"{module_name}.{qualified}"
    if not found_as.startswith(f"{module_name}."):
        for name, other in list(held.items()):
            if other is value:
                return f"{module_name}.{name}"
    return found_as


def _within(held: Mapping[str, Any], qualified: str) -> object:
    first, *rest = qualified.split(".")
    value = held.get(first)
    for part in rest:
        if not is_class(value):
            return None
        value = vars(value).get(part)
    return value


def _with_own_title(check: Check, make: Callable[[], unittest.TestCase]) -> Check:
    """Return *check* with the title that the test case gives itself."""
    try:
        title = clean_line(make().shortDescription() or "")
    except Exception:  # noqa: BLE001 - it will say more when it runs
        title = ""
    return replace(check, title=title) if title else check


def _check(check_id: str, function: Any, options: Options, unit: str) -> Check:
    if isinstance(function, functools.partial) and "__doc__" not in vars(function):
        document = function.func.__doc__
    else:
        document = getattr(function, "__doc__", None)
    first = document.strip().split("\n")[0].strip() if isinstance(document, str) else ""
    check_id = clean_line(check_id)
    return Check(
        id=check_id,
        title=clean_line(first) or check_id,
        unit=check_id if options.isolated else clean_line(unit),
        timeout_s=options.timeout,
        interval_s=options.interval,
        retry_interval_s=options.retry_interval,
        fall=options.fall or 1,
        rise=options.rise or 1,
        tags=options.tags or (),
        severity=options.severity or "critical",
        owner=clean_line(options.owner or ""),
        fix=clean(options.fix or ""),
        requires=options.requires or (),
        isolated=bool(options.isolated),
    )


def is_marked_test(test: unittest.TestCase) -> bool:
    """Return whether a test case that ``load_tests`` returned is a health check."""
    return is_healthcheck(test) or is_marked(getattr(test, "_testFunc", None))
