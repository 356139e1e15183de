"""The words of the house as values: frozen, without input or output."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from functools import cache
from typing import Any, Self

DEFAULT_TIMEOUT_S = 10.0
DEFAULT_INTERVAL_S = 10.0


class Status(StrEnum):
    """What became of a check."""

    PASS = "pass"  # noqa: S105 - a status, no password
    WARN = "warn"
    FAIL = "fail"
    ERROR = "error"
    SKIP = "skip"
    EXPECTED_FAILURE = "expected_failure"
    UNEXPECTED_SUCCESS = "unexpected_success"

    @property
    def is_green(self) -> bool:
        """Whether it holds; a skip is neutral, neither green nor red."""
        return self in _GREEN

    @property
    def is_red(self) -> bool:
        """Whether it makes a whole run not green."""
        return self in _RED


_GREEN = frozenset({Status.PASS, Status.WARN, Status.EXPECTED_FAILURE})
_RED = frozenset({Status.FAIL, Status.ERROR, Status.UNEXPECTED_SUCCESS})


@cache
def _defaults(kind: Any) -> tuple[tuple[str, Any], ...]:
    return tuple((field.name, field.default) for field in fields(kind))


def _without_defaults(value: Any) -> dict[str, Any]:
    return {
        name: held
        for name, default in _defaults(value.__class__)
        if (held := getattr(value, name)) != default
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check as it was loaded.

    Attributes:
        id: Dotted path, ``package.module.Class.method`` or ``package.module.function``.
        title: First line of the docstring, else the id.
        unit: What runs in one thread, in order: the class with its fixtures, the module where
            it has fixtures of its own, or the check alone. Equal texts mean the same unit.
        timeout_s: Seconds it may take; None for the default of the run.
        interval_s: Seconds between two scheduled runs; None for the default of the agent.
        retry_interval_s: The same after a first change, until rise or fall is decided.
        fall: Consecutive raw failures until the agent calls it failing.
        rise: Consecutive raw successes until the agent calls it passing again.
        tags: Words to select it by.
        severity: ``critical``, or ``warning``: then a failure is a warning.
        owner: Who looks after it.
        fix: What to do when it fails.
        requires: Ids that have to be green before it makes sense to run it.
        isolated: Whether it always runs in a child process of its own.
    """

    id: str
    title: str
    unit: str
    timeout_s: float | None = None
    interval_s: float | None = None
    retry_interval_s: float | None = None
    fall: int = 1
    rise: int = 1
    tags: tuple[str, ...] = ()
    severity: str = "critical"
    owner: str = ""
    fix: str = ""
    requires: tuple[str, ...] = ()
    isolated: bool = False

    def to_wire(self) -> dict[str, Any]:
        """Return it as JSON values, defaults left out."""
        return _without_defaults(self)

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Self:
        """Return what :meth:`to_wire` was given."""
        tuples = {key: tuple(wire[key]) for key in ("tags", "requires") if key in wire}
        return cls(**{**wire, **tuples})


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """A number that a check recorded with ``hospital.measure``.

    Attributes:
        name: What was measured.
        value: The number, in *unit*; NaN and infinities are possible.
        unit: ``"1"`` for ratios, else a unit such as ``"s"`` or ``"By"``; may be empty.
        warn: Range outside of which it warns, as written; empty for none.
        fail: Range outside of which it fails, as written; empty for none.
        status: The judgement, ``pass`` where there is no range.
    """

    name: str
    value: float
    unit: str = ""
    warn: str = ""
    fail: str = ""
    status: Status = Status.PASS

    def to_wire(self) -> dict[str, Any]:
        """Return it as JSON values; a number that JSON cannot hold as text."""
        value = self.value
        finite = value - value == 0
        return _without_defaults(self) | {"value": value if finite else repr(float(value))}

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Self:
        """Return what :meth:`to_wire` was given."""
        value = wire["value"]
        return cls(
            **{
                **wire,
                "value": float(value) if isinstance(value, str) else value,
                "status": Status(wire.get("status", Status.PASS)),
            }
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one check in one run.

    Attributes:
        id: The check's id; for a fault in loading, the name that could not be loaded.
        title: The check's title.
        status: What became of it.
        reason: Why it is not a plain pass: the error, the warnings, the reason of a skip.
        trace: The innermost frames of a failure, for the people who mend it; may be empty.
        time: When it started, seconds since the epoch.
        duration_s: Seconds it took.
        measurements: Numbers it recorded.
        tags: The check's tags.
        owner: Who looks after it.
        fix: What to do when it fails.
    """

    id: str
    title: str
    status: Status
    reason: str = ""
    trace: str = ""
    time: float = 0.0
    duration_s: float = 0.0
    measurements: tuple[Measurement, ...] = ()
    tags: tuple[str, ...] = ()
    owner: str = ""
    fix: str = ""

    @classmethod
    def of(cls, check: Check, status: Status, reason: str = "", **more: Any) -> Self:
        """Return an outcome of *check* with what the check says of itself.

        A check of severity ``warning`` that failed or could not tell becomes ``warn``, here
        and nowhere else.
        """
        if check.severity == "warning" and status in {Status.FAIL, Status.ERROR}:
            status = Status.WARN
        return cls(
            id=check.id,
            title=check.title,
            status=status,
            reason=reason,
            tags=check.tags,
            owner=check.owner,
            fix=check.fix,
            **more,
        )

    def to_wire(self) -> dict[str, Any]:
        """Return it as JSON values, defaults left out."""
        wire = _without_defaults(self)
        if self.measurements:
            wire["measurements"] = [measurement.to_wire() for measurement in self.measurements]
        return wire

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Self:
        """Return what :meth:`to_wire` was given."""
        return cls(
            **{
                **wire,
                "status": Status(wire["status"]),
                "tags": tuple(wire.get("tags", ())),
                "measurements": tuple(map(Measurement.from_wire, wire.get("measurements", ()))),
            }
        )


@dataclass(frozen=True, slots=True)
class Report:
    """The outcomes of one run.

    Attributes:
        outcomes: One for each check and for each fault in loading.
        time: When the run started, seconds since the epoch.
        duration_s: Seconds the run took.
    """

    outcomes: tuple[Outcome, ...]
    time: float = 0.0
    duration_s: float = 0.0

    @property
    def counts(self) -> Mapping[Status, int]:
        """How many outcomes have each status; 0 for those that none has."""
        counted = Counter(outcome.status for outcome in self.outcomes)
        return {status: counted.get(status, 0) for status in Status}


def errors(problems: Iterable[tuple[str, str]], time: float = 0.0) -> tuple[Outcome, ...]:
    """Return an ``error`` outcome for each pair of a name and a reason."""
    return tuple(
        Outcome(id=name, title=name, status=Status.ERROR, reason=reason, time=time)
        for name, reason in problems
    )
