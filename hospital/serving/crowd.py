"""Who is connected, and in which state; who is late, and who has to go when all places are taken.

Rule: no I/O here, and the clock is passed in.
"""

from collections.abc import Iterator
from typing import Any

SLOW_S = 0.1
"""A head that takes longer than this may have to make room."""

SILENT_S = 0.05
"""And so may a connection without a byte: before that its request may be about to be sent."""


class Crowd:
    """The connections of a server, by what each of them is doing.

    Each is in one of the places; within a place they stand in the order in which they came. What
    they have in common are their attributes ``place``, ``since`` (when they came there) and
    ``deadline``.

    Attributes:
        fresh: Connected, and not a byte sent yet.
        kept: Between two requests.
        begun: A part of a request has arrived.
        queued: A request has arrived behind another one, and waits for its turn.
        busy: A request is being answered.
        leaving: Answered for the last time; waited for until the client has read it.
    """

    __slots__ = ("begun", "busy", "fresh", "kept", "leaving", "queued")

    def __init__(self) -> None:
        self.fresh: dict[Any, None] = {}
        self.kept: dict[Any, None] = {}
        self.begun: dict[Any, None] = {}
        self.queued: dict[Any, None] = {}
        self.busy: dict[Any, None] = {}
        self.leaving: dict[Any, None] = {}

    def __len__(self) -> int:
        return sum(map(len, self._places()))

    def _places(self) -> tuple[dict[Any, None], ...]:
        return self.fresh, self.kept, self.begun, self.queued, self.busy, self.leaving

    def who_goes_first(self, now: float) -> Any:
        """Return whose place is given to a new connection, or None if nobody's may be.

        Whoever has got all there was to get, then the one that has been silent for longest since
        it came, then the one kept for longest, then a head that takes its time. Never one whose
        request is being answered, or will be in its turn.
        """
        for place, patience_s in (
            (self.leaving, 0.0),
            (self.fresh, SILENT_S),
            (self.kept, 0.0),
            (self.begun, SLOW_S),
        ):
            for connection in place:
                if connection.since <= now - patience_s:
                    return connection
                break  # those that follow came later
        return None

    def late(self, now: float) -> Iterator[Any]:
        """Yield the connections whose time is over; they may change places meanwhile."""
        for place in self._places():
            if place:
                yield from [each for each in place if each.deadline < now]

    @property
    def answering(self) -> int:
        """How many requests have begun to arrive, or wait for their answer."""
        return len(self.begun) + len(self.queued) + len(self.busy)
