"""Requirements first, what depends on them after, each check once, and always an end."""

import random
import time
from collections.abc import Callable, Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hospital.model import Check, Outcome, Status
from hospital.running.order import Plan, Work, knots

NAMES = [f"m.f{n}" for n in range(8)]
GREEN = (Status.PASS, Status.WARN, Status.EXPECTED_FAILURE)
NOT_GREEN = (Status.FAIL, Status.ERROR, Status.SKIP, Status.UNEXPECTED_SUCCESS)
RUN = GREEN + NOT_GREEN


def check(id_: str, *requires: str, unit: str = "", isolated: bool = False) -> Check:
    """Return a check."""
    return Check(id=id_, title=id_, unit=unit or id_, requires=requires, isolated=isolated)


def outcome(check: Check, status: Status = Status.PASS, reason: str = "") -> Outcome:
    """Return an outcome."""
    return Outcome.of(check, status, reason)


def run(
    plan: Plan, status_of: Callable[[Check], Status] = lambda _check: Status.PASS, most: int = 3
) -> tuple[list[str], list[str]]:
    """Run a plan as an executor would; return the ids that ran and those that had an outcome."""
    ran: list[str] = []
    told = [each.id for each in plan.start()]
    for _round in range(100_000):
        works = plan.take(most)
        if not works:
            break
        for work in works:
            for each in runnable(plan, work):
                ran.append(each.id)
                told += [o.id for o in plan.record(outcome(each, status_of(each)))]
    return ran, told


def runnable(plan: Plan, work: Work) -> Iterator[Check]:
    """Yield the checks of a work that run; the others get their skip, as a unit gives it."""
    for each in work.checks:
        statuses = {r: plan.outcomes[r].status for r in each.requires if r in plan.outcomes}
        if any(not status.is_green for status in statuses.values()):
            plan.record(outcome(each, Status.SKIP, "within the unit"))
        else:
            yield each


@st.composite
def many_checks(draw: st.DrawFn) -> list[Check]:
    """Draw checks that require each other in any way, in units of any kind."""
    names = draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=8))
    return [
        check(
            name,
            *draw(st.lists(st.sampled_from([*NAMES, "m.unknown"]), unique=True, max_size=3)),
            unit=draw(st.sampled_from([name, "m.A", "m.B", "m.C"])),
            isolated=draw(st.booleans()),
        )
        for name in names
    ]


@given(many_checks(), st.dictionaries(st.sampled_from(NAMES), st.sampled_from(RUN)), st.data())
def test_the_law_of_requirements(
    checks: list[Check], statuses: dict[str, Status], data: st.DataObject
) -> None:
    """One outcome for each check, nothing before what it requires, and an end, whatever is."""
    excluded = data.draw(st.sets(st.sampled_from([*NAMES, "m.unknown"])))
    plan = Plan(checks, excluded - {each.id for each in checks})

    ran, _told = run(plan, lambda each: statuses.get(each.id, Status.PASS))

    by_id = {each.id: each for each in checks}
    assert plan.done
    assert [*by_id] == [each.id for each in plan.ordered()]
    assert len(ran) == len(set(ran))
    position = {id_: n for n, id_ in enumerate(ran)}
    for id_ in ran:
        for required in by_id[id_].requires:
            if required in by_id:
                assert position[required] < position[id_]
                assert plan.outcomes[required].status.is_green
    for id_, found in plan.outcomes.items():
        requires = [r for r in by_id[id_].requires if r in by_id]
        red = [r for r in requires if not plan.outcomes[r].status.is_green]
        if id_ not in ran and found.status is not Status.ERROR:
            assert Status.SKIP is found.status
            assert red


@given(many_checks(), st.dictionaries(st.sampled_from(NAMES), st.sampled_from(RUN)))
def test_a_skip_names_the_first_cause(checks: list[Check], statuses: dict[str, Status]) -> None:
    """The cause is something that ran, or could not, and it stands at the end of the chain."""
    plan = Plan([Check(id=c.id, title="", unit=c.id, requires=c.requires) for c in checks])

    ran, _told = run(plan, lambda each: statuses.get(each.id, Status.PASS))

    for found in plan.outcomes.values():
        if found.status is Status.SKIP and found.id not in ran:
            cause = found.reason.removeprefix("requires ").partition(", which is ")[0]
            assert f"requires {cause}, which is {plan.outcomes[cause].status}" == found.reason
            assert cause in ran or plan.outcomes[cause].status is Status.ERROR


def test_a_cause_within_a_unit_is_known_outside_of_it() -> None:
    """A unit skips its own dependents; who depends on those is told the first cause."""
    checks = [
        check("m.A.a", unit="m.A"),
        check("m.A.b", "m.A.a", unit="m.A"),
        check("m.f", "m.A.b"),
        check("m.g", "m.f"),
    ]
    plan = Plan(checks)
    plan.start()
    plan.take(1)

    _red, *told = plan.record(outcome(checks[0], Status.FAIL))
    told += plan.record(outcome(checks[1], Status.SKIP, "requires m.A.a, which is fail"))

    assert ["m.A.b", "m.f", "m.g"] == [each.id for each in told]
    assert {"requires m.A.a, which is fail"} == {each.reason for each in told}


def test_the_first_outcome_counts() -> None:
    """A second one of the same check changes nothing and tells nothing."""
    one = check("m.f")
    plan = Plan([one])
    plan.start()

    assert ["m.f"] == [each.id for each in plan.record(outcome(one, Status.ERROR))]
    assert [] == plan.record(outcome(one, Status.PASS))
    assert Status.ERROR == plan.outcomes["m.f"].status


@pytest.mark.parametrize(
    ("checks", "expected"),
    [
        ([check("a", "a")], {"a": "requires itself in a circle: a -> a"}),
        (
            [check("a", "b"), check("b", "a"), check("c", "a")],
            {
                "a": "requires itself in a circle: a -> b -> a",
                "b": "requires itself in a circle: b -> a -> b",
                "c": "requires a, which is error",
            },
        ),
        (
            [check("shop.up"), check("shop.page", "shop.upp")],
            {"shop.page": "requires 'shop.upp', which is no check; did you mean 'shop.up'?"},
        ),
        ([check("a", "zzz")], {"a": "requires 'zzz', which is no check"}),
    ],
)
def test_what_cannot_be_put_in_order_is_told(checks: list[Check], expected: dict[str, str]) -> None:
    """Circles and unknown ids are errors, before anything runs."""
    plan = Plan(checks)

    told = {each.id: each.reason for each in plan.start()}

    assert expected == told


def test_a_long_circle_is_told_in_short() -> None:
    """A reason stays a line, whatever is in the circle."""
    for count in (50, 20_000):
        plan = Plan([check(f"f{n}", f"f{(n + 1) % count}") for n in range(count)])

        reasons = [each.reason for each in plan.start()]

        assert count == len(reasons)
        assert plan.done
        assert max(map(len, reasons)) < 150
        assert reasons[0].startswith("requires itself in a circle: f0 -> f1 -> ")
        assert " -> f0" in reasons[0]


def test_a_requirement_that_was_left_out_on_purpose_is_no_fault() -> None:
    """Who excludes a cause wants its dependents to run all the same."""
    plan = Plan([check("a", "b")], excluded=["b"])

    assert (["a"], ["a"]) == run(plan)


def test_a_soft_failure_holds_nobody_up() -> None:
    """A check of severity ``warning`` that fails is a warning, and that is green."""
    soft = Check(id="a", title="a", unit="a", severity="warning")
    plan = Plan([soft, check("b", "a")])

    ran, _told = run(plan, lambda each: Status.FAIL if each.id == "a" else Status.PASS)

    assert ["a", "b"] == ran
    assert Status.WARN == plan.outcomes["a"].status


def test_checks_of_a_class_stay_together_and_in_order() -> None:
    """A class runs in one thread, what it requires within first."""
    plan = Plan(
        [
            check("m.A.a", "m.A.c", unit="m.A"),
            check("m.f"),
            check("m.A.b", unit="m.A"),
            check("m.A.c", unit="m.A"),
        ]
    )
    plan.start()

    works = plan.take(9)

    assert [["m.A.c", "m.A.a", "m.A.b"], ["m.f"]] == [[c.id for c in w.checks] for w in works]


def test_classes_that_wait_for_each_other_become_one_unit() -> None:
    """Though no check does: so each still runs in one thread, after what it requires."""
    plan = Plan(
        [
            check("m.A.a", "m.B.a", unit="m.A"),
            check("m.A.b", unit="m.A"),
            check("m.B.a", "m.A.b", unit="m.B"),
            check("m.f", "m.A.a"),
        ]
    )
    plan.start()

    (work,) = plan.take(9)

    assert ["m.A.b", "m.B.a", "m.A.a"] == [each.id for each in work.checks]


def test_an_isolated_check_is_a_work_of_its_own() -> None:
    """It is marked as one to run alone."""
    plan = Plan([check("m.f", isolated=True), check("m.g")])
    plan.start()

    assert {"m.f": True, "m.g": False} == {work.unit: work.alone for work in plan.take(9)}


def test_outcomes_of_fixtures_come_last() -> None:
    """They belong to no check, so they follow the checks."""
    one, two = check("m.A.a", unit="m.A"), check("m.f")
    plan = Plan([one, two])
    plan.start()
    plan.record(Outcome(id="m.A.tearDownClass", title="", status=Status.ERROR))
    plan.record(outcome(two))
    plan.record(outcome(one))

    assert ["m.A.a", "m.f", "m.A.tearDownClass"] == [each.id for each in plan.ordered()]


SHAPES: dict[str, Callable[[int], Sequence[Check]]] = {
    "a chain": lambda count: [check(f"f{n}", *([f"f{n - 1}"] if n else [])) for n in range(count)],
    "a chain backwards": lambda count: [
        check(f"f{n}", *([f"f{n + 1}"] if n + 1 < count else [])) for n in range(count)
    ],
    "a chain in one unit": lambda count: [
        check(f"f{n}", *([f"f{n + 1}"] if n + 1 < count else []), unit="A") for n in range(count)
    ],
    "one cause": lambda count: [check("f0"), *(check(f"f{n}", "f0") for n in range(1, count))],
    "one dependent": lambda count: [
        *(check(f"f{n}") for n in range(1, count)),
        check("f0", *(f"f{n}" for n in range(1, count))),
    ],
    "one dependent in one unit": lambda count: [
        check("f0", *(f"f{n}" for n in range(1, count)), unit="A"),
        *(check(f"f{n}", unit="A") for n in range(1, count)),
    ],
    "a circle": lambda count: [check(f"f{n}", f"f{(n + 1) % count}") for n in range(count)],
    "unknown ids": lambda count: [check(f"f{n}", f"g{n}") for n in range(count)],
    "circles of units": lambda count: [
        check(f"{u}.{n}", *([f"{'BA'[u == 'B']}.{n - 1}"] if n else []), unit=u)
        for n in range(count // 2)
        for u in "AB"
    ],
}


@pytest.mark.parametrize("first", [Status.PASS, Status.FAIL])
@pytest.mark.parametrize("shape", SHAPES)
def test_ten_thousand_checks_are_no_burden(shape: str, first: Status) -> None:
    """No recursion, and a time that grows with the number of checks, not with its square."""
    took = {}
    for count in (1000, 10_000):
        checks = SHAPES[shape](count)
        began = time.perf_counter()
        plan = Plan(checks)
        run(plan, lambda _check: first, most=64)
        took[count] = time.perf_counter() - began
        assert plan.done
        assert count == len(plan.outcomes)

    assert took[10_000] < max(40 * took[1000], 2.0)


def test_knots_are_found_as_by_hand() -> None:
    """Groups that reach each other are the same as by trying all paths."""
    chance = random.Random(2)  # noqa: S311 - no secret
    for _round in range(300):
        names = range(chance.randint(1, 7))
        edges = {str(n): [str(m) for m in names if chance.random() < 0.25] for n in names}
        expected = {
            frozenset(b for b in edges if reaches(edges, a, b) and reaches(edges, b, a))
            for a in edges
            if reaches(edges, a, a)
        }
        assert expected == {frozenset(knot) for knot in knots(edges)}


def reaches(edges: dict[str, list[str]], start: str, end: str) -> bool:
    """Return whether a path of at least one step leads from *start* to *end*."""
    seen: set[str] = set()
    queue = [*edges[start]]
    while queue:
        node = queue.pop()
        if node not in seen:
            seen.add(node)
            queue += edges[node]
    return end in seen
