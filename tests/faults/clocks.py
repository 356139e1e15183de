"""A wall clock that jumps."""

import json
import time
from collections.abc import Iterator
from email import message_from_bytes
from email.utils import parsedate_to_datetime
from itertools import chain
from pathlib import Path

from tests.faults.asking import exchange
from tests.faults.bundle import Bundle
from tests.faults.figures import Fault, Figure, at_most, exactly, holds
from tests.faults.scene import Scene

FOLDERS = ("/usr/lib", "/usr/local/lib")
HOUR_S = 3600
TTL_S = 4

# Not a sleep: with libfaketime a sleep fails, since it is one until a time of a clock.
CHECKS = """
import socket

import hospital


@hospital.healthcheck
def counted():
    "It notes each of its runs."
    with open("runs", "a") as runs:
        runs.write(".")


@hospital.healthcheck(timeout=1)
def hangs():
    "It takes longer than it may."
    a, b = socket.socketpair()
    a.recv(1)
"""


def library() -> Path | None:
    """Return the file of libfaketime; None where it is not installed."""
    found = chain.from_iterable(Path(folder).rglob("libfaketimeMT.so.1") for folder in FOLDERS)
    return next(found, None)


def _offset_s(bundle: Bundle) -> float:
    """Return how far the clock of a worker is from that of this process."""
    request = b"GET /none HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"
    head = message_from_bytes(exchange(bundle.address, request).partition(b"\r\n")[2])
    return parsedate_to_datetime(str(head["Date"])).timestamp() - time.time()


def clock_jumps(scene: Scene) -> Iterator[Figure]:
    """The wall clock of the workers jumps by an hour, back and forth; the monotonic one not."""
    shim = library()
    if shim is None:
        yield holds("libfaketime", "missing: apt-get install faketime", ok=False)
        return
    bundle = scene.bundle()
    bundle.workers_at_once(1)
    bundle.checks("timed", CHECKS)
    bundle.watchdog(3)
    clock = bundle.folder / "clock"
    clock.write_text("+0")
    bundle.environment(
        LD_PRELOAD=str(shim),
        FAKETIME_TIMESTAMP_FILE=str(clock),
        FAKETIME_NO_CACHE="1",
        FAKETIME_DONT_FAKE_MONOTONIC="1",
        HOSPITAL_CACHE_TTL=str(TTL_S),
    )
    bundle.start(number=1)
    before = bundle.workers()
    bundle.ask()
    for offset in (HOUR_S, -HOUR_S, 0):
        runs = bundle.folder / "runs"
        done = len(runs.read_text())
        clock.write_text(f"{offset:+d}")
        last = None
        began = time.monotonic()
        while time.monotonic() - began < 2 * TTL_S + 2:
            last = bundle.ask()
            time.sleep(0.1)
        when = f"{offset:+d} s"
        yield at_most(f"{when}: the clock is not there by", abs(_offset_s(bundle) - offset), 3)
        ran = len(runs.read_text()) - done
        what = f"{when}: runs in {2 * TTL_S + 2} s, each kept for {TTL_S} s"
        yield Figure(what, str(ran), "1 to 3", 1 <= ran <= 3)
        details = json.loads(last.body)["details"] if last else []
        hung = next(each for each in details if each["id"] == "timed.hangs")
        off_s = abs(hung["duration_s"] - 1)
        yield at_most(f"{when}: off the deadline of a check by", off_s, 0.2)
        yield holds(f"{when}: it hangs", hung["context"], ok="timed out" in hung["context"])
        yield exactly(f"{when}: the worker", before, bundle.workers())
    yield exactly("exit code of a stop", 0, bundle.stop())


FAULTS = (Fault("clock-jumps", clock_jumps, needs=("faketime",)),)
