"""The greenlets in which requests are answered.

Rule: a request gets a greenlet when it has arrived whole, and gives it back with its answer. A
connection that is idle, slow or silent costs none.
"""

from typing import TYPE_CHECKING, Any

import gevent

if TYPE_CHECKING:
    from hospital.serving.exchange import Exchange

MOST_WAITING = 32
"""Greenlets that are kept for the next requests."""


class Crew:
    """Runs exchanges, each in a greenlet that nobody else has meanwhile."""

    __slots__ = ("_hub", "_waiting")

    def __init__(self) -> None:
        self._hub: Any = gevent.get_hub()
        self._waiting: list[Any] = []

    def answer(self, exchange: "Exchange") -> None:
        """Run *exchange* up to where it first waits, or soon; to be called in the hub alone."""
        if self._waiting:
            self._waiting.pop().switch(exchange)
        else:
            gevent.spawn(self._work, exchange)

    def _work(self, exchange: "Exchange | None") -> None:
        me = gevent.getcurrent()
        waiting = self._waiting
        switch = self._hub.switch
        while exchange is not None:
            exchange.run()
            exchange = None  # nothing of a client stays while nobody asks
            if len(waiting) >= MOST_WAITING:
                return
            waiting.append(me)
            try:
                exchange = switch()
            except BaseException:  # noqa: BLE001 - a timeout that an application forgot to cancel
                exchange = None
            if me in waiting:  # it was not woken with a request: it goes
                waiting.remove(me)
                return
