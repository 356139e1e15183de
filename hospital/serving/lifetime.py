"""When a serving process ends: with its parent, on a signal at any moment, and never late.

Rules: a signal before serving ends the process at once, for nothing is in flight; a signal while
serving starts the drain, whose end is bounded even if the application holds the loop.
"""

import os
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

CLOSE_S = 1.0
"""How long the application may take to close after the drain."""

ORPHAN_DRAIN_S = 0.8
ORPHAN_CLOSE_S = 0.2
"""The same for an orphan, a second in all: nobody is left who would wait for it."""

CIRCUSD_VARIABLE = "CIRCUSD_PID"
"""Set by our Circus hook, so that a worker can tell that circusd died before it looked."""

_PR_SET_PDEATHSIG = 1
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def leave_at_once_on_signals() -> None:
    """Let SIGTERM and SIGINT end the process with exit code 0, until a server takes them over.

    Not through an exception: an application may catch those while it is imported.
    """
    for each in _SIGNALS:
        signal.signal(each, lambda _number, _frame: os._exit(0))


class Lifetime:
    """Knows whose child this process is, and tells when it has become an orphan.

    Args:
        environ: What may tell the parent in ``CIRCUSD_PID``; else it is who is the parent now.
        circusd: The parent, where the caller knows it.

    >>> Lifetime().is_orphan(), Lifetime(circusd=os.getpid()).is_orphan()
    (False, True)
    """

    def __init__(self, environ: Mapping[str, str] = {}, *, circusd: int | None = None) -> None:
        told = environ.get(CIRCUSD_VARIABLE, "")
        self._parent = int(told) if told.isascii() and told.isdigit() else os.getppid()
        if circusd is not None:
            self._parent = circusd

    def is_orphan(self) -> bool:
        """Tell whether the parent is gone."""
        return os.getppid() != self._parent

    def end_with_parent(self) -> None:
        """Have SIGTERM sent to this process when its parent dies, however it dies.

        Linux only; elsewhere it does nothing. Ends the process where the parent is gone already.
        """
        if sys.platform != "linux":
            return
        import ctypes

        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
        if self.is_orphan():  # the parent died before the kernel was told
            os._exit(0)


def on_signals(begin: Callable[[int], None], wake: Callable[[], None]) -> Any:
    """Call *begin* with the number of each SIGTERM and SIGINT at once, and then *wake* in the loop.

    *begin* interrupts whatever Python code holds the loop. That the loop then wakes is the
    business of a pipe: a signal that comes just before it waits would else go unnoticed.

    Returns:
        What watches; it does so as long as somebody holds it.
    """
    import gevent

    reader, writer = os.pipe()
    for each in (reader, writer):
        os.set_blocking(each, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in _SIGNALS:
        signal.signal(number, lambda number, _frame: begin(number))
    watcher = gevent.get_hub().loop.io(reader, 1)

    def woken() -> None:
        with suppress(BlockingIOError):
            os.read(reader, 512)
        wake()

    watcher.start(woken)
    return watcher


def end_after(seconds: Callable[[], float]) -> None:
    """End the process with exit code 0 once *seconds* says that none is left.

    A native thread does it: an application that holds the loop cannot be asked from inside it.
    """
    from gevent import monkey

    sleep: Any = monkey.get_original("time", "sleep")
    start: Any = monkey.get_original("_thread", "start_new_thread")

    def watch() -> None:
        while (left := seconds()) > 0:
            sleep(min(left, 0.1))
        os._exit(0)

    start(watch, ())
