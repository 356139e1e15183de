"""The only place that says whether a run is green, and what follows from it.

Rule: nobody else counts statuses to come to a verdict.
"""

from hospital.model import Report, Status

EXIT_GREEN = 0
EXIT_NOT_GREEN = 1
EXIT_USAGE = 2

HTTP_OK = 200
DEFAULT_FAIL_STATUS = 500


def passed(report: Report) -> bool:
    """Return whether *report* is green.

    It is when nothing failed and at least one check held: a run of nothing,
    or of skips alone, is not green.
    """
    statuses = {outcome.status for outcome in report.outcomes}
    return any(s.is_green for s in statuses) and not any(s.is_red for s in statuses)


def overall(report: Report) -> Status:
    """Return ``pass``, ``warn`` or ``fail`` for the whole of *report*."""
    if not passed(report):
        return Status.FAIL
    warned = any(outcome.status is Status.WARN for outcome in report.outcomes)
    return Status.WARN if warned else Status.PASS


def exit_code(report: Report) -> int:
    """Return the exit code of the command line: 0 green, 1 not green."""
    return EXIT_GREEN if passed(report) else EXIT_NOT_GREEN


def http_status(report: Report, fail_status: int = DEFAULT_FAIL_STATUS) -> int:
    """Return the HTTP status: 200 when green, else *fail_status*."""
    return HTTP_OK if passed(report) else fail_status
