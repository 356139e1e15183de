"""Healthy clients: one request, a probe that goes on, and wrk."""

import re
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException

from tests.faults.beside import Beside

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, and how long that took."""

    status: int
    body: bytes
    took_s: float


def ask(address: Address, path: str = "/", *, timeout_s: float = 20.0) -> Answer | None:
    """Return the answer to a GET on a connection of its own; None where none came."""
    began = time.monotonic()
    with closing(HTTPConnection(*address, timeout=timeout_s)) as connection:
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return Answer(response.status, response.read(), time.monotonic() - began)
        except (OSError, HTTPException):
            return None


def exchange(address: Address, request: bytes, *, timeout_s: float = 10.0) -> bytes:
    """Return all that comes back for *request*, which may be refused before it is all sent."""
    received = b""
    with closing(socket.create_connection(address, timeout=timeout_s)) as connection:
        with suppress(OSError):
            connection.sendall(request)
        with suppress(OSError):
            while chunk := connection.recv(65_536):
                received += chunk
    return received


class Probes(Beside):
    """Ask again and again, each time on a connection of its own, as a load balancer does.

    Attributes:
        took_s: Seconds of each answer.
        failed: How many had none, or not the status 200.
    """

    def __init__(self, address: Address, *, pause_s: float = 0.05, timeout_s: float = 5.0) -> None:
        super().__init__(pause_s)
        self._address = address
        self._timeout_s = timeout_s
        self.took_s: list[float] = []
        self.failed = 0

    def look(self) -> None:
        """Ask once."""
        answer = ask(self._address, timeout_s=self._timeout_s)
        if answer is None or answer.status != 200:
            self.failed += 1
        else:
            self.took_s.append(answer.took_s)

    @property
    def slowest_s(self) -> float:
        """Seconds of the slowest answer; that of a probe that failed is without end."""
        if self.failed or not self.took_s:
            return float("inf")
        return max(self.took_s)


@dataclass(frozen=True, slots=True)
class Load:
    """What wrk says at its end.

    Attributes:
        requests: Requests that were answered.
        failed: Those that were not, or not with a 2xx or 3xx.
        per_s: Requests a second.
        p99_ms: What 99 of 100 took at most.
        complaint: What wrk says of those that failed.
    """

    requests: int
    failed: int
    per_s: float
    p99_ms: float
    complaint: str


_UNITS_MS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}


def read_wrk(text: str) -> Load:
    """Return what the output of ``wrk --latency`` says."""
    requests = re.search(r"(\d+) requests in", text)
    p99 = re.search(r"99%\s+([\d.]+)(us|ms|s|m)\b", text)
    per_s = re.search(r"Requests/sec:\s+([\d.]+)", text)
    if requests is None or p99 is None or per_s is None:
        raise RuntimeError(f"wrk says: {text}")
    complaints = re.findall(r"(?:Socket errors|Non-2xx or 3xx responses): .*", text)
    failed = sum(
        map(int, re.findall(r"\d+", " ".join(complaints).replace("2xx", "").replace("3xx", "")))
    )
    return Load(
        requests=int(requests[1]),
        failed=failed,
        per_s=float(per_s[1]),
        p99_ms=float(p99[1]) * _UNITS_MS[p99[2]],
        complaint=" · ".join(complaints),
    )


@dataclass
class Wrk:
    """wrk under way; it counts what fails."""

    address: Address
    seconds: float
    connections: int = 16
    close: bool = False
    path: str = "/"
    prefix: Sequence[str] = ()
    process: "subprocess.Popen[str]" = field(init=False)

    def __post_init__(self) -> None:
        host, port = self.address
        self.process = subprocess.Popen(
            [
                *self.prefix,
                *("wrk", "--latency", "--threads", "1", "--timeout", "10s"),
                *("--connections", str(self.connections), "--duration", f"{self.seconds:.0f}s"),
                *(("--header", "Connection: close") if self.close else ()),
                f"http://{host}:{port}{self.path}",
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def is_running(self) -> bool:
        """Tell whether it is still under way."""
        return self.process.poll() is None

    def result(self, *, early: bool = False) -> Load:
        """Return what it says at its end; *early* ends it now."""
        if early:
            self.process.send_signal(signal.SIGINT)
        out, _ = self.process.communicate(timeout=self.seconds + 30)
        return read_wrk(out)
