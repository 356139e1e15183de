"""Many clients that behave badly, in one process: ``python -m tests.faults.crowd KIND …``.

They stay until standard input ends. Each line of standard input is answered with a line of JSON
on standard output, which says how they fare.
"""

import argparse
import json
import os
import resource
import select
import socket
import statistics
import struct
import sys
import time
from collections import Counter
from dataclasses import dataclass, field

_GET = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"
_NONE = b"GET /none HTTP/1.1\r\nHost: test\r\n\r\n"
_LAST = b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"
_OPEN_HEAD = b"GET / HTTP/1.1\r\nHost: test\r\n"
_FIELD = b"X-Filler: 0123456789012345678901234567890123456789\r\n"
_CHUNKED = b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n"
_CHUNK = b"1000\r\n" + b"x" * 4096 + b"\r\n"
_DRIP_S = 1.0
_TICK_S = 0.05
_SMALL_BUFFER_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Kind:
    """How such a client behaves.

    Attributes:
        first: What it sends when it is connected.
        drip: What it sends then, a byte a second, again from the start at its end.
        flood: What it sends then, again and again, as fast as it is taken.
        reads: Whether it reads what comes back; a byte a second with ``sips``.
        sips: See ``reads``.
        resets: Whether it resets the connection at once and comes again.
    """

    first: bytes = b""
    drip: bytes = b""
    flood: bytes = b""
    reads: bool = True
    sips: bool = False
    resets: bool = False


KINDS = {
    "ask": Kind(first=_LAST),
    "idle": Kind(),
    "kept": Kind(first=_NONE),
    "slow-head": Kind(first=_OPEN_HEAD, drip=_FIELD),
    "slow-body": Kind(
        first=b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 60000\r\n\r\n", drip=b"x"
    ),
    "endless-head": Kind(first=_OPEN_HEAD, flood=_FIELD * 20),
    "endless-line": Kind(first=b"GET /", flood=b"x" * 4096),
    "endless-body": Kind(first=_CHUNKED, flood=_CHUNK),
    "deaf": Kind(first=_GET, flood=_GET * 20, reads=False),
    "sip": Kind(first=_GET, flood=_GET * 20, reads=False, sips=True),
    "reset": Kind(first=_GET, resets=True),
}


@dataclass(slots=True)
class Visitor:
    """One client."""

    sock: socket.socket
    came_s: float
    left_s: float = 0.0
    dripped: int = 0
    to_send: bytes = b""
    connected: bool = False
    received: bytes = b""


@dataclass
class Crowd:
    """All of them.

    Attributes:
        visits: How many have come; those that reset come more than once.
    """

    kind: Kind
    address: tuple[str, int]
    number: int
    per_s: float
    epoll: select.epoll = field(default_factory=select.epoll)
    inside: dict[int, Visitor] = field(default_factory=dict)
    stays_s: list[float] = field(default_factory=list)
    statuses: "Counter[str]" = field(default_factory=Counter)
    visits: int = 0
    refused: int = 0

    def come(self, began_s: float) -> None:
        """Let those come in whose time it is."""
        due = min(self.number, int((time.monotonic() - began_s) * self.per_s) + 1)
        for _ in range(200):
            if self.visits >= due:
                return
            self._enter()

    def _enter(self) -> None:
        sock = socket.socket()
        sock.setblocking(False)  # noqa: FBT003 - its only parameter
        if not self.kind.reads:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL_BUFFER_BYTES)
        sock.connect_ex(self.address)
        self.inside[sock.fileno()] = Visitor(sock, time.monotonic(), to_send=self.kind.first)
        self.epoll.register(sock.fileno(), self._wishes(writing=True))
        self.visits += 1

    def _wishes(self, *, writing: bool) -> int:
        wishes = select.EPOLLRDHUP
        if self.kind.reads:
            wishes |= select.EPOLLIN
        if writing:
            wishes |= select.EPOLLOUT
        return wishes

    def attend(self) -> None:
        """Do what the sockets are ready for."""
        for number, events in self.epoll.poll(_TICK_S):
            visitor = self.inside.get(number)
            if visitor is None:
                continue
            try:
                self._serve(visitor, events)
            except OSError:
                self._leave(visitor)

    def _serve(self, visitor: Visitor, events: int) -> None:
        if events & select.EPOLLIN:
            chunk = visitor.sock.recv(65_536)
            if not visitor.received:
                self.statuses[chunk[9:12].decode("latin-1")] += bool(chunk)
            visitor.received += chunk[: 64 - len(visitor.received)]
            if not chunk:
                self._leave(visitor)
                return
        elif events & (select.EPOLLERR | select.EPOLLHUP | select.EPOLLRDHUP):
            self._leave(visitor)
            return
        if events & select.EPOLLOUT:
            self._send(visitor)

    def _send(self, visitor: Visitor) -> None:
        visitor.connected = True
        if visitor.to_send:
            sent = visitor.sock.send(visitor.to_send)
            visitor.to_send = visitor.to_send[sent:]
        if self.kind.resets:
            # A linger of 0 s: the kernel sends a reset in place of the end.
            visitor.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._leave(visitor)
        elif not visitor.to_send:
            visitor.to_send = self.kind.flood
            if not self.kind.flood:
                self.epoll.modify(visitor.sock.fileno(), self._wishes(writing=False))

    def drip(self) -> None:
        """Let each send its next byte, or read one."""
        for visitor in list(self.inside.values()):
            if not visitor.connected:
                continue
            try:
                if self.kind.sips:
                    visitor.sock.recv(1)
                if self.kind.drip:
                    at = visitor.dripped % len(self.kind.drip)
                    visitor.dripped += visitor.sock.send(self.kind.drip[at : at + 1])
            except BlockingIOError:
                pass
            except OSError:
                self._leave(visitor)

    def _leave(self, visitor: Visitor) -> None:
        number = visitor.sock.fileno()
        if number < 0:
            return
        self.refused += not visitor.connected
        self.stays_s.append(time.monotonic() - visitor.came_s)
        self.epoll.unregister(number)
        visitor.sock.close()
        del self.inside[number]

    def report(self) -> str:
        """Return how they fare, as JSON."""
        return json.dumps(
            {
                "visits": self.visits,
                "inside": sum(each.connected for each in self.inside.values()),
                "outside": sum(not each.connected for each in self.inside.values()),
                "left": len(self.stays_s),
                "refused": self.refused,
                "longest_s": max(self.stays_s, default=0.0),
                "median_s": statistics.median(self.stays_s) if self.stays_s else 0.0,
                "statuses": dict(self.statuses),
            }
        )


def main() -> None:
    """Be the crowd until standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("--number", type=int, default=100)
    parser.add_argument("--per-s", type=float, default=1e9)
    options = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    crowd = Crowd(KINDS[options.kind], (options.host, options.port), options.number, options.per_s)
    began_s = dripped_s = time.monotonic()
    os.set_blocking(0, False)
    while True:
        crowd.come(began_s)
        crowd.attend()
        if time.monotonic() - dripped_s > _DRIP_S:
            dripped_s += _DRIP_S
            crowd.drip()
        try:
            line = os.read(0, 4096)
        except BlockingIOError:
            continue
        if not line:
            return
        sys.stdout.write(crowd.report() + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
