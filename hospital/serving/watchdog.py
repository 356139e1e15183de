"""End this process when its loop stands still, and leave behind where it stood.

A thread of the interpreter's own counts the time down. It needs neither the loop nor the global
lock, so it catches a busy loop and a call that keeps the lock: it writes the stacks of all
threads to standard error and ends the process with exit code 1. It cannot while the process is
stopped (SIGSTOP); for that there is the guard.

Rule: the process ends itself a little before the guard would kill it, so that the stacks are there.
"""

import faulthandler

SHARE = 0.8
"""Of the watchdog time; when it is over, the guard kills."""

STARTING_S = 30.0
"""What a process has at least for its start; it imports its application meanwhile."""

_BEATS = 10


def interval_s(watchdog_s: float, usual_s: float) -> float:
    """Return how often to rearm: *usual_s*, or more often where the watchdog time is short.

    >>> interval_s(10.0, 0.5), interval_s(2.0, 0.5), interval_s(0.0, 0.5)
    (0.5, 0.2, 0.5)
    """
    return min(usual_s, watchdog_s / _BEATS) if watchdog_s else usual_s


class Watchdog:
    """Ends the process unless it is rearmed in time.

    There is one in a process: a second one takes the place of the first.

    Args:
        watchdog_s: Seconds after which the guard would kill; 0 for no watchdog at all.
        starting_s: Seconds that the guard allows for a start, where those are more.
        fd: Where the stacks go.
    """

    def __init__(self, watchdog_s: float, *, starting_s: float = STARTING_S, fd: int = 2) -> None:
        self._watchdog_s = watchdog_s
        self._starting_s = max(starting_s, watchdog_s)
        self._fd = fd

    def arm_for_start(self) -> None:
        """Allow the time that a start may take."""
        self._arm(SHARE * self._starting_s)

    def rearm(self) -> None:
        """Begin to count anew: the loop lives."""
        self._arm(SHARE * self._watchdog_s)

    def disarm(self) -> None:
        """Let the process take all the time it wants."""
        if self._watchdog_s:
            faulthandler.cancel_dump_traceback_later()

    def _arm(self, seconds: float) -> None:
        if self._watchdog_s:
            faulthandler.dump_traceback_later(seconds, exit=True, file=self._fd)


def leave_stacks_on_crashes(fd: int = 2) -> None:
    """Have SIGSEGV and its like write the stacks of all threads to *fd* before the process ends."""
    faulthandler.enable(file=fd)
