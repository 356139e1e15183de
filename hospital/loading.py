"""Find the health checks under a name, a file or a folder.

Rule: nothing is dropped in silence. What cannot be imported, found or used becomes a problem:
a name and a reason with module, line and cause.
"""

import unittest
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import Any

from hospital.errors import HospitalError
from hospital.finding import Importer, Missing
from hospital.marking import Options, awaiting, is_healthcheck, manages_own_loop, options_of
from hospital.model import Check
from hospital.redaction import clean, clean_line, to_text

_MODULE_FIXTURES = ("setUpModule", "tearDownModule")


@dataclass(frozen=True, slots=True)
class Entry:
    """A check with what it takes to run it.

    Attributes:
        check: The check.
        make: Returns the test case to run; None for a plain function.
        function: The plain function; None for a test case.
        case: The class of the test case; None for a plain function.
    """

    check: Check
    make: Callable[[], unittest.TestCase] | None = None
    function: Callable[[], object] | None = None
    case: type[unittest.TestCase] | None = None


@dataclass(slots=True)
class Loaded:
    """What was found.

    Attributes:
        entries: By id, in the order in which they were found.
        problems: A name and a reason for each thing that could not be used.
    """

    entries: dict[str, Entry] = field(default_factory=dict)
    problems: list[tuple[str, str]] = field(default_factory=list)


def load(
    names: Iterable[str],
    *,
    announce: Callable[[str, str], None] | None = None,
    broken: Mapping[str, str] | None = None,
) -> Loaded:
    """Return the health checks under *names*, and what could not be used of them.

    Args:
        names: Dotted names of packages, modules, classes, methods, functions; files; folders.
        announce: Called with the name and the file of each module before it is imported.
        broken: Modules that are not imported again, and why.
    """
    loader = HealthCheckLoader(announce=announce, broken=broken)
    loaded = Loaded()
    for name in names:
        _add(loaded, loader, name)
    _pull_in_requirements(loaded, loader)
    return loaded


class HealthCheckLoader(unittest.TestLoader):
    """A ``unittest.TestLoader`` that loads health checks and nothing else.

    >>> suite = HealthCheckLoader().discover("hospital.healthchecks.predictable")
    >>> suite.countTestCases()
    1
    """

    def __init__(
        self,
        *,
        announce: Callable[[str, str], None] | None = None,
        broken: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        self._importer = Importer(announce=announce, broken=broken)

    def discover(
        self,
        start_dir: str,
        pattern: str = "test*.py",
        top_level_dir: str | None = None,
    ) -> unittest.TestSuite:
        """Return a suite of the health checks under a name, a file or a folder.

        Plain functions stand in it as test cases, and what cannot be loaded as test cases that
        err with the reason.

        Args:
            start_dir: The name, file or folder.
            pattern: Not used: a health check is found by its mark, in any file.
            top_level_dir: Not used: the folder to import from is found from the packages.
        """
        del pattern, top_level_dir
        loaded = load([start_dir])
        tests = [_as_test(entry) for entry in loaded.entries.values()]
        failed = [_Problem(name, reason) for name, reason in loaded.problems]
        return self.suiteClass([*tests, *failed])

    def getTestCaseNames(  # noqa: N802 - unittest's name
        self,
        testCaseClass: type[unittest.TestCase],  # noqa: N803 - unittest's name
    ) -> list[str]:
        """Return the names of the marked tests of a class; all where the class is marked."""
        if getattr(testCaseClass, "__test__", True) is False:
            return []
        whole = is_healthcheck(testCaseClass)
        names = set(super().getTestCaseNames(testCaseClass)) if whole else set()
        names.update(
            name
            for name in dir(testCaseClass)
            if getattr(getattr(testCaseClass, name, None), "is_healthcheck", False) is True
            and callable(getattr(testCaseClass, name))
        )
        if whole and not names and hasattr(testCaseClass, "runTest"):
            names.add("runTest")
        return sorted(names)

    def loadTestsFromTestCase(  # noqa: N802 - unittest's name
        self,
        testCaseClass: type[unittest.TestCase],  # noqa: N803 - unittest's name
    ) -> unittest.TestSuite:
        """Return a suite of the marked tests of a class."""
        return self.suiteClass(
            [testCaseClass(name) for name in self.getTestCaseNames(testCaseClass)]
        )

    def loadTestsFromModule(  # noqa: N802 - unittest's name
        self, module: ModuleType, *args: Any, pattern: str | None = None
    ) -> unittest.TestSuite:
        """Return a suite of the health checks of a module, as its ``load_tests`` wants it."""
        del args, pattern
        return self.suiteClass([_as_test(entry) for entry in self.entries_of_module(module)])

    def loadTestsFromName(  # noqa: N802 - unittest's name
        self, name: str, module: ModuleType | None = None
    ) -> unittest.TestSuite:
        """Return a suite of the health checks under *name*."""
        return self.discover(f"{module.__name__}.{name}" if module else name)

    def entries_under(self, name: str) -> Iterator[Entry | tuple[str, str]]:
        """Yield the entries and the problems under *name*."""
        for found in self._importer.find(name):
            if isinstance(found, Missing):
                yield found.name, found.reason
            elif isinstance(found.value, ModuleType):
                yield from self._entries_of_package(found.value, walk=found.walk)
            else:
                yield from self._entries_of_object(found.value, found.name, found.owner)

    def _entries_of_package(
        self, module: ModuleType, *, walk: bool
    ) -> Iterator[Entry | tuple[str, str]]:
        try:
            yield from self.entries_of_module(module)
        except BaseException as error:  # noqa: BLE001 - a module's load_tests may raise anything
            reason = f"load_tests: {type(error).__name__}: {to_text(error)}"
            yield module.__name__, clean(reason)
        if not walk or hasattr(module, "load_tests"):
            return
        for found in self._importer.submodules(module):
            if isinstance(found, Missing):
                yield found.name, found.reason
            else:
                yield from self._entries_of_package(found.value, walk=True)

    def entries_of_module(self, module: ModuleType) -> Iterator[Entry]:
        """Yield the entries of one module, without its submodules."""
        cases: list[Entry] = []
        functions: list[Entry] = []
        for name, value in list(vars(module).items()):
            if isinstance(value, type) and issubclass(value, unittest.TestCase):
                cases.extend(self._entries_of_case(value, f"{module.__name__}.{name}"))
            elif not isinstance(value, type) and _is_marked(value):
                functions.append(_function_entry(value, f"{module.__name__}.{name}"))
        load_tests = getattr(module, "load_tests", None)
        if load_tests is not None:
            standard = self.suiteClass([_as_test(entry) for entry in cases])
            cases = [_instance_entry(test) for test in _flat(load_tests(self, standard, None))]
        yield from cases
        yield from functions

    def _entries_of_object(
        self, value: Any, name: str, owner: Any
    ) -> Iterator[Entry | tuple[str, str]]:
        if isinstance(value, type) and issubclass(value, unittest.TestCase):
            entries = list(self._entries_of_case(value, name))
            yield from entries
            if not entries:
                yield name, f"no test of the class {name!r} is marked @healthcheck"
        elif isinstance(owner, type) and issubclass(owner, unittest.TestCase):
            method = name.rpartition(".")[2]
            if method in self.getTestCaseNames(owner):
                yield _case_entry(owner, method, name.rpartition(".")[0])
            else:
                yield name, f"{name!r} is not marked @healthcheck"
        elif is_healthcheck(value):
            yield _function_entry(value, name)
        else:
            yield name, f"{name!r} is not marked @healthcheck"

    def _entries_of_case(self, case: type[unittest.TestCase], found_as: str) -> Iterator[Entry]:
        for method in self.getTestCaseNames(case):
            yield _case_entry(case, method, found_as)


def _is_marked(value: object) -> bool:
    try:
        return is_healthcheck(value)
    except Exception:  # noqa: BLE001 - a lazy object of somebody's module may raise anything
        return False


def _add(loaded: Loaded, loader: HealthCheckLoader, name: str) -> None:
    before = len(loaded.problems)
    any_check = False
    for found in loader.entries_under(name):
        if isinstance(found, Entry):
            any_check = True
            _add_once(loaded, found)
        elif found not in loaded.problems:
            loaded.problems.append(found)
    if not any_check and len(loaded.problems) == before:
        known = any(problem[0] == name for problem in loaded.problems)
        if not known:
            reason = f"no health check under {name!r}: mark tests there with @healthcheck"
            loaded.problems.append((name, reason))


def _add_once(loaded: Loaded, entry: Entry) -> None:
    """Add *entry*, once however often it is re-exported; number what shares an id otherwise."""
    held = loaded.entries.get(entry.check.id)
    if held is None:
        loaded.entries[entry.check.id] = entry
    elif isinstance(entry.make, _Again) and held.make != entry.make:
        number = 2
        while (other := f"{entry.check.id}#{number}") in loaded.entries:
            if loaded.entries[other].make == entry.make:
                return
            number += 1
        loaded.entries[other] = replace(entry, check=replace(entry.check, id=other))


def _pull_in_requirements(loaded: Loaded, loader: HealthCheckLoader) -> None:
    """Load what is required but was not named, and write requirements as full ids."""
    queue = list(loaded.entries.values())
    while queue:
        entry = queue.pop(0)
        required: list[str] = []
        for name in entry.check.requires:
            ids = ids_under(name, entry.check.id, loaded.entries)
            if not ids:
                pulled = [
                    found for found in _found_quietly(loader, name) if isinstance(found, Entry)
                ]
                for each in pulled:
                    _add_once(loaded, each)
                queue.extend(pulled)
                ids = ids_under(name, entry.check.id, loaded.entries)
            required.extend(ids or [name])
        check = replace(entry.check, requires=tuple(dict.fromkeys(required)))
        loaded.entries[entry.check.id] = replace(entry, check=check)


def _found_quietly(loader: HealthCheckLoader, name: str) -> Iterator[Entry | tuple[str, str]]:
    if "." in name and "/" not in name:
        yield from loader.entries_under(name)


def ids_under(name: str, of: str, known: Iterable[str]) -> list[str]:
    """Return the ids that the requirement *name* of the check *of* means.

    A full id, the dotted name of what holds checks, or a name in the same class or module.

    >>> ids_under("up", "shop.db.fresh", ["shop.db.up", "shop.db.fresh"])
    ['shop.db.up']
    """
    known = list(known)
    scope = of
    candidates = [name]
    while "." in scope:
        scope = scope.rpartition(".")[0]
        candidates.append(f"{scope}.{name}")
    for candidate in candidates:
        if candidate in known:
            return [candidate]
        inside = [each for each in known if each.startswith(candidate + ".") and each != of]
        if inside:
            return inside
    return []


class FunctionHealthCheck(unittest.FunctionTestCase):
    """A plain function as a test case, for runners that know nothing else."""

    def __init__(self, entry: Entry) -> None:
        function: Any = entry.function
        super().__init__(_runnable(function), description=entry.check.title)
        self._id = entry.check.id
        self.is_healthcheck = True
        if getattr(function, "__unittest_expecting_failure__", False):
            self.__unittest_expecting_failure__ = True

    def id(self) -> str:
        """Return the check's id."""
        return self._id

    def __str__(self) -> str:
        return self._id

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other


class _Problem(unittest.TestCase):
    """What could not be loaded, as a test case that errs with the reason."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__("runTest")
        self._id, self._reason = name, reason

    def id(self) -> str:
        return self._id

    def __str__(self) -> str:
        return self._id

    def runTest(self) -> None:  # noqa: N802 - unittest's name
        raise HospitalError(self._reason)


def _as_test(entry: Entry) -> unittest.TestCase:
    return entry.make() if entry.make else FunctionHealthCheck(entry)


def _runnable(function: Callable[[], object]) -> Callable[[], object]:
    import inspect

    return awaiting(function) if inspect.iscoroutinefunction(function) else function


@dataclass(frozen=True)
class _New:
    """Makes a fresh instance of a class for each run, as unittest does."""

    case: type[unittest.TestCase]
    method: str

    def __call__(self) -> unittest.TestCase:
        test = self.case(self.method)
        function = getattr(test, self.method)
        if not manages_own_loop(self.case):
            bound = _runnable(function)
            if bound is not function:
                setattr(test, self.method, bound)
        return test


@dataclass(frozen=True, eq=False)
class _Again:
    """Makes a copy of an instance that ``load_tests`` made."""

    test: unittest.TestCase

    def __call__(self) -> unittest.TestCase:
        import copy

        return copy.copy(self.test)


def _flat(suite: Any) -> Iterator[unittest.TestCase]:
    if isinstance(suite, unittest.TestCase):
        if is_healthcheck(suite):
            yield suite
    else:
        for each in suite:
            yield from _flat(each)


def _function_entry(function: Any, found_as: str) -> Entry:
    check_id = _id_of(function, found_as)
    check = _check(check_id, function, options_of(function), unit=check_id)
    return Entry(check=check, function=function)


def _case_entry(case: type[unittest.TestCase], method: str, found_as: str) -> Entry:
    class_id = _id_of(case, found_as)
    function = getattr(case, method)
    options = options_of(function).over(options_of(case))
    check = _check(f"{class_id}.{method}", function, options, unit=_unit_of(case, class_id))
    return Entry(check=check, make=_New(case, method), case=case)


def _instance_entry(test: unittest.TestCase) -> Entry:
    case = type(test)
    method = getattr(test, "_testMethodName", "runTest")
    function = getattr(case, method, None)
    options = options_of(function).over(options_of(case))
    check = _check(test.id(), function, options, unit=_unit_of(case, test.id().rpartition(".")[0]))
    title = test.shortDescription() or check.title
    return Entry(check=replace(check, title=clean_line(title)), make=_Again(test), case=case)


def _unit_of(case: type[unittest.TestCase], class_id: str) -> str:
    """Return what has to run in one thread, in order: the class, or its module with fixtures."""
    import sys

    module = sys.modules.get(case.__module__)
    if any(hasattr(module, name) for name in _MODULE_FIXTURES):
        return case.__module__
    return class_id


def _id_of(value: Any, found_as: str) -> str:
    """Return where *value* is defined, or where it was found if it cannot be found there."""
    import sys

    module_name = getattr(value, "__module__", None)
    qualified = getattr(value, "__qualname__", None)
    home: Any = sys.modules.get(module_name or "")
    for part in (qualified or "<none>").split("."):
        home = getattr(home, part, None)
    return f"{module_name}.{qualified}" if home is value else found_as


def _check(check_id: str, function: Any, options: Options, unit: str) -> Check:
    document = getattr(function, "__doc__", None)
    first = document.strip().split("\n")[0].strip() if isinstance(document, str) else ""
    check_id = clean_line(check_id)
    return Check(
        id=check_id,
        title=clean_line(first) or check_id,
        unit=check_id if options.isolated else unit,
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
