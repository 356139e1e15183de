"""Clients that check every answer: ``python -m tests.soak.client HOST PORT …``.

They ask at a steady rate until standard input ends, and then print what happened as one line of
JSON. Times are of the clock that all processes of a machine share.

Rule: a connection that was closed while it was idle is no loss, for no request was on it. A
request whose kept connection is closed under it, before a byte came back, is sent once more on a
new one, as RFC 9110 (9.2.2) lets a client do; it is told apart, since that may happen only where
connections had to make room or a worker was killed.
"""

import argparse
import json
import select
import socket
import sys
import threading
import time
from dataclasses import asdict, dataclass, field

TIMEOUT_S = 15.0
_LONGEST_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class Failure:
    """A request that was not answered, or not as it should be.

    Attributes:
        began_s: When it was sent.
        ended_s: When that was known.
        worker: Who had the connection, where that is known.
        is_new: Whether the connection was made for it.
        reason: What came instead.
        again: Whether it was answered when it was sent once more.
    """

    began_s: float
    ended_s: float
    worker: int
    is_new: bool
    reason: str
    again: bool = False


@dataclass
class Tally:
    """What happened."""

    requests: int = 0
    took_ms: list[float] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, took_s: float, failure: Failure | None) -> None:
        """Count a request."""
        with self.lock:
            self.requests += 1
            self.took_ms.append(took_s * 1000)
            if failure is not None:
                self.failures.append(failure)


class WrongAnswerError(Exception):
    """What came back is no answer that hospital would give."""


class Client:
    """One client, in a thread of its own."""

    def __init__(self, address: tuple[str, int], tally: Tally, *, keeps: bool) -> None:
        self._address = address
        self._tally = tally
        self._keeps = keeps
        self._connection: socket.socket | None = None
        self._worker = 0
        how = "keep-alive" if keeps else "close"
        self._request = f"GET / HTTP/1.1\r\nHost: test\r\nConnection: {how}\r\n\r\n".encode()

    def run(self, pause_s: float, over: threading.Event) -> None:
        """Ask each *pause_s* until it is *over*."""
        due = time.monotonic()
        while not over.wait(max(0.0, due - time.monotonic())):
            due = max(due + pause_s, time.monotonic())
            began = time.monotonic()
            failure = self._ask(began)
            if failure is not None and not failure.is_new:
                again = self._ask(time.monotonic())
                if again is None:
                    failure = Failure(**{**asdict(failure), "again": True})
            self._tally.note(time.monotonic() - began, failure)
        self._hang_up()

    def _ask(self, began: float) -> Failure | None:
        is_new = not self._is_open()
        worker = 0 if is_new else self._worker
        try:
            if is_new:
                self._connection = socket.create_connection(self._address, timeout=TIMEOUT_S)
            self._exchange()
        except (OSError, WrongAnswerError, ValueError) as error:
            self._hang_up()
            reason = f"{type(error).__name__}: {error}"[:200]
            return Failure(began, time.monotonic(), worker, is_new, reason)
        return None

    def _is_open(self) -> bool:
        """Tell whether the kept connection still stands; who closed it did so while it was idle."""
        if self._connection is None:
            return False
        if select.select([self._connection], [], [], 0)[0]:
            self._hang_up()
            return False
        return True

    def _exchange(self) -> None:
        if self._connection is None:
            raise WrongAnswerError("there is no connection")
        self._connection.sendall(self._request)
        head, body = self._read(self._connection)
        lines = head.decode("latin-1").split("\r\n")
        if not lines[0].startswith("HTTP/1.1 200 "):
            raise WrongAnswerError(f"{lines[0]} {body[:100]!r}")
        fields = {
            name.lower(): value.strip() for name, _, value in (x.partition(":") for x in lines[1:])
        }
        if json.loads(body)["status"] != "pass":
            raise WrongAnswerError(f"it is not green: {body[:100]!r}")
        self._worker = int(fields["x-worker"])
        if not self._keeps or fields.get("connection") == "close":
            self._hang_up()

    def _read(self, connection: socket.socket) -> tuple[bytes, bytes]:
        """Return head and body of one answer, and see that there is nothing behind it."""
        received = b""
        wanted = _LONGEST_BYTES
        while len(received) < wanted:
            chunk = connection.recv(65_536)
            if not chunk:
                raise ConnectionError(f"the connection ended after {len(received)} bytes")
            received += chunk
            head, separator, _ = received.partition(b"\r\n\r\n")
            if separator and wanted == _LONGEST_BYTES:
                length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
                wanted = len(head) + 4 + int(length)
        if len(received) != wanted:
            raise WrongAnswerError(f"{len(received) - wanted} bytes too many")
        head, _, body = received.partition(b"\r\n\r\n")
        return head, body

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None


def main() -> None:
    """Ask until standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("--clients", type=int, default=4, help="of each of the two kinds")
    parser.add_argument("--per-s", type=float, default=200.0, help="requests a second, of all")
    options = parser.parse_args()
    tally, over = Tally(), threading.Event()
    clients = [
        Client((options.host, options.port), tally, keeps=keeps)
        for keeps in (True, False)
        for _ in range(options.clients)
    ]
    pause_s = len(clients) / options.per_s
    threads = [threading.Thread(target=each.run, args=(pause_s, over)) for each in clients]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    over.set()
    for thread in threads:
        thread.join()
    took_ms = sorted(tally.took_ms)
    told = {
        "requests": tally.requests,
        "p50_ms": took_ms[len(took_ms) // 2],
        "p99_ms": took_ms[int(len(took_ms) * 0.99)],
        "max_ms": took_ms[-1],
        "failures": [asdict(each) for each in tally.failures],
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
