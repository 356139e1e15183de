"""One connection: what the client sends becomes requests, what is answered goes out.

Rules: what the event loop calls never waits; only ``send`` does, in the greenlet of an exchange,
and not for longer than the client may keep an answer waiting. While a request is being answered
nothing more is read, so that memory is bounded by one request. After each request every other
connection has its turn.
"""

import socket
import struct
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any

import gevent

from hospital.logs import get_logger
from hospital.serving import heads
from hospital.serving.exchange import Exchange
from hospital.serving.heads import BegunHead, Head, Refusal
from hospital.serving.response import refusal_bytes

if TYPE_CHECKING:
    import _socket

    from hospital.serving.backend import Server

logger = get_logger("hospital.serving")

LONGEST_BODY_BYTES = 65_536
NEVER = float("inf")
_READ_BYTES = 16_384
LINGER_S = 0.5
"""How long the end waits for a request that may be on its way, and for an answer to be read."""
_LEAVE_S = 2.0
_MOST_IGNORED_BYTES = 1_048_576
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_READABLE = 1
_WRITABLE = 2
_SHUT_WR = 1
_RESET_AT_CLOSE = struct.pack("ii", 1, 0)


class StalledError(OSError):
    """The client kept its answer waiting for too long."""


class Connection:
    """A client, from being accepted to the end.

    Attributes:
        address: Of the client; empty for a unix socket's peer.
        place: Where it stands in the crowd; None once it is closed.
        since: When it came to this place, in seconds of ``time.monotonic()``.
        deadline: When it has to be out of there.
    """

    __slots__ = (
        *("_begun", "_buffer", "_head", "_ignored", "_patience_s", "_server", "_socket"),
        *("_watcher", "_writer", "address", "deadline", "place", "since"),
    )

    def __init__(self, raw: "_socket.socket", address: Any, server: "Server") -> None:
        self._socket = raw
        self._server = server
        self._buffer = b""
        self._begun: BegunHead | None = None
        self._head: Head | None = None
        self._ignored = 0
        self._patience_s = 0.0
        self._watcher: Any = None
        self._writer: Any = None
        self.address = address
        self.place: dict[Any, None] | None = server.crowd.fresh
        self.place[self] = None
        self.since = monotonic()
        self.deadline = self.since + server.limits.head_timeout_s

    def read(self) -> None:
        """Take what has arrived, and answer if that is a request; called by the loop."""
        try:
            data = self._socket.recv(_READ_BYTES)
        except BlockingIOError:
            self._wait()
            return
        except OSError:  # the client went away, and nobody is left to be told
            self.close()
            return
        if not data:
            self.close()
        elif self.place is self._server.crowd.leaving:
            self._ignored += len(data)
            if self._ignored > _MOST_IGNORED_BYTES:
                self.close()
        else:
            self._buffer = self._buffer + data if self._buffer else data
            self.go_on()

    def go_on(self) -> None:
        """Answer the next request if it is there, else wait for the rest; called by the loop."""
        try:
            ready = self._take_request()
        except Refusal as refusal:
            self._refuse(refusal)
        except Exception:  # the loop would print it, and forget the connection
            logger.exception("request_failed")
            self.close()
        else:
            if ready is None:
                self._wait()
                return
            self._head = None
            self._move(self._server.crowd.busy, NEVER)
            self._patience_s = self._server.limits.stall_timeout_s
            self._server.crew.answer(Exchange(self, self._server, *ready))
            if self.place is self._server.crowd.busy and self._watcher is not None:
                self._watcher.stop()

    def give_way(self) -> bool:
        """Close a connection that is not being answered, and return whether it is closed.

        What has arrived is read first: it may be a request, or the rest of one. Called by the loop.
        """
        crowd, place, since = self._server.crowd, self.place, self.since
        if place is crowd.fresh or place is crowd.kept or place is crowd.begun:
            known = -1
            while self.place is place and self.since == since and len(self._buffer) != known:
                known = len(self._buffer)
                self.read()
            if self.place is not place or self.since != since:
                return self.place is None
        self.close()
        return True

    def time_over(self) -> None:
        """End what takes too long; called by the loop."""
        if self._writer is not None:
            self._writer.throw(StalledError("the client does not read"))
        else:
            self.give_way()

    def send(self, data: bytes) -> None:
        """Send all of *data*, waiting while the client does not read.

        Raises:
            OSError: If the client went away, or did not read for too long.
        """
        try:
            sent = self._socket.send(data)
        except BlockingIOError:
            sent = 0
        if sent < len(data):
            self._send_slowly(memoryview(data)[sent:])

    def _send_slowly(self, rest: memoryview) -> None:
        # The patience is for the whole answer: a byte now and then does not extend it. The time
        # in which the application makes the next part does not count.
        began = monotonic()
        self.deadline = began + self._patience_s
        hub = gevent.get_hub()
        self._writer = gevent.getcurrent()
        watcher = hub.loop.io(self._socket.fileno(), _WRITABLE)
        try:
            while rest:
                hub.wait(watcher)
                with suppress(BlockingIOError):
                    rest = rest[self._socket.send(rest) :]
        finally:
            watcher.close()
            self._writer = None
            self.deadline = NEVER
            self._patience_s -= monotonic() - began

    def answered(self, *, keep: bool, asked: bool) -> None:
        """Have the next request, or the end.

        Args:
            keep: Whether another request may follow.
            asked: Whether the client asked for the end, and so sends nothing more.
        """
        if self.place is None:
            return  # it was cut meanwhile
        if keep:
            server = self._server
            if self._buffer:
                self._move(server.crowd.queued, NEVER)
                if self._watcher is not None:
                    self._watcher.stop()
                server.take_turns(self)
            else:
                self._rest()
        elif asked and not self._buffer:
            self.close()
        else:
            self._leave()

    def _rest(self) -> None:
        """Be kept for the next request."""
        server = self._server
        seconds = LINGER_S if server.draining else server.limits.idle_timeout_s
        self._move(server.crowd.kept, seconds)
        self._wait()
        server.acceptor.somebody_can_go()

    def reset(self) -> None:
        """Let go of the client so that it learns that the answer is not whole."""
        if self.place is not None:
            with suppress(OSError):
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)
        self.close()

    def close(self) -> None:
        """Let go of the client at once, whatever it is doing."""
        if self.place is None:
            return
        del self.place[self]
        self.place = None
        if self._watcher is not None:
            self._watcher.close()
            self._watcher = None
        self._buffer = b""
        self._socket.close()
        self._server.acceptor.somebody_can_go()

    def _take_request(self) -> tuple[Head, bytes] | None:
        """Return the next request, or None while it is not all there."""
        head = self._head
        if head is None:
            buffer = self._buffer
            if buffer.startswith(b"\r\n"):  # some clients end a body with one: RFC 9112, 2.2
                self._buffer = buffer = buffer[2:]
                self._begun = None
            end = buffer.find(b"\r\n\r\n", 0 if self._begun is None else self._begun.last_line)
            if end < 0:
                self._begin(buffer)
                return None
            head = heads.read_head(buffer[:end])
            self._begun = None
            self._buffer = buffer[end + 4 :]
            if not head.body_bytes:
                return head, b""
            self._expect_body(head)
        if len(self._buffer) < head.body_bytes:
            return None
        body = self._buffer[: head.body_bytes]
        self._buffer = self._buffer[head.body_bytes :]
        return head, body

    def _begin(self, buffer: bytes) -> None:
        """Note that a head has begun, and how long the rest of it may take."""
        crowd = self._server.crowd
        if not buffer:
            if self.place is crowd.queued:
                self._rest()
            return
        if self._begun is None:
            self._begun = BegunHead()
        self._begun.check(buffer)
        if self.place is crowd.fresh:
            self._move(crowd.begun, self.deadline - monotonic())  # the time began with accepting
        elif self.place is not crowd.begun:
            self._move(crowd.begun, self._server.limits.head_timeout_s)

    def _expect_body(self, head: Head) -> None:
        self._head = head
        if head.body_bytes > LONGEST_BODY_BYTES:
            raise Refusal("413 Content Too Large", f"send at most {LONGEST_BODY_BYTES} bytes")
        self._move(self._server.crowd.begun, self._server.limits.head_timeout_s)
        if head.expects_continue and not self._buffer:
            with suppress(OSError):  # a client that does not get it sends the body all the same
                self._socket.send(_CONTINUE)

    def _refuse(self, refusal: Refusal) -> None:
        request_id = self._server.next_id()
        begun = self._buffer if self._head is None else self._head.method.encode() + b" "
        answer = refusal_bytes(refusal, request_id, with_body=not begun.startswith(b"HEAD "))
        with suppress(OSError):  # it went away, or does not read: it is not waited for
            self._socket.send(answer)
        self._leave()
        self._server.recorder.record(
            refusal.code, "", "", self.address, 0.0, len(answer), request_id
        )

    def _leave(self) -> None:
        """Close the connection so that the client can still read the last answer.

        What lies unread at a close would reset the connection: so the rest is read, for a while.
        """
        self._buffer = b""
        self._move(self._server.crowd.leaving, LINGER_S if self._server.draining else _LEAVE_S)
        try:
            self._socket.shutdown(_SHUT_WR)
        except OSError:  # the client was faster
            self.close()
        else:
            self._wait()

    def _move(self, place: dict[Any, None], seconds: float) -> None:
        """Go to another place of the crowd, for so many seconds at most."""
        del self.place[self]  # type: ignore[union-attr]  # who is closed moves no more
        self.place = place
        place[self] = None
        self.since = now = monotonic()
        self.deadline = now + seconds

    def _wait(self) -> None:
        """Have the loop call ``read`` when more arrives."""
        watcher = self._watcher
        if watcher is None:
            self._watcher = watcher = self._server.loop.io(self._socket.fileno(), _READABLE)
            watcher.start(self.read)
        elif not watcher.active:
            watcher.start(self.read)
