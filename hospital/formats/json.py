"""A report as JSON: the shape documented in 2014, with new keys beside the old ones."""

import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from hospital.model import Measurement, Outcome, Report, Status
from hospital.redaction import LONGEST, clean, clean_line
from hospital.verdict import overall

CONTENT_TYPE = "application/json; charset=utf-8"
_INDENT = 4
_COUNTED = (
    Status.SKIP,
    Status.PASS,
    Status.WARN,
    Status.EXPECTED_FAILURE,
    Status.ERROR,
    Status.FAIL,
)
_LONGEST_NAME = 200
_LONGEST_UNIT = 40
_MOST_EXACT_INTEGER = 2**53
_FOLDERS = re.compile(
    r"(?<!\S)[\"'(\[]?(?:[A-Za-z]:|~|\.{1,2})?[/\\](?:[^\s/\\]*[/\\])*(?=[^\s/\\])"
)


def render(report: Report, *, reasons: bool, incidents: Mapping[str, str] | None = None) -> bytes:
    """Return *report* as one strict JSON document: UTF-8, indented by 4, ending in a line feed.

    Args:
        report: What was found.
        reasons: Whether the reader may see reasons. Who may not sees of each check ``test``,
            ``id``, ``status`` and ``incident``, and of a path its last part only.
        incidents: For the id of each check whose reason is withheld, the id under which the
            reason stands in the log.

    >>> print(render(Report(()), reasons=True).decode(), end="")
    {
        "status": "fail",
        "details": [],
        "summary": {
            "skip": 0,
            "pass": 0,
            "warn": 0,
            "expected_failure": 0,
            "error": 0,
            "fail": 0,
            "total": 0,
            "unexpected_success": 0
        }
    }
    """
    if reasons:
        details = [_open_detail(outcome, report.time) for outcome in report.outcomes]
    else:
        details = [_public_detail(outcome, incidents or {}) for outcome in report.outcomes]
    document = {
        "status": overall(report).value,
        "details": details,
        "summary": _summary(report),
    }
    text = json.dumps(document, indent=_INDENT, ensure_ascii=False, allow_nan=False)
    return f"{text}\n".encode()


def _summary(report: Report) -> dict[str, int]:
    counts = report.counts
    return {
        **{status.value: counts[status] for status in _COUNTED},
        "total": len(report.outcomes),
        Status.UNEXPECTED_SUCCESS.value: counts[Status.UNEXPECTED_SUCCESS],
    }


def _open_detail(outcome: Outcome, run_time: float) -> dict[str, Any]:
    detail: dict[str, Any] = {
        "test": clean_line(outcome.title),
        "status": outcome.status.value,
    }
    if reason := clean(outcome.reason):
        detail["context"] = reason
    detail["id"] = clean_line(outcome.id)
    detail["duration_s"] = _number(outcome.duration_s, digits=6)
    detail["time"] = format_time(outcome.time or run_time)
    if outcome.measurements:
        detail["measurements"] = [_measurement(each) for each in outcome.measurements]
    if outcome.tags:
        detail["tags"] = [clean_line(tag) for tag in outcome.tags]
    if outcome.owner:
        detail["owner"] = clean_line(outcome.owner)
    if outcome.fix:
        detail["fix"] = clean(outcome.fix)
    return detail


def _public_detail(outcome: Outcome, incidents: Mapping[str, str]) -> dict[str, Any]:
    # What could not be loaded is named by what the operator wrote, spaces and folders included.
    # Folders go before anything is cut, so that no half of one is left as the last part.
    is_name = outcome.title == outcome.id
    identity = clean_line(_last_part(outcome.id[-LONGEST:]))
    title = clean_line(_FOLDERS.sub("", outcome.title[:LONGEST]))
    detail: dict[str, Any] = {
        "test": identity if is_name else title,
        "status": outcome.status.value,
        "id": identity,
    }
    if outcome.reason and outcome.id in incidents:
        detail["incident"] = clean_line(incidents[outcome.id])
    return detail


def _last_part(name: str) -> str:
    stripped = name.rstrip("/\\")
    return re.split(r"[/\\]", stripped)[-1] or name[:1]


def _measurement(measurement: Measurement) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "name": clean_line(measurement.name, _LONGEST_NAME),
        "value": _number(measurement.value),
        "unit": clean_line(measurement.unit, _LONGEST_UNIT),
    }
    for key, limit in (("warn", measurement.warn), ("fail", measurement.fail)):
        if limit:
            shown[key] = clean_line(limit, _LONGEST_UNIT)
    shown["status"] = measurement.status.value
    return shown


def _number(value: float, digits: int | None = None) -> float | int | None:
    """Return *value* as JSON can hold it: None for NaN, infinities and what is no float."""
    try:
        as_float = float(value)
    except (OverflowError, TypeError, ValueError):
        return None
    if not math.isfinite(as_float):
        return None
    if digits is not None:
        return round(as_float, digits)
    return int(value) if isinstance(value, int) and abs(value) <= _MOST_EXACT_INTEGER else as_float


def format_time(epoch_s: float) -> str | None:
    """Return *epoch_s* as RFC 3339 in UTC, None where it is no time.

    >>> format_time(1393593548.25), format_time(float("nan")), format_time(0)
    ('2014-02-28T13:19:08.250Z', None, None)
    """
    try:
        moment = datetime.fromtimestamp(epoch_s, UTC) if epoch_s else None
    except (OverflowError, OSError, ValueError):
        return None
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z") if moment else None
