"""Hold back processes that die before they read how long they have to wait.

A worker of ours waits by itself when it is told to. One that cannot even be imported, since its
environment is broken, cannot: circusd, which must not sleep, stops it at birth and lets it
go on when its time has come.
"""

import os
import signal
from contextlib import suppress
from typing import Any

from hospital.serving import beat

_EARLY_S = 0.25
"""A process that ends so long before it was to begin did not wait; clocks are not exact."""


class Holding:
    """Knows whether the processes of a watcher wait by themselves, and holds those that do not.

    Args:
        loop: circusd's event loop.
    """

    def __init__(self, loop: Any) -> None:
        self._loop = loop
        self._is_needed = False

    def ended(self, waited_s: float, delay_s: float) -> None:
        """Take note that a process ended, *waited_s* after it was told to wait for *delay_s*."""
        if waited_s < delay_s - _EARLY_S:
            self._is_needed = True

    def is_over(self) -> None:
        """Begin anew: one has come to serve."""
        self._is_needed = False

    def hold(self, pid: int, delay_s: float) -> None:
        """Stop the process *pid* for *delay_s*, where processes of its kind do not wait."""
        if not self._is_needed or delay_s <= 0:
            return
        started = beat.started(pid)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
            self._loop.call_later(delay_s, lambda: self._let_go(pid, started))

    def _let_go(self, pid: int, started: int | None) -> None:
        with suppress(ProcessLookupError):
            if beat.started(pid) == started:
                os.kill(pid, signal.SIGCONT)
