"""The reports that each format renders: one of each status, and any that there can be."""

import math

from hypothesis import strategies as st

from hospital.model import Measurement, Outcome, Report, Status

TIME = 1393593548.25


def one(status: Status, name: str, title: str, reason: str = "", **more: object) -> Outcome:
    """Return an outcome of the module ``app.checks``."""
    held: dict[str, object] = {"reason": reason, "time": TIME, **more}
    return Outcome(id=name, title=title, status=status, **held)  # type: ignore[arg-type]


PASSING = one(
    Status.PASS,
    "hospital.healthchecks.predictable.ForeverPassingHealthCheck.test_collected",
    "Health checks are collected.",
    duration_s=0.00041234567,
)
WARNED = one(
    Status.WARN,
    "app.checks.disk",
    "The disk has room.",
    "disk_used is 0.91, above 0.9",
    duration_s=0.012,
    measurements=(
        Measurement(
            name="disk_used", value=0.91, unit="1", warn="0.9", fail="0.95", status=Status.WARN
        ),
        Measurement(name="disk_free", value=1234567890, unit="By"),
        Measurement(name="unknown", value=math.nan),
    ),
    tags=("host", "disk"),
    owner="storage team",
    fix="empty the cache:\n\tmake clean-cache",
)
FAILED = one(
    Status.FAIL,
    "app.checks.Accounts.test_open",
    "The accounts are open.",
    '2 accounts are closed: (app/checks.py:31 in test_open)\n"älice"\nbob',
    trace="app/checks.py:31 in test_open: assert not closed, names(closed)",
    duration_s=1.5,
    fix="open them:\nmanage.py accounts --open",
)
TIMED_OUT = one(
    Status.ERROR,
    "app.checks.queue",
    "app.checks.queue",
    "timed out after 2 s at app/checks.py:40 in queue",
    duration_s=2.0,
    measurements=(
        Measurement(name="length", value=812, fail="500", status=Status.FAIL),
        Measurement(name="oldest", value=math.nan, unit="s"),
    ),
    owner="queue team",
)
UNLOADED = one(
    Status.ERROR,
    "/srv/my app/checks/db.py",
    "/srv/my app/checks/db.py",
    "/srv/my app/checks/db.py, line 3: SyntaxError: invalid syntax",
)
SKIPPED = one(
    Status.SKIP,
    "app.checks.mail",
    "GET /var/mail/queue answers.",
    "requires app.checks.queue, which is error",
)
UNEXPECTED = one(
    Status.UNEXPECTED_SUCCESS,
    "app.checks.fax",
    "The fax works.",
    "passed, though it is marked as an expected failure",
)
EXPECTED = one(Status.EXPECTED_FAILURE, "app.checks.known", "known", "bug 12")

REPORTS = {
    "passing": Report((PASSING,), TIME, duration_s=0.001),
    "warned": Report((PASSING, WARNED), TIME, duration_s=0.013),
    "mixed": Report(
        (PASSING, WARNED, FAILED, TIMED_OUT, UNLOADED, SKIPPED, UNEXPECTED, EXPECTED),
        TIME,
        duration_s=2.004,
    ),
    "skipped": Report((SKIPPED, SKIPPED), TIME, duration_s=0.0),
    "nothing": Report((), TIME),
}

texts = st.text(st.characters(categories=None), max_size=40)
durations = st.floats(0, 1e6)
numbers = st.floats() | st.integers(min_value=-(10**400), max_value=10**400)
measurements = st.builds(
    Measurement,
    name=texts,
    value=numbers,
    unit=texts,
    warn=texts,
    fail=texts,
    status=st.sampled_from(Status),
)
outcomes = st.builds(
    Outcome,
    id=texts,
    title=texts,
    status=st.sampled_from(Status),
    reason=texts,
    trace=texts,
    time=st.floats(),
    duration_s=durations,
    measurements=st.lists(measurements, max_size=2).map(tuple),
    tags=st.lists(texts, max_size=1).map(tuple),
    owner=texts,
    fix=texts,
)
reports = st.builds(Report, st.lists(outcomes, max_size=5).map(tuple), st.floats(), durations)
