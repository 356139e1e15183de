"""Decide what may run now: requirements first, what depends on them after, nothing twice.

Rule: no thread, no clock, no process. A plan is told outcomes and says what follows.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from hospital.errors import did_you_mean
from hospital.model import Check, Outcome, Status

_MOST_HINTS = 20
_MOST_SEARCHED = 100
_LONGEST_RING = 8

TEST = "test"
"""The phase in which a check itself runs; the others are called as their fixtures."""


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

    def rest(self, left: Collection[str], red: Iterable[str] = ()) -> "Work | None":
        """Return what of those *left* may run, given those that are not green; None for nothing.

        What requires something *red* is not in it: the plan skips that.
        """
        kept = []
        not_green = set(red)
        for check in self.checks:
            if check.id in not_green:
                continue
            if not not_green.isdisjoint(check.requires):
                not_green.add(check.id)
            elif check.id in left:
                kept.append(check)
        return replace(self, checks=tuple(kept)) if kept else None


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
        self._within: dict[str, list[Check]] = {}
        self._units: dict[str, list[Check]] = {}
        self._ready: deque[Work] = deque()
        self._undecided = set(self._checks)
        self._is_tied = any(check.requires for check in checks)
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
        new: list[Outcome] = []
        queue = deque([outcome])
        while queue:
            each = queue.popleft()
            if each.id in self.outcomes:
                continue
            self._note(each)
            new.append(each)
            if not each.status.is_green:
                queue += self._skipped(self._within.get(each.id, ()))
            for unit in self._dependents.pop(each.id, ()):
                waiting = self._waiting[unit]
                waiting.discard(each.id)
                if not waiting:
                    queue += self._release(unit)
        return new

    def _note(self, outcome: Outcome) -> None:
        self.outcomes[outcome.id] = outcome
        self._undecided.discard(outcome.id)
        check = self._checks.get(outcome.id)
        if check is not None and outcome.status is Status.SKIP:
            cause = self._unmet(check)
            if cause is not None:
                self._causes[check.id] = cause

    def start(self) -> list[Outcome]:
        """Return the outcomes that are known before anything runs: faults in requirements."""
        new: list[Outcome] = []
        for outcome in self._faults:
            new += self.record(outcome)
        for unit in list(self._units):
            if unit not in self._waiting:
                for outcome in self._release(unit):
                    new += self.record(outcome)
        return new

    def _release(self, unit: str) -> list[Outcome]:
        """Make what can run of *unit* ready; return a skip for each of the rest."""
        checks = [check for check in self._units.pop(unit, ()) if check.id not in self.outcomes]
        skipped = self._skipped(checks)
        out = {outcome.id for outcome in skipped}
        runnable = [check for check in checks if check.id not in out]
        if runnable:
            alone = any(check.isolated for check in runnable)
            self._ready.append(Work(unit=unit, checks=tuple(runnable), alone=alone))
        return skipped

    def _skipped(self, checks: Iterable[Check]) -> list[Outcome]:
        """Return a skip for each of *checks* that cannot run any more."""
        skipped = []
        for check in checks:
            cause = None if check.id in self.outcomes else self._unmet(check)
            if cause is not None:
                self._causes[check.id] = cause
                reason = unmet(cause, self.outcomes[cause].status)
                skipped.append(Outcome.of(check, Status.SKIP, reason))
        return skipped

    def _unmet(self, check: Check) -> str | None:
        """Return the first cause why *check* cannot run, if there is one by now."""
        for required in check.requires:
            if required in self._causes:
                return self._causes[required]
            outcome = self.outcomes.get(required)
            if outcome is not None and not outcome.status.is_green:
                return required
        return None

    def _put_in_order(self) -> None:
        self._faults = [*self._unknown(), *self._cycles()]
        faulty = {outcome.id for outcome in self._faults}
        groups: dict[str, list[Check]] = {}
        for check in self._checks.values():
            if check.id not in faulty:
                groups.setdefault(check.unit, []).append(check)
        if self._is_tied:
            groups = _untangled(groups, self._requires)
        for unit, checks in groups.items():
            if not self._is_tied:
                self._units[unit] = checks
                continue
            self._units[unit] = _sorted(checks, self._requires)
            inside = {check.id for check in checks}
            for check in checks:
                for required in inside.intersection(check.requires):
                    self._within.setdefault(required, []).append(check)
            outside = {r for check in checks for r in self._requires(check)} - inside
            if outside:
                self._waiting[unit] = outside
                for required in outside:
                    self._dependents.setdefault(required, []).append(unit)

    def _requires(self, check: Check) -> list[str]:
        return [each for each in check.requires if each in self._checks]

    def _unknown(self) -> Iterable[Outcome]:
        hints: dict[str, str] = {}
        for check in self._checks.values():
            for required in check.requires:
                if required in self._checks or required in self._free:
                    continue
                if required not in hints:
                    near = self._checks if len(hints) < _MOST_HINTS else ()
                    hints[required] = did_you_mean(required, near)
                reason = f"requires {required!r}, which is no check"
                if hints[required]:
                    reason = f"{reason}; {hints[required]}"
                yield Outcome.of(check, Status.ERROR, reason)
                break

    def _cycles(self) -> Iterable[Outcome]:
        if not self._is_tied:
            return
        required = {id_: self._requires(check) for id_, check in self._checks.items()}
        for knot in knots(required):
            among = set(knot)
            for id_ in knot:
                reason = f"requires itself in a circle: {_ring(id_, required, among)}"
                yield Outcome.of(self._checks[id_], Status.ERROR, reason)


def knots(following: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """Return the groups of nodes that can all be reached from each other.

    Tarjan's strongly connected components, those of one node only where it follows itself; with
    a stack of its own, in a time that grows with nodes and edges.

    >>> knots({"a": ["b"], "b": ["a"], "c": ["a"], "d": ["d"]})
    [['a', 'b'], ['d']]
    """
    found: list[list[str]] = []
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    pending: dict[str, None] = {}
    for start in following:
        if start in order:
            continue
        order[start] = lowest[start] = len(order)
        pending[start] = None
        stack = [(start, iter(following[start]))]
        while stack:
            node, rest = stack[-1]
            for each in rest:
                if each not in order:
                    order[each] = lowest[each] = len(order)
                    pending[each] = None
                    stack.append((each, iter(following[each])))
                    break
                if each in pending:
                    lowest[node] = min(lowest[node], order[each])
            else:
                stack.pop()
                if stack:
                    above = stack[-1][0]
                    lowest[above] = min(lowest[above], lowest[node])
                if lowest[node] == order[node]:
                    found += _popped(pending, node, following)
    return found


def _popped(
    pending: dict[str, None], root: str, following: Mapping[str, Iterable[str]]
) -> list[list[str]]:
    knot: list[str] = []
    while not knot or knot[-1] != root:
        knot.append(pending.popitem()[0])
    knot.reverse()
    return [knot] if len(knot) > 1 or root in following[root] else []


def _ring(start: str, required: Mapping[str, Sequence[str]], among: set[str]) -> str:
    """Return a circle from *start* to *start* as text, the shortest where the knot is small."""
    if len(among) > _MOST_SEARCHED:
        after = next(each for each in required[start] if each in among)
        return f"{start} -> {after} -> … -> {start} ({len(among)} checks)"
    came_from: dict[str, str] = {}
    queue = deque([start])
    while start not in came_from:
        node = queue.popleft()
        for each in required[node]:
            if each in among and each not in came_from:
                came_from[each] = node
                queue.append(each)
    ring = [start, came_from[start]]
    while ring[-1] != start:
        ring.append(came_from[ring[-1]])
    if len(ring) > _LONGEST_RING:
        ring[3:-3] = ["…"]
    return " -> ".join(reversed(ring))


def _untangled(
    groups: Mapping[str, list[Check]], requires: Callable[[Check], Iterable[str]]
) -> dict[str, list[Check]]:
    """Return *groups* with those made one that wait for each other, though no check does."""
    unit_of = {check.id: unit for unit, checks in groups.items() for check in checks}
    following = {
        unit: [unit_of[r] for check in checks for r in requires(check) if r in unit_of]
        for unit, checks in groups.items()
    }
    joined = {unit: knot[0] for knot in knots(following) if len(knot) > 1 for unit in knot}
    result: dict[str, list[Check]] = {}
    for unit, checks in groups.items():
        result.setdefault(joined.get(unit, unit), []).extend(checks)
    return result


def _sorted(checks: Sequence[Check], requires: Callable[[Check], Iterable[str]]) -> list[Check]:
    """Return *checks* in their own order, but each after what it requires of them."""
    inside = {check.id: check for check in checks}
    placed: dict[str, Check] = {}
    begun: set[str] = set()
    for check in checks:
        stack = [] if check.id in begun else [(check, iter(requires(check)))]
        while stack:
            top, rest = stack[-1]
            begun.add(top.id)
            for each in rest:
                if each in inside and each not in begun:
                    stack.append((inside[each], iter(requires(inside[each]))))
                    break
            else:
                placed[top.id] = top
                stack.pop()
    return list(placed.values())
