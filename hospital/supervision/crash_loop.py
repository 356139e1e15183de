"""When the next process of a watcher may begin, after some have died young.

Rule: a decision and nothing else; who asks brings the time, of a clock that nobody sets.
"""

from hospital.serving.start_delay import LONGEST_DELAY_S

YOUNG_S = 5.0
"""A process that served and lived for this long was a good one."""

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 15.0


class CrashLoop:
    """Counts the processes of one watcher that died young, in a row, and spaces the next ones.

    circusd replaces a dead process at each check, all of a watcher at once. What is replaced too
    fast therefore waits by itself before it begins; this says how long. From the first failure on
    at most one process a second begins, and with each further failure fewer; the pause counts from
    the failure, since how long the dead one took to begin differs by the load of the machine. Of
    more than 60 processes, whose round takes longer than anybody waits, 60 s are the time for all
    of them.

    >>> loop = CrashLoop()
    >>> loop.begins(now_s=0.0)
    0.0
    >>> loop.failed("exit code 1", now_s=0.25)
    >>> loop.begins(now_s=0.5)
    0.75
    """

    def __init__(self) -> None:
        self.failures = 0
        self.cause = ""
        self._last_s = float("-inf")  # of the last beginning, or of the last failure if later

    def failed(self, cause: str, now_s: float) -> None:
        """Count one that died young, and remember why and when."""
        self.failures += 1
        self.cause = cause
        self._last_s = max(self._last_s, now_s)

    def is_over(self) -> None:
        """Begin anew: one that began after the last failure has done well."""
        self.failures = 0
        self.cause = ""

    def begins(self, now_s: float, processes: int = 1) -> float:
        """Return the seconds that a process which is started now has to wait.

        Args:
            now_s: The time of the start.
            processes: How many the watcher has, at least 1; so many wait for each other.

        Returns:
            0 to 15 s, or a second for each process if that is more; 60 s at most.
        """
        if not self.failures:
            self._last_s = now_s
            return 0.0
        longest_s = min(max(LONGEST_PAUSE_S, processes * FIRST_PAUSE_S), LONGEST_DELAY_S)
        begin_s = max(now_s, self._last_s + min(pause_s(self.failures), longest_s / processes))
        self._last_s = min(begin_s, now_s + longest_s)
        return self._last_s - now_s


def pause_s(failures: int) -> float:
    """Return the seconds between two beginnings after so many failures in a row.

    >>> [pause_s(failures) for failures in (1, 2, 3, 4, 5, 1000)]
    [1.0, 2.0, 4.0, 8.0, 15.0, 15.0]
    """
    doubled = FIRST_PAUSE_S * 2.0 ** min(failures - 1, 10)
    return min(doubled, LONGEST_PAUSE_S)
