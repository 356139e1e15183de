"""Durations as people write them."""

import math

from hospital.errors import SettingError

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_MILLISECOND_S = 0.001
_EXAMPLES = "write a number of seconds, or one with a unit: 500ms, 10s, 2m, 1h, 7d"


def parse_duration(text: str | float, name: str = "duration", *, zero: bool = False) -> float:
    """Return *text* in seconds.

    Args:
        text: A number of seconds, or a string such as ``"10"``, ``"500ms"``, ``"2m"``.
        name: What is being set; stands in the error.
        zero: Whether 0 is allowed.

    Returns:
        Seconds, finite, above 0 (or 0 where *zero* allows it).

    Raises:
        SettingError: If *text* is no duration.

    >>> parse_duration("1.5m"), parse_duration("250ms"), parse_duration(3)
    (90.0, 0.25, 3.0)
    """
    if isinstance(text, bool) or not isinstance(text, int | float | str):
        raise SettingError(f"{name} is no duration:", repr(text)[:80], _EXAMPLES)
    try:
        seconds = _seconds(text) if isinstance(text, str) else float(text)
    except (ValueError, OverflowError):
        raise SettingError(f"{name} is no duration:", repr(text)[:80], _EXAMPLES) from None
    if not math.isfinite(seconds) or seconds < 0 or (seconds == 0 and not zero):
        limit = "0 or more" if zero else "above 0"
        raise SettingError(f"{name} must be {limit} and finite, not", repr(text)[:80], _EXAMPLES)
    return seconds


def _seconds(text: str) -> float:
    stripped = text.strip()
    number = stripped.rstrip("abcdefghijklmnopqrstuvwxyz")
    unit = stripped[len(number) :] or "s"
    if unit not in _UNITS or "_" in number:
        raise ValueError(text)
    return float(number) * _UNITS[unit]


def format_duration(seconds: float) -> str:
    """Return *seconds* as short as a person would write it.

    >>> [format_duration(s) for s in (0.25, 1.0, 2.5, 90, 7200)]
    ['250 ms', '1 s', '2.5 s', '1.5 min', '2 h']
    """
    if seconds < _MILLISECOND_S:
        return f"{seconds * 1000:.1g} ms"
    for limit, divisor, unit in ((1, 0.001, "ms"), (60, 1, "s"), (3600, 60, "min")):
        if seconds < limit:
            return f"{seconds / divisor:.3g} {unit}"
    return f"{seconds / 3600:.3g} h"
