import asyncio
import functools
import unittest
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import hospital
from hospital.errors import MarkingError, SettingError
from hospital.marking import (
    HealthCheck,
    HealthWarning,
    Options,
    healthcheck,
    is_healthcheck,
    measure,
    options_of,
    taking_notes,
    warn,
)
from hospital.model import Status

OPTION_NAMES = [field.name for field in fields(Options)]


def mark(target: Any, **options: Any) -> Any:
    """Mark *target* with options that a type checker would refuse."""
    return healthcheck(**options)(target)


def a_check() -> None: ...


def a_method(_: Any) -> None: ...


def test_what_can_be_marked() -> None:
    """A class, a method, a function, each of them ``async`` too, bare or with options."""

    @healthcheck
    def function() -> None: ...

    @healthcheck(timeout=2)
    async def coroutine() -> None: ...

    @healthcheck
    class Case(unittest.TestCase):
        def test_it(self) -> None: ...

    class Method(unittest.TestCase):
        @healthcheck()
        def test_it(self) -> None: ...

        def test_other(self) -> None: ...

    checks = [function, coroutine, Case, Method.test_it, Case("test_it"), Method("test_it")]
    others = [Method, Method.test_other, Method("test_other"), a_check, None, 5, unittest.TestCase]
    assert checks == [each for each in checks if is_healthcheck(each)]
    assert [each for each in others if is_healthcheck(each)] == []


def test_what_is_marked_stays_what_it_is() -> None:
    """The target itself is returned, so that it stays an ordinary test."""

    def function() -> int:
        return 5

    assert function is healthcheck(function)
    assert function() == 5


def test_healthcheck_is_a_marked_test_case() -> None:
    """Each of its heirs is marked by being one."""

    class Mine(HealthCheck):
        def test_it(self) -> None: ...

    assert issubclass(HealthCheck, unittest.TestCase)
    assert is_healthcheck(Mine)
    assert is_healthcheck(Mine("test_it"))
    assert hospital.HealthCheck is HealthCheck


def test_a_runner_may_ask_for_the_attribute() -> None:
    """Runners such as nose select by ``is_healthcheck``, and collect by ``__test__``."""
    marked = healthcheck(lambda: None)

    assert marked.is_healthcheck is True  # type: ignore[attr-defined]
    assert marked.__test__ is True  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("option", "written", "read"),
    [
        ("timeout", "500ms", 0.5),
        ("interval", 30, 30.0),
        ("retry_interval", "1m", 60.0),
        ("tags", "db", ("db",)),
        ("tags", ["db", "slow", "db"], ("db", "slow")),
        ("tags", (), ()),
        ("fall", 3, 3),
        ("rise", 1, 1),
        ("requires", "shop.db.up", ("shop.db.up",)),
        ("requires", a_check, (f"{__name__}.a_check",)),
        ("requires", ["x.y", a_check], ("x.y", f"{__name__}.a_check")),
        ("severity", "warning", "warning"),
        ("owner", "ops", "ops"),
        ("fix", "restart it", "restart it"),
        ("isolated", True, True),
        ("timeout", None, None),
    ],
)
def test_options_are_read(option: str, written: object, read: object) -> None:
    """In seconds, tuples of words, and ids."""
    marked = mark(lambda: None, **{option: written})

    assert Options(**{option: read}) == options_of(marked)  # type: ignore[arg-type]


NO_SECONDS: tuple[object, ...] = (
    0,
    -1,
    "soon",
    "",
    True,
    float("nan"),
    float("inf"),
    [],
    "2y",
    1e10,
)
NO_COUNTS: tuple[object, ...] = (0, -1, 1.5, "2", True, [])
SENSELESS: dict[str, tuple[object, ...]] = {
    "timeout": NO_SECONDS,
    "interval": NO_SECONDS,
    "retry_interval": NO_SECONDS,
    "fall": NO_COUNTS,
    "rise": NO_COUNTS,
    "tags": (5, [5], "", ["a b"], "a,b", [None], True),
    "requires": (5, [5], "", ["a b"], [None]),
    "severity": ("Warning", "warn", "", 5, True),
    "owner": (5, [], b"x", True),
    "fix": (5, [], b"x", True),
    "isolated": (1, 0, "yes", "false", []),
}


@pytest.mark.parametrize(
    ("option", "senseless"),
    [(option, value) for option, values in SENSELESS.items() for value in values],
    ids=str,
)
def test_senseless_options_are_refused(option: str, senseless: object) -> None:
    """At the decorator, with the name of the option."""
    with pytest.raises(MarkingError, match=rf"^@healthcheck: {option}"):
        mark(a_check, **{option: senseless})
    assert not is_healthcheck(a_check)


@given(name=st.sampled_from(OPTION_NAMES), position=st.integers(0, 20))
def test_a_mistyped_option_is_refused_with_the_nearest_name(name: str, position: int) -> None:
    """One letter is missing: the right name is told."""
    position %= len(name)
    mistyped = name[:position] + name[position + 1 :]
    if mistyped in OPTION_NAMES:
        return

    with pytest.raises(MarkingError) as caught:
        mark(a_check, **{mistyped: 1})

    message = str(caught.value)
    assert repr(mistyped) in message
    assert f"did you mean {name!r}?" in message


@given(name=st.text(min_size=1, max_size=12).filter(lambda name: name not in OPTION_NAMES))
def test_any_unknown_option_is_refused(name: str) -> None:
    """Whatever it is called, the known ones or the nearest one are named."""
    with pytest.raises(MarkingError, match=r"has no option .*; (did you mean|known are) "):
        mark(a_check, **{name: 1})


def generator() -> Any:
    yield


async def async_generator() -> Any:
    yield


@pytest.mark.parametrize(
    "target",
    [
        5,
        "2s",
        None,
        object(),
        generator,
        async_generator,
        staticmethod(a_check),
        classmethod(a_method),
        property(a_method),
        dict,
        type("Plain", (), {}),
    ],
    ids=lambda target: getattr(target, "__name__", type(target).__name__),
)
def test_what_is_no_test_cannot_be_marked(target: Any) -> None:
    """A mark that would do nothing is an error, not a silence."""
    with pytest.raises(MarkingError, match=r"^@healthcheck on "):
        healthcheck(target)


def test_a_target_beside_others_is_refused() -> None:
    """``@healthcheck(a, b)`` and a target with options make no sense."""
    with pytest.raises(MarkingError, match="takes one target"):
        healthcheck(a_check, a_check)  # type: ignore[call-overload]
    with pytest.raises(MarkingError, match="takes one target"):
        healthcheck(a_check, timeout=2)  # type: ignore[call-overload]


def test_options_of_a_method_go_over_those_of_its_class() -> None:
    """Where the method is silent the class speaks; tags and requirements of both add up."""
    outer = Options(timeout=5, tags=("a", "b"), requires=("x",), owner="ops")
    inner = Options(timeout=2, tags=("b", "c"), severity="warning")

    both = inner.over(outer)

    assert both == Options(
        timeout=2, tags=("a", "b", "c"), requires=("x",), owner="ops", severity="warning"
    )


def test_marks_on_one_target_add_up() -> None:
    """The upper decorator goes over the lower."""

    @healthcheck(timeout=2)
    @healthcheck(timeout=5, owner="ops")
    def check() -> None: ...

    assert Options(timeout=2, owner="ops") == options_of(check)


def test_an_async_method_of_a_plain_test_case_is_awaited() -> None:
    """Plain unittest would call it and pass, unrun."""

    @healthcheck
    class Marked(unittest.TestCase):
        async def test_it(self) -> None:
            await asyncio.sleep(0)
            self.fail("was awaited")

    class Derived(HealthCheck):
        async def test_it(self) -> None:
            self.fail("was awaited")

    for case in (Marked, Derived):
        result = unittest.TestResult()
        case("test_it").run(result)
        assert [text.split()[-2:] and text.strip()[-11:] for _, text in result.failures] == [
            "was awaited"
        ]


def test_an_isolated_asyncio_test_case_is_left_alone() -> None:
    """It awaits its own tests, in its own loop."""

    async def test_it(self: object) -> None: ...

    case = healthcheck(type("Case", (unittest.IsolatedAsyncioTestCase,), {"test_it": test_it}))

    assert case.test_it is test_it  # type: ignore[attr-defined]


def test_without_a_runner_of_ours_a_warning_is_an_ordinary_one() -> None:
    """It points at the line that warned."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn("disk is nearly full")

    (warning,) = caught
    assert HealthWarning is warning.category
    assert str(warning.message) == "disk is nearly full"
    assert __file__ == warning.filename


def test_an_ordinary_warning_shows_no_secret() -> None:
    """Other runners print it as it comes."""
    with pytest.warns(HealthWarning, match=r"^postgresql://u:\*\*\*@h/db is slow$"):
        warn("postgresql://u:s3cret@h/db is slow")


def test_without_a_runner_of_ours_measuring_does_nothing() -> None:
    """But a limit that is none is an error everywhere."""
    measure("used", 0.99, unit="1", fail="0.9")

    with pytest.raises(SettingError, match="limit of 'used' is no range"):
        measure("used", 0.5, warn="high")


def test_what_is_said_is_noted() -> None:
    """Warnings in their order; of a measurement the latest value."""
    with taking_notes() as notes:
        warn("first")
        measure("used", 0.5, unit="1", warn=0.8, fail="0.9")
        warn("second")
        measure("used", 0.95, unit="1", warn=0.8, fail="0.9")
        measure("free", 5)

    assert notes.warnings == ["first", "second"]
    used, free = notes.measurements.values()
    assert (used.value, used.status, used.warn, used.fail) == (0.95, Status.FAIL, "0.8", "0.9")
    assert (free.value, free.status, free.warn) == (5, Status.PASS, "")


@pytest.mark.parametrize(
    ("value", "status"),
    [(0.5, Status.PASS), (0.85, Status.WARN), (0.95, Status.FAIL), (float("nan"), Status.FAIL)],
)
def test_a_measurement_is_judged_by_its_limits(value: float, status: Status) -> None:
    """Failing goes over warning."""
    with taking_notes() as notes:
        measure("used", value, warn="0.8", fail="0.9")

    assert status is notes.measurements["used"].status


@pytest.mark.parametrize(
    ("name", "value"), [("", 1), (" ", 1), (5, 1), ("a", "1"), ("a", True), ("a", None)]
)
def test_what_is_no_measurement_is_refused(name: Any, value: Any) -> None:
    """A name that is empty, a value that is no number."""
    with pytest.raises(SettingError):
        measure(name, value)


def test_notes_of_concurrent_checks_stay_apart() -> None:
    """Threads and coroutines that run beside each other do not hear each other."""

    def in_thread(number: int) -> list[str]:
        with taking_notes() as notes:
            for _ in range(20):
                warn(f"thread {number}")
        return notes.warnings

    async def in_task(number: int) -> list[str]:
        with taking_notes() as notes:
            for _ in range(20):
                warn(f"task {number}")
                await asyncio.sleep(0)
        return notes.warnings

    async def tasks() -> list[list[str]]:
        return await asyncio.gather(*map(in_task, range(8)))

    with ThreadPoolExecutor(8) as pool:
        said = list(pool.map(in_thread, range(8)))

    assert [[f"thread {n}"] * 20 for n in range(8)] == said
    assert [[f"task {n}"] * 20 for n in range(8)] == asyncio.run(tasks())


def test_notes_follow_a_check_into_its_own_context() -> None:
    """A copy of the context, such as ``asyncio.to_thread`` makes, reaches the same check."""
    with taking_notes() as notes:
        copy_context().run(functools.partial(warn, "from a copy"))

    assert notes.warnings == ["from a copy"]


def test_a_flood_of_notes_is_bounded() -> None:
    """A check that warns in a loop costs no memory without end; a number is never dropped."""
    with taking_notes() as notes:
        for number in range(1000):
            warn("again")
            measure(f"m{number % 100}", number)
        with pytest.raises(SettingError, match="one check measures more than 100 names"):
            measure("one more", 1)

    assert len(notes.warnings) == 100
    assert len(notes.measurements) == 100
