"""Hand log lines to a thread that writes them, so that no reader can stop the service.

Rules: ``put`` never blocks and never raises; a line is written whole or not at all; each line
that is dropped is counted, and the count is written before the next line that is not. All of it
holds where gevent has patched the process: there the thread is a greenlet, so it may not wait in
the kernel either, and every write is one that cannot block.
"""

import atexit
import errno
import os
import queue
import select
import stat
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from typing import Protocol

LONGEST_QUEUE = 4000
_CROWDED = LONGEST_QUEUE // 4
_LONG_LINE_BYTES = 2048
_FLUSH_TIMEOUT_S = 2.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.005, 0.1
_PASSING = frozenset({errno.EAGAIN, errno.EINTR, errno.ENOSPC, errno.EDQUOT, errno.EIO})


class QueuedWriter:
    """A bounded queue of lines, and the thread that writes them to a descriptor.

    Args:
        fd: Where to write; a descriptor of its own is taken, so that what becomes of *fd*
            later does not matter. One that is not open makes a writer that drops everything.
        describe_drops: Returns the line that says how many lines were dropped.
    """

    def __init__(self, fd: int, describe_drops: Callable[[int], bytes]) -> None:
        self._describe_drops = describe_drops
        self._drops = count()
        self._drops_read = 0
        self._drops_told = 0
        self._sender: Sender | None = None
        with suppress(OSError):  # else there is nowhere to write to, and nobody to tell
            self._sender = open_sender(fd)
        self._begin()
        atexit.register(self.flush)

    def _begin(self) -> None:
        # SimpleQueue is the one that a signal handler or a finalizer may put to at any moment.
        self._pid = os.getpid()
        self._queue: queue.SimpleQueue[bytes | threading.Event] = queue.SimpleQueue()
        threading.Thread(target=self._write_on, name="hospital-logs", daemon=True).start()

    def put(self, line: bytes) -> None:
        """Queue *line*, which ends in a line feed; drop it where the queue is full.

        Long lines are dropped when a quarter is full, which bounds the memory too.
        """
        try:
            if self._pid != os.getpid():
                self._begin()  # in a forked child: what was queued is for the parent to write
            waiting = self._queue.qsize()
            full = waiting >= LONGEST_QUEUE
            crowded = waiting >= _CROWDED and len(line) > _LONG_LINE_BYTES
            if full or crowded or self._sender is None:
                next(self._drops)  # atomic, so that no drop goes uncounted
            else:
                self._queue.put(line)
        except Exception:  # noqa: BLE001 - logging does not harm its caller
            next(self._drops)

    def flush(self, timeout_s: float = _FLUSH_TIMEOUT_S) -> bool:
        """Wait until what is queued is written, *timeout_s* at most; return whether it is."""
        if self._pid != os.getpid():
            return True
        written = threading.Event()
        self._queue.put(written)
        return written.wait(timeout_s)

    def close(self) -> None:
        """Write what is queued, within the bound of :meth:`flush`, and take nothing more."""
        atexit.unregister(self.flush)
        self.flush()
        sender, self._sender = self._sender, None
        self._queue.put(b"")
        if sender is not None:
            sender.close()

    def _write_on(self) -> None:
        mine = self._queue
        while item := mine.get():
            self._tell_drops()
            if isinstance(item, threading.Event):
                item.set()
            else:
                self._write(item)

    def _tell_drops(self) -> None:
        dropped = next(self._drops) - self._drops_read  # reading the counter counts too
        self._drops_read += 1
        if dropped != self._drops_told:
            self._write(self._describe_drops(dropped - self._drops_told))
            self._drops_told = dropped

    def _write(self, line: bytes) -> None:
        pause_s = _FIRST_PAUSE_S
        while line and (sender := self._sender) is not None:
            try:
                line = line[sender.send(line) :]
                pause_s = _FIRST_PAUSE_S
            except OSError as error:
                if error.errno not in _PASSING:
                    self._sender = None  # the reader is gone, and with it whom to tell
                    return
                time.sleep(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


class Sender(Protocol):
    """Writes at once, or raises BlockingIOError."""

    def send(self, line: bytes) -> int:
        """Write the beginning of *line*; return how many bytes."""

    def close(self) -> None:
        """Let go of the descriptor."""


def open_sender(fd: int) -> Sender:
    """Return what writes to *fd* without ever waiting.

    ``O_NONBLOCK`` on *fd* itself would belong to everybody who shares it, the shell that
    started us included. So a pipe or terminal is opened a second time, and a socket is asked
    for each message not to wait. What may not be opened, since it belongs to another user, is
    asked whether it has room; that can be wrong of a terminal, and of a pipe with more writers.

    Raises:
        OSError: If *fd* is not open.
    """
    mode = os.fstat(fd).st_mode
    if stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
        try:
            flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
            return _Direct(os.open(f"/proc/self/fd/{fd}", flags))
        except OSError:
            return _Asking(os.dup(fd))
    if stat.S_ISSOCK(mode):
        return _Socket(os.dup(fd))
    return _Direct(os.dup(fd))


class _Direct:
    def __init__(self, fd: int) -> None:
        self._fd = fd

    def send(self, line: bytes) -> int:
        return os.write(self._fd, line)

    def close(self) -> None:
        os.close(self._fd)


class _Asking(_Direct):
    def __init__(self, fd: int) -> None:
        super().__init__(fd)
        self._poll = select.poll()
        self._poll.register(fd, select.POLLOUT)

    def send(self, line: bytes) -> int:
        if not self._poll.poll(0):
            raise BlockingIOError(errno.EAGAIN, "the reader does not read")
        return super().send(line[: select.PIPE_BUF])


class _Socket:
    def __init__(self, fd: int) -> None:
        import _socket  # gevent's own sockets set O_NONBLOCK

        self._socket = _socket.socket(fileno=fd)
        self._flags = _socket.MSG_DONTWAIT | _socket.MSG_NOSIGNAL

    def send(self, line: bytes) -> int:
        return self._socket.send(line, self._flags)

    def close(self) -> None:
        self._socket.close()
