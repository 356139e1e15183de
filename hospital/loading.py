"""Find the health checks under a name, a file or a folder.

Rule: nothing is dropped in silence. What cannot be imported, found or used becomes a problem:
a name and a reason with module, line and cause.
"""

import sys
import unittest
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from types import ModuleType
from typing import Any

from hospital.entries import (
    Entry,
    case_entry,
    function_entry,
    is_class,
    is_marked,
    skipped_entry,
)
from hospital.finding import Found, Importer, Missing
from hospital.lost_marks import HIDDEN, NO_TESTCASE, NO_TESTS, hides_a_mark, is_mixed_in
from hospital.marking import is_healthcheck
from hospital.redaction import clean, clean_line, to_text
from hospital.requirements import KnownIds, also_called, candidates, ids_for
from hospital.suites import ProblemCase, as_test, entries_in

__all__ = ["Entry", "HealthCheckLoader", "Loaded", "Problem", "load"]

Problem = tuple[str, str]
"""A name, and why it could not be used."""


@dataclass(slots=True)
class Loaded:
    """What was found.

    Attributes:
        entries: By id, in the order in which they were found.
        problems: A name and a reason for each thing that could not be used.
    """

    entries: dict[str, Entry] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    _targets: set[object] = field(default_factory=set)

    def add(self, entry: Entry) -> Entry | None:
        """Add *entry*, once however often it is re-exported; number what shares an id.

        Returns:
            The entry as it was added; None where it is there already.
        """
        if entry.target in self._targets:
            return None
        self._targets.add(entry.target)
        id_, number = entry.check.id, 2
        while id_ in self.entries:
            id_, number = f"{entry.check.id}#{number}", number + 1
        if id_ != entry.check.id:
            entry = replace(entry, check=replace(entry.check, id=id_))
        self.entries[id_] = entry
        return entry

    def add_problem(self, name: str, reason: str) -> None:
        """Add a problem, once."""
        problem = clean_line(name), clean(reason)
        if problem not in self.problems:
            self.problems.append(problem)


def load(
    names: Iterable[str],
    *,
    announce: Callable[[str, str], None] | None = None,
    broken: Mapping[str, str] | None = None,
) -> Loaded:
    """Return the health checks under *names*, and what could not be used of them.

    Never raises for what modules do.

    Args:
        names: Dotted names of packages, modules, classes, methods, functions; files; folders.
        announce: Called with the name and the file of each module before it is imported.
        broken: Modules that are not imported again, and why.
    """
    return HealthCheckLoader(announce=announce, broken=broken).load(names)


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
        self._by_module: dict[int, tuple[ModuleType, list[Entry | Problem]]] = {}
        self._in_load_tests: list[ModuleType] = []
        self._without_testcase: dict[type, str] = {}
        self._without_tests: dict[type, str] = {}

    def load(self, names: Iterable[str]) -> Loaded:
        """Return the health checks under *names*, and what could not be used of them."""
        loaded = Loaded()
        for name in names:
            self._add(loaded, name)
        self._pull_in_requirements(loaded)
        for case, found_as in self._without_testcase.items():
            if not self._in_load_tests and not is_mixed_in(case):
                loaded.add_problem(found_as, f"{found_as!r} {NO_TESTCASE}")
        for case, found_as in self._without_tests.items():
            if not self._in_load_tests and not type.__subclasses__(case):
                loaded.add_problem(found_as, f"{found_as!r} {NO_TESTS}")
        return loaded

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
        loaded = self.load([start_dir])
        return self._suite([*loaded.entries.values(), *loaded.problems])

    def getTestCaseNames(  # noqa: N802 - unittest's name
        self,
        testCaseClass: type[unittest.TestCase],  # noqa: N803 - unittest's name
    ) -> list[str]:
        """Return the names of the marked tests of a class; all where the class is marked."""
        if getattr(testCaseClass, "__test__", True) is False:
            return []
        whole = is_healthcheck(testCaseClass)
        names = []
        for name in dir(testCaseClass):
            is_test = whole and name.startswith(self.testMethodPrefix)
            try:
                value = getattr(testCaseClass, name)
                chosen = not is_class(value) and callable(value) and (is_test or is_marked(value))
            except Exception:
                if is_test:
                    raise
                continue
            if chosen and getattr(value, "__test__", True) is not False:
                names.append(name)
        if whole and not names and hasattr(testCaseClass, "runTest"):
            names.append("runTest")
        prefix = f"{testCaseClass.__module__}.{testCaseClass.__qualname__}"
        return sorted(name for name in names if self._is_wanted(f"{prefix}.{name}"))

    def loadTestsFromTestCase(  # noqa: N802 - unittest's name
        self,
        testCaseClass: type[unittest.TestCase],  # noqa: N803 - unittest's name
    ) -> unittest.TestSuite:
        """Return a suite of the marked tests of a class."""
        name = f"{testCaseClass.__module__}.{testCaseClass.__qualname__}"
        return self._suite(self._guarded(name, self._entries_of_case(testCaseClass, name)))

    def loadTestsFromModule(  # noqa: N802 - unittest's name
        self, module: ModuleType, *args: Any, pattern: str | None = None
    ) -> unittest.TestSuite:
        """Return a suite of the health checks of a module, as its ``load_tests`` wants it."""
        del args, pattern
        return self._suite(self.entries_of_module(module))

    def loadTestsFromName(  # noqa: N802 - unittest's name
        self, name: str, module: ModuleType | None = None
    ) -> unittest.TestSuite:
        """Return a suite of the health checks under *name*, which may be one within *module*."""
        if module is None:
            return self.discover(name)
        found = self._importer.find_in(module, name)
        return self._suite(self._entries_of_found(found, set()))

    def entries_under(self, name: str) -> Iterator[Entry | Problem]:
        """Yield the entries and the problems under *name*."""
        seen: set[str] = set()
        for found in self._importer.find(name, seen):
            yield from self._entries_of_found(found, seen)

    def entries_of_module(self, module: ModuleType) -> list[Entry | Problem]:
        """Return the entries and the problems of one module, without its submodules."""
        held = self._by_module.get(id(module))
        if held is not None:
            return held[1]
        standard = list(self._guarded(module.__name__, self._standard_entries(module)))
        load_tests = vars(module).get("load_tests")
        if callable(load_tests) and module not in self._in_load_tests:
            self._in_load_tests.append(module)
            try:
                standard = list(
                    self._guarded(
                        f"{module.__name__}.load_tests",
                        self._as_wanted(load_tests, standard, module.__name__),
                    )
                )
            finally:
                self._in_load_tests.pop()
        self._by_module[id(module)] = module, standard
        return standard

    def _entries_of_found(
        self, found: Found | Missing, seen: set[str]
    ) -> Iterator[Entry | Problem]:
        if isinstance(found, Missing):
            if found.is_skipped:
                yield skipped_entry(found.name, found.reason)
            else:
                yield found.name, found.reason
        elif isinstance(found.value, ModuleType):
            yield from self._entries_of_package(found.value, seen, walk=found.walk)
        else:
            yield from self._entries_of_object(found)

    def _entries_of_package(
        self, module: ModuleType, seen: set[str], *, walk: bool
    ) -> Iterator[Entry | Problem]:
        if vars(module).get("__test__", True) is False:
            return
        if module not in self._in_load_tests:
            yield from self.entries_of_module(module)
            if callable(vars(module).get("load_tests")):
                return
        if walk:
            for found in self._importer.submodules(module, seen):
                yield from self._entries_of_found(found, seen)

    def _standard_entries(self, module: ModuleType) -> Iterator[Entry | Problem]:
        """Yield what is marked in a module, test cases first."""
        held = [(f"{module.__name__}.{name}", value) for name, value in list(vars(module).items())]
        for name, value in held:
            if is_class(value):
                yield from self._guarded(name, self._entries_of_class(value, name, module))
        for name, value in held:
            if not is_class(value):
                if is_marked(value):
                    yield from self._guarded(name, iter([function_entry(value, name)]))
                elif hides_a_mark(value, name.rpartition(".")[2]):
                    yield name, f"{name!r} {HIDDEN}"

    def _entries_of_class(
        self, value: type, name: str, module: ModuleType
    ) -> Iterator[Entry | Problem]:
        inside = vars(value)
        is_own = inside.get("__module__") == module.__name__
        is_case = issubclass(value, unittest.TestCase)
        if is_case and not getattr(value, "__abstractmethods__", None):
            found = list(self._entries_of_case(value, name))
            yield from found
            if is_own and not found and self._should_hold_tests(value):
                self._without_tests[value] = name
        if not is_own or inside.get("__test__") is False:
            return
        for attribute, held in list(inside.items()):
            if is_class(held):
                if held.__qualname__.startswith(f"{value.__qualname__}."):
                    yield from self._entries_of_class(held, f"{name}.{attribute}", module)
            elif not is_case and is_marked(held):
                self._without_testcase[value] = name

    def _should_hold_tests(self, case: type[unittest.TestCase]) -> bool:
        marked = is_healthcheck(case) and getattr(case, "__test__", True) is not False
        return marked and not self.testNamePatterns

    def _entries_of_case(
        self, case: type[unittest.TestCase], found_as: str
    ) -> Iterator[Entry | Problem]:
        for method in self.getTestCaseNames(case):
            yield case_entry(case, method, found_as)
        for name, value in list(vars(case).items()):
            if hides_a_mark(value, name):
                yield f"{found_as}.{name}", f"'{found_as}.{name}' {HIDDEN}"

    def _as_wanted(
        self, load_tests: Callable[..., Any], standard: list[Entry | Problem], name: str
    ) -> Iterator[Entry | Problem]:
        """Yield what ``load_tests`` makes of the test cases; functions are none of its business."""
        cases = [each for each in standard if isinstance(each, Entry) and each.function is None]
        wanted = load_tests(self, self._suite(cases), None)
        if wanted is None:
            yield name, "load_tests returned None; it has to return a suite"
            wanted = ()
        made = list(entries_in(wanted))
        yield from made
        ids = {_id(each) for each in made}
        yield from (each for each in standard if each not in cases and _id(each) not in ids)

    def _entries_of_object(self, found: Found) -> Iterator[Entry | Problem]:
        name, value = found.name, found.value
        entries = list(self._guarded(name, self._direct_entries(found)))
        module = _module_of(found)
        if module is not None and callable(vars(module).get("load_tests")):
            ids = {_id(each) for each in entries}
            made = [each for each in self.entries_of_module(module) if _id(each) in ids]
            entries = made or entries
        yield from entries
        if not entries:
            abstract = is_class(value) and getattr(value, "__abstractmethods__", None)
            why = "is abstract" if abstract else "is not marked @healthcheck"
            if is_class(value) and not abstract:
                why = "holds no test that is marked @healthcheck"
            yield name, f"{name!r} {why}"

    def _direct_entries(self, found: Found) -> Iterator[Entry | Problem]:
        name, value, owner = found.name, found.value, found.owner
        if is_class(value):
            if issubclass(value, unittest.TestCase):
                if not getattr(value, "__abstractmethods__", None):
                    yield from self._entries_of_case(value, name)
            else:
                yield name, f"{name!r} is a class, but no unittest.TestCase"
        elif is_class(owner) and issubclass(owner, unittest.TestCase):
            case, _, method = name.rpartition(".")
            if method in self.getTestCaseNames(owner):
                yield case_entry(owner, method, case)
        elif is_marked(value):
            yield function_entry(value, name)
        elif hides_a_mark(value, name.rpartition(".")[2]):
            yield name, f"{name!r} {HIDDEN}"

    def _guarded(self, name: str, entries: Iterator[Entry | Problem]) -> Iterator[Entry | Problem]:
        """Yield *entries*; what raises while they are made becomes a problem."""
        try:
            yield from entries
        except GeneratorExit:
            raise
        except BaseException as error:  # noqa: BLE001 - somebody's class or load_tests may raise anything
            cause = f"{type(error).__name__}: {to_text(error)}".removesuffix(": ")
            yield name, f"cannot load {name!r}: {cause}"

    def _suite(self, found: Iterable[Entry | Problem]) -> unittest.TestSuite:
        tests: list[unittest.TestCase] = []
        for each in found:
            if not isinstance(each, Entry):
                tests.append(ProblemCase(*each))
            elif self._is_wanted(each.check.id):
                tests.append(as_test(each))
        return self.suiteClass(tests)

    def _is_wanted(self, id_: str) -> bool:
        """Return whether ``-k`` of unittest takes it."""
        patterns = self.testNamePatterns
        return not patterns or any(fnmatchcase(id_, pattern) for pattern in patterns)

    def _add(self, loaded: Loaded, name: str) -> None:
        found_any = False
        without_testcase = len(self._without_testcase)
        for each in self._guarded(clean_line(name), self.entries_under(name)):
            found_any = True
            if isinstance(each, Entry):
                loaded.add(each)
            else:
                loaded.add_problem(*each)
        found_any = found_any or len(self._without_testcase) > without_testcase
        if not found_any and not self._in_load_tests:
            shown = clean_line(name)
            reason = f"no health check under {shown!r}: mark tests there with @healthcheck"
            loaded.add_problem(shown, reason)

    def _pull_in_requirements(self, loaded: Loaded) -> None:
        """Load what is required but was not named, and write requirements as full ids."""
        known = KnownIds()
        for entry in loaded.entries.values():
            known.add(entry.check.id, *also_called(entry))
        queue = deque(entry for entry in loaded.entries.values() if entry.check.requires)
        while queue:
            entry = queue.popleft()
            required: list[str] = []
            for name in entry.check.requires:
                ids = ids_for(name, entry, known)
                if not ids:
                    queue.extend(self._pull_in(loaded, known, name, entry))
                    ids = ids_for(name, entry, known)
                required.extend(ids or [name])
            check = replace(entry.check, requires=tuple(dict.fromkeys(required)))
            loaded.entries[entry.check.id] = replace(entry, check=check)

    def _pull_in(self, loaded: Loaded, known: KnownIds, name: str, entry: Entry) -> Iterator[Entry]:
        """Load what *name* may mean; yield the entries that have requirements themselves."""
        for candidate in candidates(name, entry):
            found = list(self._guarded(candidate, self._required_entries(candidate)))
            for each in found:
                if not isinstance(each, Entry):
                    loaded.add_problem(*each)
                elif (added := loaded.add(each)) is not None:
                    known.add(added.check.id, *also_called(added))
                    if added.check.requires:
                        yield added
            if found:
                return

    def _required_entries(self, name: str) -> Iterator[Entry | Problem]:
        """Yield what is under a *name* that may stand for nothing; a broken module is something."""
        seen: set[str] = set()
        for found in self._importer.find(name, seen):
            if isinstance(found, Found) or found.is_broken:
                yield from self._entries_of_found(found, seen)


def _id(found: Entry | Problem) -> str:
    return found.check.id if isinstance(found, Entry) else found[0]


def _module_of(found: Found) -> ModuleType | None:
    """Return the module that defines a class, a method or a function."""
    holder = found.owner if is_class(found.owner) else found.value
    module = sys.modules.get(str(getattr(holder, "__module__", "")))
    return module if isinstance(module, ModuleType) else None
