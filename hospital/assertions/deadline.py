"""One deadline for everything that an assertion about the network does."""

import time


class Deadline:
    """A point in time by which all has to be done.

    Args:
        timeout_s: Seconds from now until then.
    """

    __slots__ = ("_at", "timeout_s")

    def __init__(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self._at = time.monotonic() + timeout_s

    def left_s(self) -> float:
        """Return the seconds left, above 0.

        Raises:
            TimeoutError: If none are.
        """
        left_s = self._at - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("the deadline has passed")
        return left_s

    def turn_s(self, *, last: bool) -> float:
        """Return the seconds that one of several attempts may take.

        Half of what is left, so that a silent address leaves time for the next one; for the
        *last* attempt, all of it.

        Raises:
            TimeoutError: If no time is left.
        """
        left_s = self.left_s()
        return left_s if last else left_s / 2
