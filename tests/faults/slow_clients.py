"""Clients that are slow, many or rude: what they cost those that are none of it."""

import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import Any

from tests.faults import processes
from tests.faults.asking import Probes, ask, exchange
from tests.faults.bundle import WATCHER, Bundle
from tests.faults.figures import Fault, Figure, at_most, below, exactly, holds, without
from tests.faults.scene import Scene, Visitors
from tests.faults.waiting import TooLateError, poll, seconds_until

PROBE_S = 0.5
FLAT_MB = 8.0
LIMIT = 200
HEAD_S = 3
STAY_S = 2.0
FLOOD = 8000
HANDLES = 4096
_LATE_S = 1.5
STALL_S = 30


def _memory_mb(bundle: Bundle) -> float:
    return max(map(processes.rss_mb, bundle.workers()))


def _warm_up(bundle: Bundle) -> None:
    """Answer a few, so that what is made once does not count as growth."""
    for _ in range(50):
        bundle.ask()


def _handles(bundle: Bundle) -> int:
    return sum(map(processes.handles, bundle.workers()))


def _slow(scene: Scene, kind: str) -> Iterator[Figure]:
    bundle = scene.bundle()
    bundle.one_answer()
    bundle.environment(HOSPITAL_HEAD_TIMEOUT=str(HEAD_S), HOSPITAL_MAX_CONNECTIONS=str(LIMIT))
    bundle.start()
    _warm_up(bundle)
    before_mb, workers = _memory_mb(bundle), bundle.workers()
    # As many as there is room for; then more, who wait to be let in before their time begins.
    for number, waits_s in ((LIMIT, 0.0), (5 * LIMIT, HEAD_S)):
        with Probes(bundle.address) as probes:
            visitors = scene.visitors(kind, bundle.address, number)
            with suppress(TooLateError):
                visitors.wait_for(partial(_have_left, number), 15)
        told = visitors.report()
        yield exactly(f"of {number}, sent away", number, told["left"])
        yield at_most(
            f"of {number}, the longest stay", told["longest_s"], HEAD_S + waits_s + _LATE_S
        )
        what = f"slowest of {len(probes.took_s)} probes beside {number} of them"
        yield below(what, probes.slowest_s, PROBE_S)
    yield at_most("growth of a worker", _memory_mb(bundle) - before_mb, FLAT_MB, "MB")
    yield exactly("workers", sorted(workers), sorted(bundle.workers()))


def _have_left(number: int, told: dict[str, Any]) -> bool:
    return bool(told["left"] == number)


def slow_heads(scene: Scene) -> Iterator[Figure]:
    """A byte of a head a second, from more than there is room for (slow-loris)."""
    yield from _slow(scene, "slow-head")


def slow_bodies(scene: Scene) -> Iterator[Figure]:
    """A byte of a body a second."""
    yield from _slow(scene, "slow-body")


def flood(
    scene: Scene, kind: str, *, number: int = FLOOD, stay_s: float = STAY_S
) -> Iterator[Figure]:
    """Let *number* of them come, twice, and ask beside them."""
    bundle = scene.bundle()
    bundle.one_answer()
    bundle.workers_at_once(1)
    bundle.put(WATCHER, "rlimit_nofile", str(HANDLES))
    bundle.environment(HOSPITAL_MAX_CONNECTIONS="100000")
    bundle.start("prlimit", f"--nofile={HANDLES}:{HANDLES}", "--", number=1)
    _warm_up(bundle)
    before_mb, workers = _memory_mb(bundle), bundle.workers()
    peaks_mb = []
    for wave in ("first", "second"):
        with Probes(bundle.address) as coming:
            visitors = scene.visitors(kind, bundle.address, number)
            come = seconds_until(partial(_have_come, visitors, number), 20)
        inside = visitors.report()["inside"]
        with Probes(bundle.address) as probes:
            time.sleep(stay_s)
        peaks_mb.append(_memory_mb(bundle))
        yield below(f"{wave} wave: {number:,} clients have come", come, 20)
        yield below(
            f"{wave} wave: slowest of {len(coming.took_s)} probes while they come",
            coming.slowest_s,
            PROBE_S,
        )
        yield below(
            f"{wave} wave: slowest of {len(probes.took_s)} probes beside {inside} that stay",
            probes.slowest_s,
            PROBE_S,
        )
        visitors.leave()
        gone = seconds_until(lambda: _handles(bundle) < 100, 10)
        yield below(f"{wave} wave: their handles are free", gone, 10)
    yield at_most(
        f"the second takes more memory than the {peaks_mb[0] - before_mb:.0f} MB of the first by",
        peaks_mb[1] - peaks_mb[0],
        FLAT_MB,
        "MB",
    )
    yield exactly("workers", sorted(workers), sorted(bundle.workers()))


def _have_come(visitors: Visitors, number: int) -> bool:
    told = visitors.report()
    return bool(told["visits"] == number and not told["outside"])


def idle_flood(scene: Scene) -> Iterator[Figure]:
    """8,000 connections that say nothing, at a limit of 4,096 file handles."""
    yield from flood(scene, "idle")


def kept_flood(scene: Scene) -> Iterator[Figure]:
    """8,000 kept-alive connections after a first request, at a limit of 4,096 file handles."""
    yield from flood(scene, "kept")


def _is_quiet(bundle: Bundle) -> bool:
    """Tell whether the workers have nothing to do but for the probes."""
    before_s = _cpu_s(bundle)
    time.sleep(0.5)
    return _cpu_s(bundle) - before_s < 0.1


def _cpu_s(bundle: Bundle) -> float:
    return sum(seen.cpu_s for pid in bundle.workers() if (seen := processes.stat(pid)))


def rude_clients(scene: Scene) -> Iterator[Figure]:
    """Clients that reset, that never read, that read a byte a second."""
    bundle = scene.bundle()
    bundle.one_answer()
    bundle.start()
    _warm_up(bundle)
    before, before_mb = _handles(bundle), _memory_mb(bundle)
    workers = bundle.workers()
    with Probes(bundle.address) as probes:
        resetting = scene.visitors("reset", bundle.address, 3000)
        resetting.wait_for(lambda told: told["left"] == 3000, 20)
        for kind in ("deaf", "sip"):
            visitors = scene.visitors(kind, bundle.address, 100)
            visitors.wait_for(lambda told: told["inside"] == 100, 10)
            # They are answered until the buffers between are full; from then on nobody reads.
            poll(lambda: _is_quiet(bundle), 20, "the end of the answers")
            # The kernel may go on with what was sent to them: what counts are our handles.
            free = seconds_until(lambda: _handles(bundle) <= before + 4, STALL_S + 5)
            yield below(f"handles for 100 {kind} clients are free", free, STALL_S + _LATE_S)
            visitors.leave()
    yield below(f"slowest of {len(probes.took_s)} probes", probes.slowest_s, PROBE_S)
    yield at_most("growth of a worker", _memory_mb(bundle) - before_mb, FLAT_MB, "MB")
    yield without(
        "tracebacks",
        [
            line
            for line in bundle.logged().splitlines()
            if "Traceback" in line or '"exception"' in line
        ],
    )
    yield exactly("workers", sorted(workers), sorted(bundle.workers()))


def few_handles(scene: Scene) -> Iterator[Figure]:
    """64 file handles, 120 connections: limited from the start, and limited while it runs."""
    for when in ("from the start", "while it runs"):
        bundle = scene.bundle()
        bundle.one_answer()
        bundle.workers_at_once(1)
        if when == "from the start":
            bundle.put(WATCHER, "rlimit_nofile", "64")
        bundle.start(number=1)
        bundle.ask()
        (worker,) = bundle.workers()
        if when == "while it runs":
            scene.start("prlimit", "--pid", str(worker), "--nofile=64:64").wait(5)
        visitors = scene.visitors("idle", bundle.address, 120)
        visitors.wait_for(lambda told: told["visits"] == 120, 10)
        time.sleep(0.5)
        before = processes.stat(worker)
        time.sleep(2)
        after = processes.stat(worker)
        used = (after.cpu_s - before.cpu_s) / 2 if before and after else float("inf")
        beside = ask(bundle.address, timeout_s=5)
        yield at_most(f"{when}: CPU with 120 connections at 64 handles", used * 100, 10, "%")
        yield below(f"{when}: a probe beside them", beside.took_s if beside else None, PROBE_S)
        visitors.leave()
        again = seconds_until(lambda bundle=bundle: (bundle.ask() or None) is not None, 10)  # type: ignore[misc]
        yield below(f"{when}: it serves again when they go", again, 2)
        yield without(
            f"{when}: tracebacks",
            [line for line in bundle.logged().splitlines() if "Traceback" in line],
        )
        yield exactly(f"{when}: the worker", {worker}, bundle.workers())
        bundle.end()


_LINE = b"GET / HTTP/1.1\r\nHost: test\r\n"
_TOO_LARGE = (
    ("a URI of 1 MB", b"GET /" + b"x" * 1_000_000 + b" HTTP/1.1\r\nHost: test\r\n\r\n", b"414"),
    ("a header of 1 MB", _LINE + b"X-Long: " + b"x" * 1_000_000 + b"\r\n\r\n", b"431"),
    ("10,000 headers", _LINE + b"X-Many: 1\r\n" * 10_000 + b"\r\n", b"431"),
    (
        "a body of 10 GB announced",
        b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 10000000000\r\n\r\n" + b"x" * 100_000,
        b"413",
    ),
)


def large_requests(scene: Scene) -> Iterator[Figure]:
    """URIs, headers and bodies that are too large, or have no end."""
    bundle = scene.bundle()
    bundle.one_answer()
    bundle.start()
    _warm_up(bundle)
    before_mb = _memory_mb(bundle)
    for what, request, status in _TOO_LARGE:
        for _ in range(10):
            received = exchange(bundle.address, request)
        yield exactly(what, status.decode(), received[9:12].decode("latin-1"))
    with Probes(bundle.address) as probes:
        for kind in ("endless-head", "endless-line", "endless-body"):
            visitors = scene.visitors(kind, bundle.address, 40)
            gone = seconds_until(lambda visitors=visitors: visitors.report()["left"] == 40, 8)  # type: ignore[misc]
            yield below(f"40 clients with an {kind.replace('-', ' ')} are refused", gone, 2)
            refused = visitors.report()["statuses"]
            yield holds(
                f"{kind}: no 2xx", str(refused), ok=not [each for each in refused if each[0] == "2"]
            )
            visitors.leave()
    yield below(f"slowest of {len(probes.took_s)} probes beside them", probes.slowest_s, PROBE_S)
    yield at_most("growth of a worker", _memory_mb(bundle) - before_mb, FLAT_MB, "MB")


FAULTS = (
    Fault("slow-heads", slow_heads, quick=True),
    Fault("slow-bodies", slow_bodies),
    Fault("idle-flood", idle_flood, needs=("prlimit",)),
    Fault("kept-flood", kept_flood, needs=("prlimit",)),
    Fault("large-requests", large_requests),
    Fault("rude-clients", rude_clients),
    Fault("few-handles", few_handles, needs=("prlimit",)),
)
