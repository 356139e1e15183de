"""What an exception means: its reason is short, useful, and free of secrets."""

import asyncio
import json
import unittest
from collections.abc import Callable
from typing import Any

import pytest

import hospital
from hospital.model import Status
from hospital.redaction import LONGEST
from tests.running.outcomes import failing_later, outcome_of, outcome_of_case, raising

HERE = "tests/running/test_meaning.py"
OUTCOMES = "tests/running/outcomes.py"


def test_a_bare_assert_shows_its_line(pytester: pytest.Pytester) -> None:
    """The line of source stands in for the text that is missing."""
    path = pytester.path / "bare.py"  # pytest writes texts into the asserts of its own files
    path.write_text("def check():\n    x = 2\n    assert x == 3\n")
    names: dict[str, Any] = {}
    exec(compile(path.read_text(), str(path), "exec"), names)  # noqa: S102 - written above

    outcome = outcome_of(names["check"])

    assert "assert x == 3 (bare.py:3 in check)" == outcome.reason
    assert "bare.py:3 in check: assert x == 3" == outcome.trace


def test_the_place_is_in_the_users_own_code() -> None:
    """Though the exception comes out of the library that it called."""
    outcome = outcome_of(lambda: json.loads("{"))

    assert outcome.reason.startswith("JSONDecodeError: Expecting property name")
    assert f"({HERE}:" in outcome.reason
    assert "json/decoder.py" in outcome.trace
    assert "hospital/running" not in outcome.trace


def test_causes_are_told_in_short() -> None:
    """What it was raised from, with its place, up to three of them."""

    def check() -> None:
        try:
            try:
                raise ConnectionRefusedError(111, "refused by postgresql://u:s3cret@h/db")
            except OSError as error:
                raise LookupError("no primary") from error
        except LookupError:
            raise AssertionError("the database is down")  # noqa: B904 - the context is tested

    first, second, third = outcome_of(check).reason.splitlines()

    assert first.startswith(f"the database is down ({HERE}:")
    assert second.startswith(f"while handling LookupError: no primary ({HERE}:")
    assert third.startswith("caused by ConnectionRefusedError: [Errno 111] refused by postgresql")
    assert "s3cret" not in third


def test_a_suppressed_cause_is_not_told() -> None:
    """``from None`` says that it is of no use."""

    def check() -> None:
        try:
            json.loads("noise")
        except ValueError:
            raise AssertionError("signal") from None

    assert 1 == len(outcome_of(check).reason.splitlines())


def test_causes_in_a_circle_end() -> None:
    """An exception can be its own cause's cause."""
    one, two = ValueError("one"), ValueError("two")
    one.__cause__, two.__cause__ = two, one

    assert 2 == len(outcome_of(raising(one)).reason.splitlines())


def test_the_parts_of_a_group_are_told() -> None:
    """A task group of asserts fails, one with anything else errs; ten parts are enough."""
    asserts = BaseExceptionGroup("tasks", [AssertionError("a"), AssertionError("b")])
    mixed = ExceptionGroup("tasks", [AssertionError("a"), ExceptionGroup("x", [OSError("b")])])
    many = ExceptionGroup("tasks", [OSError(str(n)) for n in range(50)])
    skips = ExceptionGroup("tasks", [unittest.SkipTest("later")])

    failed, erred, flood, skipped = (
        outcome_of(raising(each)) for each in (asserts, mixed, many, skips)
    )

    assert (Status.FAIL, Status.ERROR, Status.ERROR) == (failed.status, erred.status, flood.status)
    assert ["- a", "- b"] == failed.reason.splitlines()[1:]
    assert ["- a", "- OSError: b"] == erred.reason.splitlines()[1:]
    assert "- … and 40 more" == flood.reason.splitlines()[-1]
    assert (Status.SKIP, "later") == (skipped.status, skipped.reason)


def test_a_task_group_names_the_place_of_each_part() -> None:
    """Where its own traceback tells it."""

    async def check() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(failing_later())

    outcome = outcome_of(check)

    assert Status.FAIL is outcome.status
    assert f"- awaited ({OUTCOMES}:" in outcome.reason


@pytest.mark.parametrize(
    ("call", "status", "reason"),
    [
        (lambda: pytest.skip("not here"), Status.SKIP, "not here"),
        (lambda: pytest.fail("no good"), Status.FAIL, "no good"),
        (lambda: pytest.xfail("known"), Status.EXPECTED_FAILURE, "known"),
    ],
)
def test_what_pytest_raises_is_understood(
    call: Callable[[], None], status: Status, reason: str
) -> None:
    """The same file is a test under pytest, and may use its words."""

    class Case(hospital.HealthCheck):
        def test_it(self) -> None:
            call()

    for outcome in (outcome_of(call), outcome_of_case(Case)):
        assert status is outcome.status
        assert reason == outcome.reason.partition(" (")[0]


def test_a_flood_of_text_is_cut() -> None:
    """50 MB in an exception, a skip, a warning, a cause, a subtest."""
    flood = "x" * 50_000_000

    class Case(hospital.HealthCheck):
        def test_it(self) -> None:
            with self.subTest(flood):
                raise ValueError(flood) from OSError(flood)

    outcomes = [
        outcome_of(raising(ValueError(flood))),
        outcome_of(raising(unittest.SkipTest(flood))),
        outcome_of(lambda: hospital.warn(flood)),
        outcome_of_case(Case),
    ]

    for outcome in outcomes:
        assert len(outcome.reason) <= LONGEST
        assert len(outcome.trace) <= LONGEST


def test_deep_recursion_is_an_error() -> None:
    """Not the end of the process, and the trace stays short."""

    def check() -> None:
        check()

    outcome = outcome_of(check)

    assert Status.ERROR is outcome.status
    assert outcome.reason.startswith("RecursionError: maximum recursion depth exceeded")
    assert len(outcome.trace.splitlines()) <= 12
