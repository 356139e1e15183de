"""Decide what may run now: requirements first, what depends on them after, nothing twice.

Rule: no thread, no clock, no process. A plan is told outcomes and says what follows.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from hospital.errors import did_you_mean
from hospital.model import Check, Outcome, Status


@dataclass(frozen=True, slots=True)
class Work:
    """Checks to run in one thread, in this order.

    Attributes:
        unit: The unit they belong to.
        checks: At least one.
        alone: Whether to run them in a process of their own.
    """

    unit: str
    checks: tuple[Check, ...]
    alone: bool = False


def unmet(required: str, status: Status) -> str:
    """Return the reason of a skip for a requirement that is not green."""
    return f"requires {required}, which is {status}"


class Plan:
    """The checks of a run, and how far it has got.

    Args:
        checks: What to run; each id once.
        excluded: Ids that somebody left out on purpose: who requires them runs all the same.
    """

    def __init__(self, checks: Sequence[Check], excluded: Iterable[str] = ()) -> None:
        self.outcomes: dict[str, Outcome] = {}
        self._checks = {check.id: check for check in checks}
        self._causes: dict[str, str] = {}
        self._free = frozenset(excluded)
        self._waiting: dict[str, set[str]] = {}
        self._dependents: dict[str, list[str]] = {}
        self._units: dict[str, list[Check]] = {}
        self._ready: deque[Work] = deque()
        self._undecided = set(self._checks)
        self._put_in_order()

    @property
    def undecided(self) -> list[Check]:
        """The checks that have no outcome yet."""
        return [check for id_, check in self._checks.items() if id_ in self._undecided]

    @property
    def done(self) -> bool:
        """Whether each check has its outcome."""
        return not self._undecided

    def ordered(self) -> tuple[Outcome, ...]:
        """Return the outcomes in the order of the checks, those of fixtures last."""
        known = [self.outcomes[id_] for id_ in self._checks if id_ in self.outcomes]
        return (*known, *(each for id_, each in self.outcomes.items() if id_ not in self._checks))

    def take(self, most: int) -> list[Work]:
        """Return up to *most* works that may start now; each is returned once."""
        return [self._ready.popleft() for _ in range(min(most, len(self._ready)))]

    @property
    def has_ready(self) -> bool:
        """Whether :meth:`take` would return something."""
        return bool(self._ready)

    def record(self, outcome: Outcome) -> list[Outcome]:
        """Take an outcome; return it and those that follow from it.

        The first outcome of a check counts; a later one returns nothing.
        """
        if outcome.id in self.outcomes:
            return []
        self.outcomes[outcome.id] = outcome
        self._undecided.discard(outcome.id)
        new = [outcome]
        for unit in self._dependents.pop(outcome.id, ()):
            waiting = self._waiting[unit]
            waiting.discard(outcome.id)
            if not waiting:
                new += self._release(unit)
        return new

    def start(self) -> list[Outcome]:
        """Return the outcomes that are known before anything runs: faults in requirements."""
        new: list[Outcome] = []
        for outcome in self._faults:
            new += self.record(outcome)
        for unit in list(self._units):
            if unit not in self._waiting:
                new += self._release(unit)
        return new

    def _release(self, unit: str) -> list[Outcome]:
        """Make what can run of *unit* ready; the rest is skipped."""
        new: list[Outcome] = []
        runnable = []
        for check in self._units.pop(unit, ()):
            if check.id in self.outcomes:
                continue
            cause = self._unmet(check)
            if cause is None:
                runnable.append(check)
                continue
            self._causes[check.id] = cause
            reason = unmet(cause, self.outcomes[cause].status)
            new += self.record(Outcome.of(check, Status.SKIP, reason))
        if runnable:
            alone = any(check.isolated for check in runnable)
            self._ready.append(Work(unit=unit, checks=tuple(runnable), alone=alone))
        return new

    def _unmet(self, check: Check) -> str | None:
        for required in check.requires:
            outcome = self.outcomes.get(required)
            if outcome is not None and not outcome.status.is_green:
                return self._causes.get(required, required)
        return None

    def _put_in_order(self) -> None:
        self._faults = list(self._unknown()) + list(self._cycles())
        faulty = {outcome.id for outcome in self._faults}
        groups: dict[str, list[Check]] = {}
        for check in self._checks.values():
            if check.id not in faulty:
                groups.setdefault(check.unit, []).append(check)
        for unit in _tangled(groups, self._requires):
            for check in groups.pop(unit):
                groups[check.id] = [check]
        for unit, checks in groups.items():
            inside = {check.id for check in checks}
            ordered = _sorted(checks, self._requires)
            self._units[unit] = ordered
            outside = {
                required
                for check in checks
                for required in self._requires(check)
                if required not in inside
            }
            if outside:
                self._waiting[unit] = outside
                for required in outside:
                    self._dependents.setdefault(required, []).append(unit)

    def _requires(self, check: Check) -> list[str]:
        return [each for each in check.requires if each in self._checks]

    def _unknown(self) -> Iterable[Outcome]:
        for check in self._checks.values():
            for required in check.requires:
                if required not in self._checks and required not in self._free:
                    hint = did_you_mean(required, self._checks)
                    reason = f"requires {required!r}, which is no check"
                    yield Outcome.of(check, Status.ERROR, f"{reason}; {hint}" if hint else reason)
                    break

    def _cycles(self) -> Iterable[Outcome]:
        state: dict[str, int] = {}
        for start in self._checks:
            if start in state:
                continue
            for ring in _rings(start, state, lambda id_: self._requires(self._checks[id_])):
                for id_ in ring:
                    reason = "requires itself in a circle: " + " -> ".join([*ring, ring[0]])
                    yield Outcome.of(self._checks[id_], Status.ERROR, reason)


def _rings(
    start: str, state: dict[str, int], following: Callable[[str], Iterable[str]]
) -> Iterable[list[str]]:
    """Yield the circles reached from *start*, by a walk that keeps its own stack."""
    path: list[str] = []
    stack: list[tuple[str, Iterable[str]]] = [(start, iter(following(start)))]
    state[start] = 1
    path.append(start)
    while stack:
        node, rest = stack[-1]
        for each in rest:
            if state.get(each) == 1:
                yield path[path.index(each) :]
            elif each not in state:
                state[each] = 1
                path.append(each)
                stack.append((each, iter(following(each))))
                break
        else:
            stack.pop()
            path.pop()
            state[node] = 2


def _tangled(
    groups: dict[str, list[Check]], requires: Callable[[Check], Iterable[str]]
) -> list[str]:
    """Return the units that wait for each other in a circle, though no check does."""
    unit_of = {check.id: unit for unit, checks in groups.items() for check in checks}

    def following(unit: str) -> list[str]:
        return [
            other
            for check in groups[unit]
            for required in requires(check)
            if (other := unit_of.get(required, unit)) != unit
        ]

    state: dict[str, int] = {}
    rings = [
        ring for unit in groups if unit not in state for ring in _rings(unit, state, following)
    ]
    return list(dict.fromkeys(unit for ring in rings for unit in ring))


def _sorted(checks: Sequence[Check], requires: Callable[[Check], Iterable[str]]) -> list[Check]:
    """Return *checks* in their own order, but each after what it requires of them."""
    inside = {check.id: check for check in checks}
    placed: dict[str, Check] = {}

    def place(check: Check) -> None:
        stack = [check]
        while stack:
            top = stack[-1]
            missing = [each for each in requires(top) if each in inside and each not in placed]
            if missing:
                stack.append(inside[missing[0]])
            else:
                placed.setdefault(top.id, top)
                stack.pop()

    for check in checks:
        if check.id not in placed:
            place(check)
    return list(placed.values())
