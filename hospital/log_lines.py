"""From an event to a line: what structlog does with it, step by step.

Rule: what comes out is one line, which JSON and a terminal can hold, without secrets, of bounded
length, whatever the event held.
"""

import json
import math
import os
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from hospital.redaction import clean, clean_line, redact, to_text

OWN_FIELDS = ("timestamp", "level", "event", "logger", "pid")
_MOST_FIELDS = 50
_MOST_ITEMS = 50
_DEEPEST = 4
_LONGEST_LINE = 32_768  # bytes
_MOST_FRAMES = 20
_MOST_CAUSES = 4
_MOST_EXACT_INTEGER = 2**63


def encode(line: str) -> bytes:
    """Return *line* as it is written."""
    return f"{line}\n".encode("utf-8", "backslashreplace")


def stamped(_logger: Any, level: str, event: Mapping[str, Any]) -> dict[str, Any]:
    """Put our own fields first, and a line under fields that have their names."""
    own = {
        "timestamp": datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "level": level,
        "event": event["event"],
        "logger": event["logger"],
        "pid": os.getpid(),
    }
    given = event["fields"]
    for key in list(given)[:_MOST_FIELDS]:
        if key != "exc_info" and (key != "exception" or given[key] is not None):
            own[f"{key}_" if key in OWN_FIELDS else key] = given[key]
    return own


def harmless(_logger: Any, _level: str, event: Mapping[str, Any]) -> dict[str, Any]:
    """Return *event* with nothing in it that JSON, a terminal or a stranger must not see."""
    return {
        clean_line(to_text(key), 100): "***" if _names_secret(to_text(key)) else _plain(value)
        for key, value in event.items()
    }


@lru_cache(maxsize=512)
def _names_secret(key: str) -> bool:
    return redact(f"{key}=x") != f"{key}=x"


def _plain(value: Any, depth: int = 0) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int) and abs(value) < _MOST_EXACT_INTEGER:
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping) and depth < _DEEPEST:
        return {
            clean_line(to_text(key), 100): (
                "***" if _names_secret(to_text(key)) else _plain(value[key], depth + 1)
            )
            for key in list(value)[:_MOST_ITEMS]
        }
    if isinstance(value, list | tuple | set | frozenset) and depth < _DEEPEST:
        return [_plain(item, depth + 1) for item in list(value)[:_MOST_ITEMS]]
    return clean(value if isinstance(value, str) else to_text(value))


def to_json(_logger: Any, _level: str, event: Mapping[str, Any]) -> str:
    """Return *event* as a JSON object; where it is too long, with its longest fields cut."""
    line = json.dumps(event, ensure_ascii=False, allow_nan=False)
    if _fits(line):
        return line
    short = {key: event[key] if key in OWN_FIELDS else _cut(event[key]) for key in event}
    line = json.dumps(short, ensure_ascii=False, allow_nan=False)
    if _fits(line):
        return line
    own = {key: _cut(event[key]) for key in OWN_FIELDS if key in event}
    return json.dumps({**own, "cut": True}, ensure_ascii=False, allow_nan=False)


def _fits(line: str) -> bool:
    """Tell whether *line* is short enough, in bytes: who reads it counts those."""
    return len(line) <= _LONGEST_LINE // 4 or len(encode(line)) <= _LONGEST_LINE


def _cut(value: Any) -> Any:
    longest = _LONGEST_LINE // _MOST_FIELDS // 2
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return value if len(text) <= longest else clean(text, longest)


def to_console(_logger: Any, level: str, event: Mapping[str, Any]) -> str:
    """Return *event* for people."""
    said = " ".join(
        f"{key}={json.dumps(value, ensure_ascii=False)}"
        for key, value in event.items()
        if key not in OWN_FIELDS
    )
    when = event["timestamp"][11:23]
    what = clean_line(event["event"], _LONGEST_LINE // 2)
    return f"{when} {level:<7} {what} {said}".rstrip()[:_LONGEST_LINE]


def describe_exception(error: BaseException) -> list[dict[str, Any]]:
    """Return *error* and what caused it as values, outermost first, its innermost frames only."""
    described: list[dict[str, Any]] = []
    at: BaseException | None = error
    while at is not None and len(described) < _MOST_CAUSES:
        frames = traceback.extract_tb(at.__traceback__, limit=-_MOST_FRAMES)
        described.append(
            {
                "type": type(at).__qualname__,
                "message": to_text(at),
                "frames": [f"{each.filename}:{each.lineno} {each.name}" for each in frames],
            }
        )
        at = at.__cause__ or (None if at.__suppress_context__ else at.__context__)
    return described
