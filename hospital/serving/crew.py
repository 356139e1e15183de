"""The greenlets in which requests are answered.

Rule: a request gets a greenlet when it has arrived whole, and gives it back with its answer. A
connection that is idle, slow or silent costs none. What one request leaves behind reaches no
other: neither its context variables nor a timeout that it started and forgot.
"""

from contextvars import Context
from sys import getrefcount
from typing import TYPE_CHECKING, Any

import gevent

if TYPE_CHECKING:
    from hospital.serving.exchange import Exchange

MOST_WAITING = 32
"""Greenlets that are kept for the next requests."""


class _Nothing:
    """Takes the place of an exchange."""

    def run(self) -> None:
        """Do nothing."""


class Crew:
    """Runs exchanges, each in a greenlet that nobody else has meanwhile."""

    __slots__ = ("_hub", "_references", "_waiting")

    def __init__(self) -> None:
        self._hub: Any = gevent.get_hub()
        self._waiting: list[Any] = []
        self._references = 0

    def answer(self, exchange: "Exchange") -> None:
        """Run *exchange* up to where it first waits, or soon; to be called in the hub alone."""
        waiting = self._waiting
        while waiting:
            worker = waiting.pop()
            if getrefcount(worker) <= self._references:
                worker.switch(exchange)
                return
            worker.switch(None)  # a timer holds it, or an application: it is used no more
        if not self._references:
            self._learn_references()
        gevent.spawn(self._work, exchange)

    def _learn_references(self) -> None:
        """Find out how many references there are to a greenlet that nobody holds but us."""
        gevent.Greenlet(self._work, _Nothing()).switch()
        worker = self._waiting.pop()
        self._references = getrefcount(worker)
        worker.switch(None)

    def _work(self, exchange: "Exchange | _Nothing | None") -> None:
        me = gevent.getcurrent()
        waiting = self._waiting
        switch = self._hub.switch
        while exchange is not None:
            Context().run(exchange.run)
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
