import json
import math
from dataclasses import FrozenInstanceError, fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hospital.model import Check, Measurement, Outcome, Report, Status, errors

TEXT = st.text(max_size=20)
SECONDS = st.floats(min_value=0, max_value=1e9)
WORDS = st.lists(TEXT, max_size=3).map(tuple)

CHECKS = st.builds(
    Check,
    id=TEXT,
    title=TEXT,
    unit=TEXT,
    timeout_s=st.none() | SECONDS,
    interval_s=st.none() | SECONDS,
    retry_interval_s=st.none() | SECONDS,
    fall=st.integers(1, 9),
    rise=st.integers(1, 9),
    tags=WORDS,
    severity=st.sampled_from(["critical", "warning"]),
    owner=TEXT,
    fix=TEXT,
    requires=WORDS,
    isolated=st.booleans(),
)
MEASUREMENTS = st.builds(
    Measurement,
    name=TEXT,
    value=st.floats(allow_nan=False) | st.integers(),
    unit=TEXT,
    warn=TEXT,
    fail=TEXT,
    status=st.sampled_from(Status),
)
OUTCOMES = st.builds(
    Outcome,
    id=TEXT,
    title=TEXT,
    status=st.sampled_from(Status),
    reason=TEXT,
    trace=TEXT,
    time=SECONDS,
    duration_s=SECONDS,
    measurements=st.lists(MEASUREMENTS, max_size=3).map(tuple),
    tags=WORDS,
    owner=TEXT,
    fix=TEXT,
)


def strictly(value: object) -> object:
    """Send *value* through strict JSON and return what arrives."""
    return json.loads(json.dumps(value, allow_nan=False))


@given(CHECKS)
def test_a_check_survives_the_wire(check: Check) -> None:
    """What arrives equals what was sent."""
    assert check == Check.from_wire(strictly(check.to_wire()))  # type: ignore[arg-type]


@given(MEASUREMENTS)
def test_a_measurement_survives_the_wire(measurement: Measurement) -> None:
    """Infinities included, which JSON has no word for."""
    wire = strictly(measurement.to_wire())

    assert measurement == Measurement.from_wire(wire)  # type: ignore[arg-type]


def test_nan_survives_the_wire() -> None:
    """It equals nothing, itself included, so it has a test of its own."""
    wire = strictly(Measurement(name="m", value=math.nan).to_wire())

    assert math.isnan(Measurement.from_wire(wire).value)  # type: ignore[arg-type]


@given(OUTCOMES)
def test_an_outcome_survives_the_wire(outcome: Outcome) -> None:
    """With its measurements and its status."""
    arrived = Outcome.from_wire(strictly(outcome.to_wire()))  # type: ignore[arg-type]

    assert outcome == arrived
    assert isinstance(arrived.status, Status)


@given(CHECKS, st.sampled_from(Status))
def test_an_outcome_says_what_its_check_says(check: Check, status: Status) -> None:
    """Title, tags, owner and remedy come along; softness turns what is red by failing."""
    outcome = Outcome.of(check, status, "because", duration_s=1.5)

    soft = check.severity == "warning" and status in {Status.FAIL, Status.ERROR}
    assert (Status.WARN if soft else status) is outcome.status
    assert (check.id, check.title, check.tags, check.owner, check.fix) == (
        outcome.id,
        outcome.title,
        outcome.tags,
        outcome.owner,
        outcome.fix,
    )
    assert (outcome.reason, outcome.duration_s) == ("because", 1.5)


@given(st.lists(OUTCOMES, max_size=8).map(tuple))
def test_counts_add_up(outcomes: tuple[Outcome, ...]) -> None:
    """Each status is counted, those that none has with 0."""
    counts = Report(outcomes).counts

    assert set(Status) == set(counts)
    assert len(outcomes) == sum(counts.values())


def test_problems_become_errors() -> None:
    """A name and a reason make an outcome that is not green."""
    (outcome,) = errors([("shop.db", "cannot import")], time=5.0)

    assert Status.ERROR is outcome.status
    assert (outcome.id, outcome.title, outcome.reason) == ("shop.db", "shop.db", "cannot import")


@pytest.mark.parametrize(
    "value",
    [
        Check(id="a", title="a", unit="a"),
        Outcome(id="a", title="a", status=Status.PASS),
        Measurement(name="a", value=1),
        Report(()),
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_are_frozen(value: object) -> None:
    """What has been found is not changed any more."""
    name = fields(value)[0].name  # type: ignore[arg-type]

    with pytest.raises(FrozenInstanceError):
        setattr(value, name, "changed")


def test_statuses_are_their_own_text() -> None:
    """JSON and logs write them as they are."""
    assert json.dumps(list(Status)) == (
        '["pass", "warn", "fail", "error", "skip", "expected_failure", "unexpected_success"]'
    )
