"""Limits as monitoring plugins write them: ``80``, ``10:``, ``~:5``, ``@5:8``.

Source: Monitoring Plugins Development Guidelines, "Threshold and Ranges".
"""

import math
from dataclasses import dataclass

from hospital.errors import SettingError

_EXAMPLES = "write '80' (0 to 80), '10:' (at least 10), '~:5' (at most 5) or '@5:8' (not 5 to 8)"


@dataclass(frozen=True, slots=True)
class Range:
    """The values that are in order.

    Attributes:
        start: Lowest value of the range, ``-inf`` where it has none.
        end: Highest value of the range, ``inf`` where it has none.
        inside: Whether the values *inside* are the bad ones (written with ``@``).
        text: The range as it was written.
    """

    start: float
    end: float
    inside: bool
    text: str

    def holds(self, value: float) -> bool:
        """Return whether *value* is in order; NaN never is."""
        if math.isnan(value):
            return False
        return (self.start <= value <= self.end) is not self.inside

    def where(self, value: float) -> str:
        """Return where a *value* lies that is not in order, for people to read.

        >>> parse_range("80").where(91), parse_range("10:").where(9), parse_range("@5:8").where(6)
        ('above 80', 'below 10', 'within 5:8')
        """
        if self.inside:
            return f"within {self.text.removeprefix('@')}"
        if value > self.end:
            return f"above {self.end:g}"
        return f"below {self.start:g}"


def parse_range(limit: str | float, name: str = "limit") -> Range:
    """Return *limit* as a Range.

    Raises:
        SettingError: If *limit* is no range, or starts above its end.

    >>> parse_range("10:").holds(9), parse_range("0.9").holds(0.5), parse_range("@5:8").holds(6)
    (False, True, False)
    """
    if isinstance(limit, bool) or not isinstance(limit, int | float | str):
        raise SettingError(f"{name} is no range:", repr(limit)[:80], _EXAMPLES)
    text = str(limit).strip()
    body = text.removeprefix("@")
    before, colon, after = body.rpartition(":")
    try:
        start = -math.inf if before == "~" else float(before) if before else 0.0
        end = float(after) if after else math.inf
    except ValueError:
        raise SettingError(f"{name} is no range:", repr(limit)[:80], _EXAMPLES) from None
    if not body or body == ":" or (colon and not before):
        raise SettingError(f"{name} is no range:", repr(limit)[:80], _EXAMPLES)
    if math.isnan(start) or math.isnan(end) or start > end:
        raise SettingError(f"{name} starts above its end:", repr(limit)[:80], _EXAMPLES)
    return Range(start=start, end=end, inside=text.startswith("@"), text=text)
