"""Take connections from the listening socket, as many as there is room for.

Rules: nothing here waits; only a few are taken before the loop attends to those that are being
served; no lack of handles or memory makes it spin; when all places are taken, who asks next gets
the place of who is silent, and only where nobody is does he wait.
"""

import errno
import os
import socket

# The plain class: what gevent puts in its place has a wait in each of its methods.
from _socket import socket as raw_socket
from collections.abc import Callable
from contextlib import suppress
from io import FileIO
from time import monotonic
from typing import TYPE_CHECKING, Any

from hospital.logs import get_logger
from hospital.serving import limits
from hospital.serving.connection import Connection

if TYPE_CHECKING:
    from hospital.serving.backend import Server

logger = get_logger("hospital.serving")

_SHARED_BATCH = 2
"""Where others listen on the same socket they get their share of a wave."""
_BATCH = 8
_MOST_AT_THE_END = 4096
_READABLE = 1
_LACKING_S = 0.1
_ASKED_AGAIN_S = 0.02
"""After this somebody may have been silent for long enough to make room."""
_SAID_AGAIN_S = 60.0
_SPARES = 4
_MOST_ASKED = 8
_PASSING = frozenset({errno.ECONNABORTED, errno.EPROTO, errno.EINTR, errno.EPERM})
"""What concerns one client alone."""


class Acceptor:
    """Takes the connections of *server* from a socket.

    Args:
        listener: The socket; this takes its descriptor over.
        server: Whose connections they are.
        shared: Whether other processes take connections from the same socket.
        remove: Called before the socket is closed: removes its file, where it has one.
    """

    def __init__(
        self,
        listener: socket.socket,
        server: "Server",
        *,
        shared: bool,
        remove: Callable[[], object] | None = None,
    ) -> None:
        self._family, self._proto = listener.family, listener.proto
        if self._family != socket.AF_UNIX:  # what is accepted has it too: no call for each
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._listener = raw_socket(fileno=listener.detach())
        self._listener.setblocking(False)  # noqa: FBT003 - its only parameter
        self._server = server
        self._remove = remove
        self._batch = _SHARED_BATCH if shared else _BATCH
        self._held = 0
        self._room = 1
        self._again: Any = None
        self._spare: list[FileIO] = []
        self._told_at = float("-inf")
        self._untold = 0
        self._watcher: Any = None

    def start(self) -> None:
        """Begin to take connections."""
        self._spare = _spare_handles()
        self._held = limits.open_handles()
        self.look_at_limits()
        self._watcher = self._server.loop.io(self._listener.fileno(), _READABLE)
        self._watcher.start(self._take_some)

    def look_at_limits(self) -> None:
        """Find out how many connections there is room for now."""
        self._room = limits.room(self._server.limits.max_connections, self._held)

    def somebody_can_go(self) -> None:
        """Go on if it paused: a connection ended, or has nothing to do, or time has passed."""
        if self._again is None:
            return
        self._again.close()
        self._again = None
        if self._watcher is not None:
            self._watcher.start(self._take_some)

    def take_the_last(self) -> None:
        """Take all who wait, since they came in time, and then nobody more; called by the loop."""
        for _ in range(_MOST_AT_THE_END):
            if len(self._server.crowd) >= self._room or not self._take():
                break
        self.close()

    def close(self) -> None:
        """Let go of the socket."""
        if self._watcher is not None:
            self._watcher.close()
            self._watcher = None
        self.somebody_can_go()
        if self._remove is not None:  # before it is closed: nobody else listens there yet
            self._remove()
            self._remove = None
        self._listener.close()

    def _take_some(self) -> None:
        crowd = self._server.crowd
        for _ in range(self._batch):
            if len(crowd) >= self._room and crowd.who_goes_first(monotonic()) is None:
                self._pause(_ASKED_AGAIN_S)
                return
            if not self._take():
                return

    def _take(self) -> bool:
        """Take one connection, and return whether there may be another."""
        try:
            number, address = self._listener._accept()  # type: ignore[attr-defined]  # noqa: SLF001 - as the socket module does
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno in _PASSING:
                return True
            self._do_without(error)
            return False
        raw = raw_socket(self._family, socket.SOCK_STREAM, self._proto, number)
        raw.setblocking(False)  # noqa: FBT003 - its only parameter
        if len(self._server.crowd) >= self._room and self._evict():
            self._tell("connections_full", limit=self._room)
        Connection(raw, address, self._server).read()
        return True

    def _do_without(self, error: OSError) -> None:
        """Make room, since the system has no handle or no memory left, or wait for a moment."""
        if not self._evict():
            self._pause(_LACKING_S)
        for each in self._spare:  # what writes the log may open files for its first line
            each.close()
        self._tell("handles_exhausted", reason=str(error.strerror))
        self._spare = _spare_handles()

    def _evict(self) -> bool:
        """Have one connection make room; whose request has just arrived stays, the next goes."""
        for _ in range(_MOST_ASKED):
            victim = self._server.crowd.who_goes_first(monotonic())
            if victim is None:
                return False
            if victim.give_way():
                self._untold += 1
                self._server.recorder.evicted()
                return True
        return False

    def _tell(self, event: str, **fields: Any) -> None:
        now = monotonic()
        if now - self._told_at >= _SAID_AGAIN_S:
            logger.warning(
                event, connections=len(self._server.crowd), evicted=self._untold, **fields
            )
            self._told_at = now
            self._untold = 0

    def _pause(self, seconds: float) -> None:
        if self._watcher is not None:
            self._watcher.stop()
            self._again = self._server.loop.timer(seconds)
            self._again.start(self.somebody_can_go)


def _spare_handles() -> list[FileIO]:
    """Return handles that are given up when there are no others.

    As files, which are closed at once: gevent's ``os.close`` puts it off.
    """
    taken: list[FileIO] = []
    with suppress(OSError):
        taken.extend(FileIO(os.devnull) for _ in range(_SPARES))
    return taken
