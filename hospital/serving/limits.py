"""How long a client may take, and how many may come at once."""

import os
import resource
from dataclasses import dataclass

from hospital.settings import Settings

SPARE_HANDLES = 24
"""Handles that connections leave free: for wards (a socket and two pipes each while they start,
four at a time), a token file, a heartbeat, the names that a check looks up."""

_USUAL_HANDLES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a client may ask of the server; times are in seconds.

    Attributes:
        head_timeout_s: In which the whole head of a request must arrive, and then its body.
        idle_timeout_s: For which a connection may be kept open between two requests.
        stall_timeout_s: For which a client may keep one answer waiting, in total.
        max_connections: Connections at once, as far as the limit of open files allows.
        max_requests: Answers after which the server drains; up to a tenth more, at random, so
            that workers which began together do not end together; 0 for never.

    >>> Limits(head_timeout_s=2.0).idle_timeout_s
    75.0
    """

    head_timeout_s: float = 10.0
    idle_timeout_s: float = 75.0
    stall_timeout_s: float = 30.0
    max_connections: int = 1000
    max_requests: int = 0

    @classmethod
    def of(cls, settings: Settings) -> "Limits":
        """Return the limits that *settings* ask for."""
        return cls(
            head_timeout_s=settings.head_timeout_s,
            idle_timeout_s=settings.idle_timeout_s,
            max_connections=settings.max_connections,
            max_requests=settings.max_requests,
        )


def open_handles() -> int:
    """Return how many files this process holds open, as far as the system tells."""
    try:
        return len(os.listdir("/proc/self/fd")) - 1  # noqa: PTH208 - counts itself; no need for paths
    except OSError:
        return _USUAL_HANDLES


def room(most: int, held: int) -> int:
    """Return how many connections there may be, *most* at most, beside *held* other handles.

    The limit of open files is looked at each time: ``prlimit`` changes it while a process runs.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return most
    return max(1, min(most, soft - held - SPARE_HANDLES))
