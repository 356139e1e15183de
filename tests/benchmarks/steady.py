"""Ask at a steady rate: ``python -m tests.benchmarks.steady HOST PORT …`` prints quantiles.

Each answer is timed from when its request was due, so that one that is late makes those behind it
late too, as it does for clients who do not wait for each other.
"""

import argparse
import gc
import json
import socket
import time

_REQUEST = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"


def main() -> None:
    """Ask, and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("--per-s", type=float, default=200.0)
    parser.add_argument("--seconds", type=float, default=10.0)
    options = parser.parse_args()
    gc.disable()
    took_ms = []
    failed = 0
    connection = socket.create_connection((options.host, options.port), timeout=10)
    began = time.monotonic()
    for number in range(int(options.per_s * options.seconds)):
        due = began + number / options.per_s
        ahead_s = due - time.monotonic()
        if ahead_s > 0:
            time.sleep(ahead_s)
        connection.sendall(_REQUEST)
        failed += not _read(connection).startswith(b"HTTP/1.1 200 ")
        took_ms.append((time.monotonic() - due) * 1000)
    took_ms.sort()
    told = {
        "requests": len(took_ms),
        "failed": failed,
        "p50_ms": took_ms[len(took_ms) // 2],
        "p99_ms": took_ms[int(len(took_ms) * 0.99)],
        "max_ms": took_ms[-1],
    }
    print(json.dumps(told))


def _read(connection: socket.socket) -> bytes:
    """Return one whole answer."""
    received = b""
    wanted = 0
    while not wanted or len(received) < wanted:
        chunk = connection.recv(65_536)
        if not chunk:
            raise ConnectionError("the connection ended")
        received += chunk
        head, separator, _ = received.partition(b"\r\n\r\n")
        if separator:
            length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
            wanted = len(head) + 4 + int(length)
    return received


if __name__ == "__main__":
    main()
