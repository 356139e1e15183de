"""How long a worker waits before it begins, when those before it died young.

Rule: circusd, which says it, imports this too, so it is light.
"""

from collections.abc import Mapping

from hospital.durations import parse_duration
from hospital.errors import SettingError
from hospital.settings import START_DELAY_VARIABLE

LONGEST_DELAY_S = 60.0
"""What our hook tells a worker to wait at most, and what a worker waits at most."""


def start_delay_s(environ: Mapping[str, str]) -> float:
    """Return the seconds to wait before the start, ``LONGEST_DELAY_S`` at most.

    >>> [start_delay_s({"HOSPITAL_START_DELAY": text}) for text in ("4", "0", "1d", "soon")]
    [4.0, 0.0, 60.0, 0.0]
    """
    try:
        seconds = parse_duration(environ.get(START_DELAY_VARIABLE, "0"), zero=True)
    except SettingError:
        return 0.0  # a worker that serves is better than a word about our own hook
    return min(seconds, LONGEST_DELAY_S)
