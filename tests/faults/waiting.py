"""Wait until something is so, and no longer than a deadline."""

import time
from collections.abc import Callable
from typing import Any

DEADLINE_S = 15.0


class TooLateError(Exception):
    """Something did not come true in time."""


def poll(condition: Callable[[], Any], timeout_s: float = DEADLINE_S, what: str = "it") -> Any:
    """Return what *condition* returns as soon as that is true.

    Raises:
        TooLateError: If it is not within *timeout_s*.
    """
    end = time.monotonic() + timeout_s
    while not (value := condition()):
        if time.monotonic() > end:
            raise TooLateError(f"{what} did not come true within {timeout_s:g} s")
        time.sleep(0.02)
    return value


def seconds_until(condition: Callable[[], Any], timeout_s: float = DEADLINE_S) -> float | None:
    """Return after how many seconds *condition* is true; None if it is not within *timeout_s*."""
    began = time.monotonic()
    try:
        poll(condition, timeout_s)
    except TooLateError:
        return None
    return time.monotonic() - began
