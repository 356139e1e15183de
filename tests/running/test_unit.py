"""Fixtures of classes and modules, run in one thread, in order, as unittest does."""

import os
import sys
import threading
import types
import unittest
from collections.abc import Callable
from typing import Any

import pytest

import hospital
from hospital.loading import HealthCheckLoader
from hospital.model import Outcome, Status
from hospital.running.unit import run_unit

HERE = "tests/running/test_unit.py"


class Seen:
    """Writes down what a unit tells."""

    def __init__(self) -> None:
        self.outcomes: dict[str, Outcome] = {}
        self.phases: list[tuple[str, str]] = []

    def started(self, check_id: str, phase: str) -> None:
        self.phases.append((check_id.rpartition(".")[2], phase))

    def finished(self, outcome: Outcome) -> None:
        name = outcome.id.rpartition(".")[2]
        assert name not in self.outcomes
        self.outcomes[name] = outcome

    @property
    def statuses(self) -> dict[str, Status]:
        """The statuses by the last part of the ids."""
        return {name: outcome.status for name, outcome in self.outcomes.items()}


MakeModule = Callable[..., types.ModuleType]


@pytest.fixture
def make_module(monkeypatch: pytest.MonkeyPatch) -> MakeModule:
    """Make modules that can be imported until the test ends."""

    def make(name: str = "unit_mod", **held: Any) -> types.ModuleType:
        module = types.ModuleType(name)
        for key, value in held.items():
            setattr(module, key, value)
            if isinstance(value, type) or (callable(value) and hasattr(value, "is_healthcheck")):
                value.__module__ = name
                value.__qualname__ = key
        monkeypatch.setitem(sys.modules, name, module)
        return module

    return make


def run(*modules: types.ModuleType) -> Seen:
    """Run the checks of *modules* as one unit."""
    seen = Seen()
    loaded = HealthCheckLoader().load([module.__name__ for module in modules])
    assert loaded.problems == []
    run_unit(list(loaded.entries.values()), seen, lambda _id, _text: None)
    return seen


def test_fixtures_frame_what_they_are_for(make_module: MakeModule) -> None:
    """Module, class, cleanups: each once, in unittest's order; functions have the module's too."""
    log: list[str] = []

    class Case(hospital.HealthCheck):
        @classmethod
        def setUpClass(cls) -> None:
            log.append("setUpClass")
            cls.addClassCleanup(log.append, "class cleanup")

        @classmethod
        def tearDownClass(cls) -> None:
            log.append("tearDownClass")

        def test_a(self) -> None:
            log.append("a")

        def test_b(self) -> None:
            log.append("b")

    def set_up() -> None:
        log.append("setUpModule")
        unittest.addModuleCleanup(log.append, "module cleanup")

    function = hospital.healthcheck(lambda: log.append("function"))
    seen = run(
        make_module(
            Case=Case,
            function=function,
            setUpModule=set_up,
            tearDownModule=lambda: log.append("tearDownModule"),
        )
    )

    assert {"test_a": "pass", "test_b": "pass", "function": "pass"} == seen.statuses
    assert [
        "setUpModule",
        "setUpClass",
        "a",
        "b",
        "function",
        "tearDownClass",
        "class cleanup",
        "tearDownModule",
        "module cleanup",
    ] == log
    assert [
        ("test_a", "setUpModule"),
        ("test_a", "setUpClass"),
        ("test_a", "test"),
        ("test_b", "test"),
        ("function", "test"),
        ("tearDownClass", "tearDownClass"),
        ("doClassCleanups", "doClassCleanups"),
        ("tearDownModule", "tearDownModule"),
        ("doModuleCleanups", "doModuleCleanups"),
    ] == seen.phases


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (OSError("no disk"), Status.ERROR, "OSError: no disk"),
        (AssertionError("no disk"), Status.ERROR, "no disk"),
        (SystemExit(0), Status.ERROR, "SystemExit: 0"),
        (KeyboardInterrupt(), Status.ERROR, "KeyboardInterrupt"),
        (unittest.SkipTest("not here"), Status.SKIP, "not here"),
    ],
)
@pytest.mark.parametrize("fixture", ["setUpClass", "setUpModule"])
def test_what_a_fixture_raises_is_the_outcome_of_all_that_need_it(
    make_module: MakeModule, fixture: str, error: BaseException, status: Status, reason: str
) -> None:
    """An error, even for an assert, or a skip; it is not tried again for each check."""
    calls: list[str] = []

    def fail(name: str) -> None:
        calls.append(name)
        if name == fixture:
            raise error

    class Case(hospital.HealthCheck):
        @classmethod
        def setUpClass(cls) -> None:
            cls.addClassCleanup(calls.append, "cleanup")
            fail("setUpClass")

        @classmethod
        def tearDownClass(cls) -> None:
            calls.append("tearDownClass")

        def test_a(self) -> None: ...
        def test_b(self) -> None: ...

    class Other(hospital.HealthCheck):
        def test_c(self) -> None: ...

    seen = run(make_module(Case=Case, Other=Other, setUpModule=lambda: fail("setUpModule")))

    affected = ["test_a", "test_b", *(["test_c"] if fixture == "setUpModule" else [])]
    for name in affected:
        outcome = seen.outcomes[name]
        assert status is outcome.status
        prefix = "" if status is Status.SKIP else f"{fixture}: "
        assert prefix + reason == outcome.reason.partition(" (")[0]
    assert (Status.PASS if fixture == "setUpClass" else status) is seen.outcomes["test_c"].status
    expected = (
        ["setUpModule"] if fixture == "setUpModule" else ["setUpModule", "setUpClass", "cleanup"]
    )
    assert expected == calls


@pytest.mark.parametrize(
    ("fixture", "name"),
    [
        ("tearDownClass", "tearDownClass"),
        ("class cleanup", "doClassCleanups"),
        ("tearDownModule", "tearDownModule"),
        ("module cleanup", "doModuleCleanups"),
    ],
)
def test_a_fixture_that_fails_afterwards_has_an_outcome_of_its_own(
    make_module: MakeModule, fixture: str, name: str
) -> None:
    """The checks before it keep theirs."""

    def part(this: str) -> None:
        if this == fixture:
            raise OSError(f"in {this}")

    class Case(hospital.HealthCheck):
        @classmethod
        def setUpClass(cls) -> None:
            cls.addClassCleanup(part, "class cleanup")

        @classmethod
        def tearDownClass(cls) -> None:
            part("tearDownClass")

        def test_a(self) -> None: ...

    seen = run(
        make_module(
            Case=Case,
            setUpModule=lambda: unittest.addModuleCleanup(part, "module cleanup"),
            tearDownModule=lambda: part("tearDownModule"),
        )
    )

    assert {"test_a": Status.PASS, name: Status.ERROR} == seen.statuses
    assert seen.outcomes[name].reason.startswith(f"OSError: in {fixture} ({HERE}:")


def test_a_skipped_class_is_not_set_up(make_module: MakeModule) -> None:
    """As in unittest."""

    @unittest.skip("not on this machine")
    class Case(hospital.HealthCheck):
        @classmethod
        def setUpClass(cls) -> None:
            raise AssertionError("set up")

        def test_a(self) -> None: ...

    seen = run(make_module(Case=Case))

    assert {"test_a": Status.SKIP} == seen.statuses
    assert "not on this machine" == seen.outcomes["test_a"].reason


def test_a_dependent_in_the_unit_is_skipped_with_the_first_cause(make_module: MakeModule) -> None:
    """Down the whole chain; a warning holds nobody up."""

    class Case(hospital.HealthCheck):
        def test_a(self) -> None:
            self.fail("down")

        @hospital.healthcheck(requires="test_a")
        def test_b(self) -> None: ...

        @hospital.healthcheck(requires="test_b")
        def test_c(self) -> None: ...

        @hospital.healthcheck(severity="warning")
        def test_d(self) -> None:
            self.fail("soft")

        @hospital.healthcheck(requires="test_d")
        def test_e(self) -> None: ...

    seen = run(make_module(Case=Case))

    assert ["fail", "skip", "skip", "warn", "pass"] == [*seen.statuses.values()]
    for name in ("test_b", "test_c"):
        assert "requires unit_mod.Case.test_a, which is fail" == seen.outcomes[name].reason


def test_modules_that_run_at_the_same_time_clean_up_after_themselves(
    make_module: MakeModule,
) -> None:
    """In unittest there is one list of module cleanups for the whole process."""
    log: list[str] = []
    both = threading.Barrier(2, timeout=10)

    def module(name: str) -> types.ModuleType:
        def set_up() -> None:
            unittest.addModuleCleanup(log.append, f"{name} cleaned up")

        def check() -> None:
            both.wait()
            if name == "slow":
                both.wait()
            log.append(f"{name} ran")

        return make_module(name, check=hospital.healthcheck(check), setUpModule=set_up)

    modules = [module("quick"), module("slow")]

    def quick() -> None:
        run(modules[0])
        both.wait()

    threads = [threading.Thread(target=quick), threading.Thread(target=run, args=(modules[1],))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert ["quick ran", "quick cleaned up", "slow ran", "slow cleaned up"] == log


def test_cleanups_outside_of_a_unit_stay_those_of_unittest(make_module: MakeModule) -> None:
    """A runner of unittest's in the same process is not disturbed."""
    log: list[str] = []
    run(make_module(check=hospital.healthcheck(lambda: None), setUpModule=lambda: None))

    unittest.addModuleCleanup(log.append, "unittest's own")
    unittest.case.doModuleCleanups()  # as its suites call it

    assert ["unittest's own"] == log


def test_secrets_in_fixtures_are_masked(make_module: MakeModule) -> None:
    """Before and after the checks."""

    class Case(hospital.HealthCheck):
        @classmethod
        def setUpClass(cls) -> None:
            raise OSError("postgresql://u:s3cret@h/db")

        def test_a(self) -> None: ...

    def tear_down() -> None:
        raise OSError("postgresql://u:s3cret@h/db")

    seen = run(make_module(Case=Case, tearDownModule=tear_down))

    for outcome in seen.outcomes.values():
        assert "postgresql://u:***@h/db" in outcome.reason
        assert "s3cret" not in outcome.reason
        assert "hospital/running" not in outcome.trace


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork; run it on Linux")
def test_the_child_of_a_fixture_runs_no_checks(make_module: MakeModule) -> None:
    """It ends where the fixture comes back for the second time."""
    read, write = os.pipe()

    class Case(hospital.HealthCheck):
        @classmethod
        def setUpClass(cls) -> None:
            os.fork()

        def test_a(self) -> None:
            os.write(write, b"ran ")

    me = os.getpid()
    run(make_module(Case=Case))
    if os.getpid() != me:
        os.write(write, b"twice")
        os._exit(1)
    os.wait()
    os.close(write)

    assert b"ran " == os.read(read, 100)
    os.close(read)
