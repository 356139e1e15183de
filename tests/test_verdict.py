from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hospital.model import Outcome, Report, Status
from hospital.verdict import exit_code, http_status, overall, passed

GREEN = {Status.PASS, Status.WARN, Status.EXPECTED_FAILURE}
RED = {Status.FAIL, Status.ERROR, Status.UNEXPECTED_SUCCESS}
EVERY_MIX = [set(mix) for size in range(len(Status) + 1) for mix in combinations(Status, size)]


def report_of(*statuses: Status) -> Report:
    """Return a report with one outcome of each of *statuses*."""
    return Report(tuple(Outcome(id=s, title=s, status=s) for s in statuses))


@pytest.mark.parametrize("mix", EVERY_MIX, ids=lambda mix: "+".join(sorted(mix)) or "nothing")
def test_a_run_is_green_when_something_held_and_nothing_failed(mix: set[Status]) -> None:
    """The truth table over every mix of statuses; skips are neutral."""
    report = report_of(*mix)
    green = bool(mix & GREEN) and not mix & RED

    assert green is passed(report)
    assert (0 if green else 1) == exit_code(report)
    assert (200 if green else 500) == http_status(report)
    assert ("fail" if not green else "warn" if Status.WARN in mix else "pass") == overall(report)


def test_nothing_is_not_green() -> None:
    """Nothing collected, and a run of skips alone, are no good news."""
    assert not passed(Report(()))
    assert not passed(report_of(Status.SKIP, Status.SKIP))


def test_the_http_status_of_failure_can_be_chosen() -> None:
    """Load balancers differ; a green run stays 200."""
    assert http_status(report_of(Status.FAIL), 503) == 503
    assert http_status(report_of(Status.PASS), 503) == 200


@given(st.lists(st.sampled_from(list(Status))), st.randoms())
def test_order_and_number_do_not_matter(statuses: list[Status], random: object) -> None:
    """One red outcome outweighs any number of green ones, wherever it stands."""
    shuffled = list(statuses)
    random.shuffle(shuffled)  # type: ignore[attr-defined]

    assert passed(report_of(*statuses)) is passed(report_of(*shuffled, *shuffled))


def test_every_status_has_its_colour() -> None:
    """Green, red, or neutral: no status is two of them, and only a skip is none."""
    assert {s for s in Status if s.is_green} == GREEN
    assert {s for s in Status if s.is_red} == RED
    assert {s for s in Status if not s.is_green and not s.is_red} == {Status.SKIP}
