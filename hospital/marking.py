"""Mark tests as health checks, and let a running check say more than pass or fail.

Rule: what a check says reaches that check alone, whatever runs beside it, so it travels in a
context variable and never in a global.
"""

import functools
import inspect
import unittest
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeVar, cast, overload

from hospital.durations import parse_duration
from hospital.errors import HospitalError, MarkingError, SettingError, did_you_mean
from hospital.model import Measurement, Status
from hospital.ranges import parse_range
from hospital.redaction import clean

T = TypeVar("T")

SEVERITIES = ("critical", "warning")
_MARK = "is_healthcheck"
_OPTIONS = "__healthcheck_options__"
_MOST_NOTES = 100
_LONGEST_DURATION_S = 86_400 * 366


class HealthWarning(UserWarning):
    """What ``hospital.warn`` says where no health check is running: an ordinary warning."""


@dataclass(frozen=True, slots=True)
class Options:
    """What was written in ``@healthcheck(…)``; None where nothing was."""

    timeout: float | None = None
    interval: float | None = None
    retry_interval: float | None = None
    tags: tuple[str, ...] | None = None
    fall: int | None = None
    rise: int | None = None
    requires: tuple[str, ...] | None = None
    severity: str | None = None
    owner: str | None = None
    fix: str | None = None
    isolated: bool | None = None

    def over(self, outer: "Options") -> "Options":
        """Return these options with *outer* (those of the class) where these are silent.

        Tags and requirements of both add up.
        """
        merged: dict[str, Any] = {}
        for each in fields(self):
            mine, theirs = getattr(self, each.name), getattr(outer, each.name)
            if each.name in {"tags", "requires"} and mine and theirs:
                merged[each.name] = tuple(dict.fromkeys(theirs + mine))
            else:
                merged[each.name] = theirs if mine is None else mine
        return Options(**merged)


@overload
def healthcheck(target: T, /) -> T: ...
@overload
def healthcheck(
    *,
    timeout: float | str | None = None,
    interval: float | str | None = None,
    retry_interval: float | str | None = None,
    tags: str | Iterable[str] | None = None,
    fall: int | None = None,
    rise: int | None = None,
    requires: object = None,
    severity: str | None = None,
    owner: str | None = None,
    fix: str | None = None,
    isolated: bool | None = None,
) -> Callable[[T], T]: ...
def healthcheck(*target: Any, **options: Any) -> Any:
    """Mark a ``unittest.TestCase`` class, a test method or a function as a health check.

    Use it bare, ``@healthcheck``, or with options, ``@healthcheck(timeout=2, tags="db")``.
    The target is returned as it was, marked: it stays an ordinary test.

    Args:
        target: The class, method or function; ``async def`` is welcome.
        **options: ``timeout``, ``interval``, ``retry_interval``: seconds, or text such as
            ``"500ms"``; ``tags``: a word or several; ``fall``, ``rise``: consecutive results,
            at least 1; ``requires``: ids of checks, or the checks themselves; ``severity``:
            ``"critical"`` or ``"warning"``; ``owner``, ``fix``: text; ``isolated``: whether
            it runs in a child process of its own.

    Raises:
        MarkingError: If the target is no test, or an option is unknown or makes no sense.

    >>> @healthcheck(timeout=2, tags=("db",))
    ... def accounts_are_open():
    ...     "The accounts are open."
    >>> is_healthcheck(accounts_are_open)
    True
    """
    read = _read_options(options)
    if not target:
        return functools.partial(_mark, options=read)
    if len(target) > 1 or options:
        raise MarkingError(
            "@healthcheck takes one target, not", f"{len(target)}", "name its options: timeout=2"
        )
    return _mark(target[0], read)


def is_healthcheck(obj: object) -> bool:
    """Tell whether *obj* is a health check: a marked class, method or function.

    For an instance of a ``unittest.TestCase`` it tells whether its class or the test method it
    was made for is marked.
    """
    if getattr(obj, _MARK, False) is True:
        return True
    if isinstance(obj, unittest.TestCase):
        method = getattr(type(obj), getattr(obj, "_testMethodName", ""), None)
        return getattr(method, _MARK, False) is True
    return False


def options_of(target: object) -> Options:
    """Return the options *target* was marked with, empty ones where it was not."""
    options = getattr(target, _OPTIONS, None)
    return options if isinstance(options, Options) else Options()


def _mark(target: Any, options: Options) -> Any:
    if isinstance(target, type):
        if not issubclass(target, unittest.TestCase):
            raise MarkingError(
                "@healthcheck on a class that is no unittest.TestCase:",
                target.__qualname__,
                "derive it from unittest.TestCase, or mark its functions",
            )
        _let_plain_testcase_await(target)
    else:
        _refuse_what_cannot_run(target)
    setattr(target, _OPTIONS, options.over(options_of(target)))
    setattr(target, _MARK, True)
    if not isinstance(target, type):
        target.__test__ = True  # pytest and nose collect it, whatever its name
    return target


def _refuse_what_cannot_run(target: Any) -> None:
    if isinstance(target, staticmethod | classmethod | property):
        raise MarkingError(
            "@healthcheck on a", type(target).__name__, "put @healthcheck beneath it, on a method"
        )
    if not inspect.isroutine(target) and not isinstance(target, functools.partial):
        raise MarkingError(
            "@healthcheck on what is neither class nor function:",
            repr(target)[:80],
            "options are named, as in @healthcheck(timeout=2)",
        )
    if inspect.isgeneratorfunction(target) or inspect.isasyncgenfunction(target):
        raise MarkingError(
            "@healthcheck on a generator:",
            getattr(target, "__qualname__", repr(target)),
            "calling it would run nothing; remove the yield",
        )


def _let_plain_testcase_await(case: type[unittest.TestCase]) -> None:
    """Make ``async def`` tests of a plain TestCase run, where unittest would never await them."""
    if manages_own_loop(case):
        return
    for name, method in list(vars(case).items()):
        is_run = name.startswith("test") or name in {"setUp", "tearDown"}
        if is_run and inspect.iscoroutinefunction(method):
            setattr(case, name, awaiting(method))


def manages_own_loop(case: type[unittest.TestCase]) -> bool:
    """Return whether *case* awaits its own tests, without importing asyncio to find out."""
    return any(base.__name__ == "IsolatedAsyncioTestCase" for base in case.__mro__)


def awaiting(function: Callable[..., Any]) -> Callable[..., None]:
    """Return a plain function that runs the coroutine function under a loop of its own.

    It raises a HospitalError where the coroutine returns False, which nobody would look at.
    """

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> None:
        import asyncio

        if asyncio.run(function(*args, **kwargs)) is False:
            raise HospitalError("returned False", remedy="a check fails by raising, as assert does")

    return run


@dataclass(slots=True)
class Notes:
    """What a running check has said so far."""

    warnings: list[str] = field(default_factory=list)
    measurements: dict[str, Measurement] = field(default_factory=dict)


_notes: ContextVar[Notes | None] = ContextVar("hospital_notes", default=None)


@contextmanager
def taking_notes() -> Iterator[Notes]:
    """Collect what is said by ``warn`` and ``measure`` in this context, and nowhere else."""
    notes = Notes()
    token = _notes.set(notes)
    try:
        yield notes
    finally:
        _notes.reset(token)


def warn(message: str) -> None:
    """Let the running check hold, but with a warning; may be called any number of times.

    Where no health check runs (unittest, pytest) it is an ordinary ``HealthWarning``.
    """
    notes = _notes.get()
    if notes is None:
        warnings.warn(clean(str(message)), HealthWarning, stacklevel=2)
    elif len(notes.warnings) < _MOST_NOTES:
        notes.warnings.append(str(message))


def measure(
    name: str,
    value: float,
    unit: str = "",
    warn: str | float | None = None,
    fail: str | float | None = None,
) -> None:
    """Record a number, and judge it where limits are given.

    The check runs on; it warns or fails at its end when a value is outside of its range.
    The latest value of a name counts. Does nothing where no health check runs.

    Args:
        name: What was measured, such as ``"disk_used"``.
        value: The number.
        unit: ``"1"`` for a ratio of 0 to 1, ``"s"``, ``"By"`` …
        warn: Range outside of which the check warns: ``"80"``, ``"10:"``, ``"@5:8"``.
        fail: Range outside of which the check fails.

    Raises:
        SettingError: If a range is none, *value* is no number, or 100 names are exceeded.
    """
    if not isinstance(name, str) or not name.strip():
        raise SettingError("measure() needs a name, not", repr(name)[:80])
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _no_number(name, value)
    status = Status.PASS
    for limit, judged in ((warn, Status.WARN), (fail, Status.FAIL)):
        if limit is not None and not parse_range(limit, f"limit of {name!r}").holds(value):
            status = judged
    notes = _notes.get()
    if notes is not None:
        if name not in notes.measurements and len(notes.measurements) >= _MOST_NOTES:
            raise SettingError(
                "one check measures more than", f"{_MOST_NOTES} names", "split it into several"
            )
        notes.measurements[name] = Measurement(
            name=name,
            value=value,
            unit=unit,
            warn="" if warn is None else str(warn),
            fail="" if fail is None else str(fail),
            status=status,
        )


def _no_number(name: str, value: object) -> SettingError:
    return SettingError(
        f"measurement {name!r} is no number:", repr(value)[:80], "convert it with float()"
    )


class HealthCheck(unittest.TestCase):
    """A ``unittest.TestCase`` that is marked: each test of a subclass is a health check."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        _let_plain_testcase_await(cls)


def _read_options(given: dict[str, Any]) -> Options:
    known = {each.name: each.name for each in fields(Options)}
    for name in given:
        if name not in known:
            hint = did_you_mean(name, known) or f"known are {', '.join(known)}"
            raise MarkingError("@healthcheck has no option", repr(name), hint)
    try:
        read = {
            name: _READERS[name](name, value) for name, value in given.items() if value is not None
        }
    except SettingError as error:
        raise MarkingError(f"@healthcheck: {error.what}", error.value, error.remedy) from None
    return replace(Options(), **read)


def _read_seconds(name: str, value: object) -> float:
    seconds = parse_duration(cast("float | str", value), name)
    if seconds > _LONGEST_DURATION_S:
        raise SettingError(f"{name} is over a year:", repr(value)[:80])
    return seconds


def _read_count(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise SettingError(f"{name} counts results, at least 1, not", repr(value)[:80])
    return value


def _read_words(name: str, value: object) -> tuple[str, ...]:
    words = (value,) if isinstance(value, str) else value
    if not isinstance(words, Iterable):
        raise SettingError(f"{name} takes a word or several, not", repr(value)[:80])
    read = tuple(dict.fromkeys(words))
    for word in read:
        if not isinstance(word, str) or not word or any(c.isspace() or c == "," for c in word):
            raise SettingError(f"{name} takes words without spaces or commas, not", repr(word)[:80])
    return read


def _read_requires(name: str, value: object) -> tuple[str, ...]:
    several = value if isinstance(value, tuple | list | set | frozenset) else (value,)
    ids = [f"{each.__module__}.{each.__qualname__}" if _named(each) else each for each in several]
    return _read_words(name, ids)


def _named(value: Any) -> bool:
    return callable(value) and hasattr(value, "__qualname__")


def _read_severity(name: str, value: object) -> str:
    if value not in SEVERITIES:
        raise SettingError(
            f"{name} is unknown:",
            repr(value)[:80],
            did_you_mean(str(value), SEVERITIES) or "write 'critical' or 'warning'",
        )
    return str(value)


def _read_text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise SettingError(f"{name} is text, not", repr(value)[:80])
    return value


def _read_flag(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise SettingError(f"{name} is True or False, not", repr(value)[:80])
    return value


_READERS: dict[str, Callable[[str, object], Any]] = {
    "timeout": _read_seconds,
    "interval": _read_seconds,
    "retry_interval": _read_seconds,
    "tags": _read_words,
    "fall": _read_count,
    "rise": _read_count,
    "requires": _read_requires,
    "severity": _read_severity,
    "owner": _read_text,
    "fix": _read_text,
    "isolated": _read_flag,
}

healthcheck(HealthCheck)
