"""What nothing may do over time: grow."""

import time
from collections.abc import Iterator

from tests.faults import processes
from tests.faults.bundle import Bundle
from tests.faults.figures import Fault, Figure, at_most, exactly
from tests.faults.scene import Scene
from tests.faults.waiting import poll

REQUESTS = 200_000
RELOADS = 100
WARM_UP = 10
SHORT = 1000
FLAT_MB = 3.0
WORKER_MB = 60.0
CIRCUSD_MB = 45.0


def many_requests(scene: Scene, *, number: int = REQUESTS) -> Iterator[Figure]:
    """200,000 requests to one worker, with connections that are kept and that are not."""
    bundle = scene.bundle()
    bundle.one_answer()
    bundle.workers_at_once(1)
    bundle.start(number=1)
    _load(scene, bundle, number // 10)
    (worker,) = bundle.workers()
    before_mb, before = processes.rss_mb(worker), _handles(worker)
    done = _load(scene, bundle, number)
    yield at_most(
        f"growth over {done} requests", processes.rss_mb(worker) - before_mb, FLAT_MB, "MB"
    )
    yield at_most("memory of the worker", processes.rss_mb(worker), WORKER_MB, "MB")
    yield at_most(
        f"more file handles of the worker than {before}", _handles(worker) - before, 0, ""
    )
    yield exactly("the worker", {worker}, bundle.workers())


def _handles(pid: int) -> int:
    """Return how many handles are left once those of clients who went are closed."""
    end = time.monotonic() + 1
    seen = []
    while time.monotonic() < end:
        seen.append(processes.handles(pid))
        time.sleep(0.1)
    return min(seen)


def _load(scene: Scene, bundle: Bundle, number: int) -> int:
    done = 0
    turn = 0
    seconds = 3 if number > SHORT else 1
    while done < number:
        said = scene.wrk(bundle.address, seconds, connections=32, close=turn % 3 == 2).result()
        done += said.requests
        turn += 1
        if said.failed or not said.requests:
            raise RuntimeError(f"{said.failed} requests failed: {said.complaint}")
    return done


def many_reloads(scene: Scene, *, number: int = RELOADS) -> Iterator[Figure]:
    """100 reloads."""
    bundle = scene.bundle()
    bundle.one_answer()
    bundle.start()
    _reload(bundle, min(WARM_UP, number))
    watched = {"circusd": bundle.circusd.pid, "the guard": bundle.guard()}
    before = {name: (processes.rss_mb(pid), _handles(pid)) for name, pid in watched.items()}
    first_mb = max(map(processes.rss_mb, bundle.workers()))
    _reload(bundle, number)
    for name, pid in watched.items():
        grown_mb = processes.rss_mb(pid) - before[name][0]
        yield at_most(f"growth of {name} over {number} reloads", grown_mb, FLAT_MB, "MB")
        more = _handles(pid) - before[name][1]
        yield at_most(f"more file handles of {name} than {before[name][1]}", more, 0, "")
        yield at_most(f"memory of {name}", processes.rss_mb(pid), CIRCUSD_MB, "MB")
    last_mb = max(map(processes.rss_mb, bundle.workers()))
    yield at_most("the last worker is larger than the first by", last_mb - first_mb, FLAT_MB, "MB")
    beats = [path.name for path in (bundle.run_folder / "beats").iterdir()]
    yield exactly("heartbeat files", sorted(map(str, bundle.workers())), sorted(beats))


def _reload(bundle: Bundle, number: int) -> None:
    for _ in range(number):
        before = poll(lambda: len(found := bundle.ready()) == 2 and found)
        bundle.control("reload", "hospital-web")
        poll(lambda before=before: not before & bundle.workers(), 20, "the end of the old workers")  # type: ignore[misc]
    poll(lambda: len(bundle.ready()) == 2)


FAULTS = (
    Fault("many-requests", many_requests, needs=("wrk",)),
    Fault("many-reloads", many_reloads),
)
