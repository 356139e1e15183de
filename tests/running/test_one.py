"""Whatever a check raises or does, it has one outcome, and a reason that can be used."""

import asyncio
import functools
import json
import os
import sys
import unittest
from collections.abc import Callable
from typing import Any

import pytest

import hospital
from hospital.entries import Entry, function_entry
from hospital.model import Outcome, Status
from hospital.running.one import run_one
from tests.running.outcomes import failing_later, no_output, outcome_of, outcome_of_case, raising

HERE = "tests/running/test_one.py"
OUTCOMES = "tests/running/outcomes.py"


class MuteError(Exception):
    """An exception without a text."""

    def __str__(self) -> str:
        raise SystemExit("not even a text")


class Bare(BaseException):
    """Something that ``except Exception`` does not catch."""


class Slippery(str):
    """A text that will not be formatted."""

    __slots__ = ()

    def __format__(self, _spec: str) -> str:
        raise Bare


class SlipperyError(Exception):
    """An exception whose text is no plain text."""

    def __str__(self) -> str:
        return Slippery("slippery")


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (AssertionError("too full"), Status.FAIL, "too full"),
        (ValueError("no number"), Status.ERROR, "ValueError: no number"),
        (ValueError(), Status.ERROR, "ValueError"),
        (SystemExit(0), Status.ERROR, "SystemExit: 0"),
        (KeyboardInterrupt(), Status.ERROR, "KeyboardInterrupt"),
        (GeneratorExit(), Status.ERROR, "GeneratorExit"),
        (MemoryError(), Status.ERROR, "MemoryError"),
        (RecursionError("deep"), Status.ERROR, "RecursionError: deep"),
        (StopIteration(3), Status.ERROR, "StopIteration: 3"),
        (asyncio.CancelledError(), Status.ERROR, "CancelledError"),
        (Bare("bare"), Status.ERROR, "Bare: bare"),
        (MuteError(), Status.ERROR, "MuteError: <MuteError whose text cannot be had: SystemExit>"),
        (SlipperyError(), Status.ERROR, "SlipperyError: slippery"),
        (ValueError("\udce9"), Status.ERROR, "ValueError: \ufffd"),
        (ValueError("a\x1b[31m\0b"), Status.ERROR, "ValueError: a[31mb"),
        (OSError("postgresql://u:s3cret@h/db"), Status.ERROR, "OSError: postgresql://u:***@h/db"),
    ],
)
def test_what_a_check_raises(error: BaseException, status: Status, reason: str) -> None:
    """In a function and in a method alike, ``BaseException`` included."""

    class Case(hospital.HealthCheck):
        def test_it(self) -> None:
            raise error

    for outcome in (outcome_of(raising(error)), outcome_of_case(Case)):
        assert status is outcome.status
        text, _, where = outcome.reason.partition(" (")
        assert reason == text
        assert where.startswith((f"{HERE}:", f"{OUTCOMES}:"))


@pytest.mark.parametrize("where", ["setUp", "test_it", "tearDown", "cleanup"])
def test_where_a_test_case_may_fail(where: str) -> None:
    """A failure of ``setUp``, the test, ``tearDown`` or a cleanup is that of the check."""

    class Case(hospital.HealthCheck):
        def part(self, name: str) -> None:
            if name == where:
                raise OSError(f"in {name}")

        def setUp(self) -> None:
            self.addCleanup(self.part, "cleanup")
            self.part("setUp")

        def test_it(self) -> None:
            self.part("test_it")

        def tearDown(self) -> None:
            self.part("tearDown")

    outcome = outcome_of_case(Case)

    assert Status.ERROR is outcome.status
    assert outcome.reason.startswith(f"OSError: in {where} ({HERE}:")


def test_all_faults_of_a_test_case_are_told() -> None:
    """A failing test and a failing ``tearDown``: the worse status, both reasons."""

    class Case(hospital.HealthCheck):
        def test_it(self) -> None:
            self.fail("first")

        def tearDown(self) -> None:
            raise OSError("second")

    outcome = outcome_of_case(Case)

    assert Status.ERROR is outcome.status
    assert "OSError: second" in outcome.reason
    assert "first" in outcome.reason


class Skipping(unittest.TestCase):
    """Skips in each way."""

    __test__ = False  # for pytest

    def setUp(self) -> None:
        if "set_up" in self.id():
            raise unittest.SkipTest("in setUp")

    @hospital.healthcheck
    def test_set_up(self) -> None: ...

    @hospital.healthcheck
    def test_raised(self) -> None:
        raise unittest.SkipTest("raised")

    @hospital.healthcheck
    def test_method(self) -> None:
        self.skipTest("by method")

    @hospital.healthcheck
    @unittest.skip("by decorator")
    def test_decorated(self) -> None: ...

    @hospital.healthcheck
    def test_without_reason(self) -> None:
        raise unittest.SkipTest("")


@pytest.mark.parametrize(
    ("method", "reason"),
    [
        ("test_set_up", "in setUp"),
        ("test_raised", "raised"),
        ("test_method", "by method"),
        ("test_decorated", "by decorator"),
        ("test_without_reason", "skipped"),
    ],
)
def test_a_skip_tells_its_reason(method: str, reason: str) -> None:
    """However it came about."""
    outcome = outcome_of_case(Skipping, method)

    assert (Status.SKIP, reason) == (outcome.status, outcome.reason)


def test_a_function_may_skip() -> None:
    """By decorator and by exception."""
    decorated = outcome_of(unittest.skip("by decorator")(lambda: None))
    raised = outcome_of(raising(unittest.SkipTest("raised")))

    assert (Status.SKIP, "by decorator") == (decorated.status, decorated.reason)
    assert (Status.SKIP, "raised") == (raised.status, raised.reason)


class Expecting(unittest.TestCase):
    """Expects to fail."""

    __test__ = False  # for pytest

    @hospital.healthcheck
    @unittest.expectedFailure
    def test_fails(self) -> None:
        self.fail("as expected")

    @hospital.healthcheck
    @unittest.expectedFailure
    def test_errs(self) -> None:
        raise OSError("as expected")

    @hospital.healthcheck
    @unittest.expectedFailure
    def test_passes(self) -> None: ...

    @hospital.healthcheck
    @unittest.expectedFailure
    def test_fails_in_a_subtest(self) -> None:
        for n in (1, 2):
            with self.subTest(n=n):
                assert n != 1, "as expected"

    @hospital.healthcheck
    @unittest.expectedFailure
    def test_cleanup_fails(self) -> None:
        self.addCleanup(raising(OSError("not expected")))
        self.fail("as expected")


@pytest.mark.parametrize(
    ("method", "status"),
    [
        ("test_fails", Status.EXPECTED_FAILURE),
        ("test_errs", Status.EXPECTED_FAILURE),
        ("test_passes", Status.UNEXPECTED_SUCCESS),
        ("test_fails_in_a_subtest", Status.EXPECTED_FAILURE),
        ("test_cleanup_fails", Status.ERROR),
    ],
)
def test_expected_failures(method: str, status: Status) -> None:
    """As in unittest."""
    assert status is outcome_of_case(Expecting, method).status


def test_a_function_may_be_expected_to_fail() -> None:
    """As a method may."""
    fails, passes = raising(AssertionError("as expected")), lambda: None

    assert Status.EXPECTED_FAILURE is outcome_of(unittest.expectedFailure(fails)).status
    assert Status.UNEXPECTED_SUCCESS is outcome_of(unittest.expectedFailure(passes)).status


def test_the_worst_subtest_counts_and_each_is_told() -> None:
    """With its parameters."""

    class Case(hospital.HealthCheck):
        def test_it(self) -> None:
            for error in (None, AssertionError("low"), OSError("gone"), unittest.SkipTest("later")):
                with self.subTest("part", error=type(error).__name__):
                    if error:
                        raise error

    outcome = outcome_of_case(Case)

    assert Status.ERROR is outcome.status
    assert "[part] (error='OSError') OSError: gone (" in outcome.reason
    assert "[part] (error='AssertionError') low (" in outcome.reason


def test_warnings_stand_beside_a_failure() -> None:
    """What the check said before it failed is not lost."""

    def check() -> None:
        hospital.warn("getting full")
        raise AssertionError("full")

    outcome = outcome_of(check)

    assert Status.FAIL is outcome.status
    first, second = outcome.reason.splitlines()
    assert first.startswith("full (")
    assert "warning: getting full" == second


def test_warnings_alone_make_a_warning() -> None:
    """Each is told."""

    def check() -> None:
        hospital.warn("one")
        hospital.warn("two of password=hunter2")

    outcome = outcome_of(check)

    assert (Status.WARN, "one\ntwo of password=***") == (outcome.status, outcome.reason)


@pytest.mark.parametrize(
    ("value", "limits", "status", "reason"),
    [
        (5, {}, Status.PASS, ""),
        (5, {"warn": "10"}, Status.PASS, ""),
        (15, {"warn": "10", "fail": "20"}, Status.WARN, "x is 15 s, above 10"),
        (25, {"warn": "10", "fail": "20"}, Status.FAIL, "x is 25 s, above 20"),
        (float("nan"), {}, Status.PASS, ""),
        (
            float("nan"),
            {"warn": "10"},
            Status.ERROR,
            "x is not a number, so it cannot be held against 10",
        ),
        (float("inf"), {"fail": "10"}, Status.FAIL, "x is inf s, above 10"),
        (10**400, {}, Status.PASS, ""),
        (-(10**5000), {}, Status.PASS, ""),
    ],
    ids=range(9),
)
def test_measurements_are_judged(
    value: float, limits: dict[str, str], status: Status, reason: str
) -> None:
    """By their ranges, and whatever the number is it can be written down."""
    outcome = outcome_of(lambda: hospital.measure("x", value, unit="s", **limits))

    assert (status, reason) == (outcome.status, outcome.reason)
    assert json.loads(json.dumps(outcome.to_wire(), allow_nan=False))


def test_what_is_measured_before_a_failure_is_kept() -> None:
    """And names and units can be shown, whatever they are."""

    def check() -> None:
        hospital.measure("disk\x1b\udce9 " * 500, 1, unit="\0By" * 500)
        raise AssertionError

    (measurement,) = outcome_of(check).measurements

    assert measurement.name.startswith("disk\ufffd disk")
    assert len(measurement.name) <= 100
    assert len(measurement.unit) <= 20


def test_a_soft_check_warns() -> None:
    """``severity="warning"`` makes a warning of failures and errors, and of nothing else."""
    statuses = [
        outcome_of(raising(error), severity="warning").status
        for error in (AssertionError(), OSError(), unittest.SkipTest(""))
    ]

    assert [Status.WARN, Status.WARN, Status.SKIP] == statuses


def returning(value: object) -> Callable[[], object]:
    """Return a check that returns *value*."""
    return lambda: value


async def false_later() -> bool:
    """Return False when awaited."""
    return False


class Awaitable:
    """Something that can be awaited and is no coroutine."""

    def __await__(self) -> Any:
        return failing_later().__await__()


@pytest.mark.parametrize(
    ("make", "status", "reason"),
    [
        (returning(None), Status.PASS, ""),
        (lambda: True, Status.PASS, ""),
        (returning(0), Status.PASS, ""),
        (
            lambda: False,
            Status.ERROR,
            "returned False; a check fails by raising, as assert does",
        ),
        (false_later, Status.ERROR, "returned False; a check fails by raising, as assert does"),
        (lambda: failing_later(), Status.FAIL, "awaited"),  # noqa: PLW0108 - no coroutine function
        (lambda: Awaitable(), Status.FAIL, "awaited"),  # noqa: PLW0108 - no coroutine function
        (failing_later, Status.FAIL, "awaited"),
        (
            lambda: (n for n in range(3)),
            Status.ERROR,
            "is a generator, so nothing of it was run; remove the yield",
        ),
    ],
)
def test_what_a_check_returns(make: Callable[[], object], status: Status, reason: str) -> None:
    """It is awaited where it can be; what means that nothing was checked is an error."""

    class Case(hospital.HealthCheck):
        def test_it(self) -> object:
            return make()

    def function() -> object:
        return make()

    for outcome in (outcome_of(function), outcome_of_case(Case)):
        assert status is outcome.status
        assert reason == outcome.reason.partition(" (")[0]


def test_an_async_test_of_a_mixin_is_awaited() -> None:
    """Also where the class that is marked does not define it."""

    class Mixin:
        async def test_it(self) -> None:
            await failing_later()

    @hospital.healthcheck
    class Case(Mixin, unittest.TestCase): ...

    @hospital.healthcheck
    class Own(Mixin, unittest.IsolatedAsyncioTestCase): ...

    assert Status.FAIL is outcome_of_case(Case).status
    assert Status.FAIL is outcome_of_case(Own).status


@pytest.mark.parametrize(
    "function",
    [
        lambda db: db,
        lambda *, db: db,
        functools.partial(lambda host, db: (host, db), "h"),
    ],
)
def test_a_function_that_takes_arguments_is_an_error(function: Callable[..., object]) -> None:
    """Which pytest would fill with fixtures, and hospital cannot."""
    outcome = outcome_of(function)

    assert Status.ERROR is outcome.status
    assert outcome.reason.startswith("takes arguments (db), but a check is called without any")


@pytest.mark.parametrize(
    "function",
    [
        lambda db=1: db,
        lambda *args, **kwargs: (args, kwargs),
        lambda *, db=1: db,
        functools.partial(lambda db: db, 1),
        functools.partial(lambda db: db, db=1),
        unittest.TestCase().id,
    ],
)
def test_arguments_that_need_not_be_given_do_no_harm(function: Any) -> None:
    """Defaults, partials, methods of an object."""
    entry = function_entry(function, "mod.f")

    assert Status.PASS is run_one(entry, no_output).status


def test_a_cached_check_runs_each_time() -> None:
    """What ``functools.cache`` kept from the run before is no result."""
    ran = []

    @functools.cache
    def check() -> None:
        ran.append(1)

    outcome_of(check)
    outcome_of(check)

    assert 2 == len(ran)


def test_a_test_case_may_have_its_own_way_to_run() -> None:
    """Django's, for one, prepare each test in ``__call__``."""
    prepared = []

    class Case(hospital.HealthCheck):
        def __call__(self, *args: Any, **kwargs: Any) -> None:
            prepared.append(self.id())
            super().__call__(*args, **kwargs)

        def test_it(self) -> None:
            assert prepared

    assert Status.PASS is outcome_of_case(Case).status


def test_a_test_case_sees_a_result_as_unittest_gives_it() -> None:
    """A ``tearDown`` may ask whether its test failed."""
    seen = []

    class Case(hospital.HealthCheck):
        def test_it(self) -> None:
            self.fail("on purpose")

        def tearDown(self) -> None:
            result = self._outcome.result  # type: ignore[attr-defined]  # a recipe that many use
            seen.append((len(result.errors), len(result.failures), result.testsRun))

    outcome_of_case(Case)

    assert [(0, 1, 1)] == seen


def test_a_test_case_that_cannot_be_made_is_an_error() -> None:
    """Its ``__init__`` may raise, or want arguments."""

    class Case(hospital.HealthCheck):
        def __init__(self, name: str, host: str) -> None:
            super().__init__(name)
            self.host = host

        def test_it(self) -> None: ...

    outcome = outcome_of_case(Case)

    assert Status.ERROR is outcome.status
    assert "missing 1 required positional argument: 'host'" in outcome.reason


def test_time_and_duration_are_those_of_the_check() -> None:
    """The duration is never negative, the time that of the wall."""
    outcome = outcome_of(lambda: None)

    assert outcome.duration_s >= 0
    assert outcome.time > 1_000_000_000


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork; run it on Linux")
def test_the_child_of_a_check_tells_nothing() -> None:
    """A check that forks and returns twice has one outcome: the child ends where it would tell."""
    told: list[Outcome] = []
    read, write = os.pipe()

    def check() -> None:
        if not os.fork():
            os.write(write, b"child")

    entry = Entry(check=function_entry(check, "mod.f").check, function=check)
    me = os.getpid()
    told.append(run_one(entry, no_output))
    if os.getpid() != me:
        os.write(write, b"told")
        os._exit(1)

    _pid, status = os.wait()
    os.close(write)

    assert 0 == os.waitstatus_to_exitcode(status)
    assert b"child" == os.read(read, 100)
    os.close(read)
    assert 1 == len(told)
    assert sys.exc_info() == (None, None, None)
