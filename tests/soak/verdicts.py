"""What a soak has to show at its end."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from tests.faults.bundle import Bundle
from tests.faults.disks import numbers_missing, torn
from tests.faults.figures import Figure, at_most, exactly, holds, without
from tests.soak.troubles import Cut, Soak
from tests.soak.watch import Watch, growth

GROWTH_MB = 5.0
WORKER_MB = 60.0
CIRCUSD_MB = 45.0
_CLOSE_S = 0.1
# The lock outlives circusd on purpose: removing it would open a race between two of them.
_STAY = {".gitkeep", "circusd.sock.lock"}
_LOST_BY_WORKER = "log_lines_dropped"
_LOST_BY_FILE = "log_lines_lost"
_LOST_AS_TEXT = "output_lines_dropped"


def is_cut(failure: dict[str, Any], cuts: list[Cut]) -> bool:
    """Tell whether a request was in flight in a worker when that was killed.

    Whose connection a request was on is known where an answer had come on it before; of a new
    connection only the moment is.
    """
    return any(
        failure["began_s"] - _CLOSE_S <= cut.to_s
        and failure["ended_s"] + _CLOSE_S >= cut.from_s
        and failure["worker"] in {0, cut.worker}
        for cut in cuts
    )


def made_room(failure: dict[str, Any], crowded: list[tuple[float, float]]) -> bool:
    """Tell whether an idle connection was closed for others, and the request was sent again."""
    return bool(failure["again"]) and any(
        begin <= failure["ended_s"] and failure["began_s"] <= end for begin, end in crowded
    )


def _trouble(soak: Soak, failure: dict[str, Any]) -> str:
    return " and ".join(
        name
        for name, begin, end in soak.when
        if begin <= failure["ended_s"] and failure["began_s"] <= end
    )


def of_requests(soak: Soak, told: dict[str, Any], seconds: float) -> Iterator[Figure]:
    """Yield what became of the requests."""
    failures = told["failures"]
    cut = [each for each in failures if is_cut(each, soak.cuts)]
    others = [each for each in failures if each not in cut]
    moved = [each for each in others if made_room(each, soak.crowded)]
    lost = [each for each in others if each not in moved]
    number, kills = told["requests"], len(soak.cuts)
    what = f"{len(cut)} cut by {kills} kills, {len(moved)} sent again"
    beside = Counter((_trouble(soak, each), each["reason"]) for each in lost)
    yield without(f"lost of {number} requests ({what})", lost)
    if lost:
        told_of = "; ".join(f"{count} beside {each}" for each, count in beside.most_common(5))
        yield holds("what was lost can be explained", told_of, ok=False)
    rate = number / seconds
    times = (
        f"p50 {told['p50_ms']:.1f} ms, p99 {told['p99_ms']:.1f} ms, most {told['max_ms']:.0f} ms"
    )
    yield Figure("requests a second", f"{rate:.0f}, {times}", "> 10", rate > 10)


def of_troubles(soak: Soak, killed_by_guard: int) -> Iterator[Figure]:
    """Yield how the bundle took it."""
    made = ", ".join(f"{number} x {name}" for name, number in sorted(soak.done.items()))
    yield holds("troubles made", made, ok=bool(soak.done))
    yield without(f"recovered too late, the slowest in {soak.slowest_s:.1f} s", soak.late)
    yield exactly("workers that the guard killed", soak.stopped, killed_by_guard)


def of_processes(watch: Watch, *, shown: tuple[str, ...]) -> Iterator[Figure]:
    """Yield whether anything grew."""
    for name in shown:
        samples = watch.samples[name]
        if not samples:
            yield holds(f"{name} was seen", "no", ok=False)
            continue
        grown = growth(samples)
        yield at_most(
            f"{name}: more memory than the {grown.early.rss_mb:.1f} MB early on",
            grown.rss_mb,
            GROWTH_MB,
            "MB",
        )
        yield at_most(f"{name}: more handles than {grown.early.handles}", grown.handles, 2, "")
        yield at_most(f"{name}: more threads than {grown.early.threads}", grown.threads, 1, "")
    for name, limit in (("circusd", CIRCUSD_MB), ("guard", CIRCUSD_MB)):
        held = max((each.rss_mb for each in watch.samples[name]), default=0.0)
        yield at_most(f"{name}: memory at most", held, limit, "MB")
    held = max((each.rss_mb for each in watch.samples["largest worker"]), default=0.0)
    yield at_most(f"largest of {len(watch.workers)} workers, crowded too", held, WORKER_MB, "MB")


def of_logs(bundle: Bundle) -> Iterator[Figure]:
    """Yield whether the logs are whole."""
    files = sorted(path.name for path in bundle.log_folder.iterdir())
    lines = [
        line for name in files for line in (bundle.log_folder / name).read_bytes().split(b"\n")[:-1]
    ]
    yield without(f"torn of {len(lines)} lines in {len(files)} files", torn(lines))
    numbered = bundle.events("numbered")
    missing = numbers_missing(numbered)
    counts = {
        name: sum(int(each.get("dropped", each.get("lost", 0))) for each in bundle.events(name))
        for name in (_LOST_BY_WORKER, _LOST_BY_FILE, _LOST_AS_TEXT)
    }
    yield holds("numbered lines there", str(len(numbered)), ok=bool(numbered))
    what = f"of them missing; the log itself tells of {counts}"
    yield at_most(what, missing, sum(counts.values()), "")
    strange = [
        name
        for name in files
        if not name.startswith(("hospital-web.log", "circusd.log", "hospital-guard.log"))
    ]
    yield without("files in the log folder that are no log", strange)


def of_the_end(bundle: Bundle, code: int) -> Iterator[Figure]:
    """Yield what is left after a stop."""
    yield exactly("exit code of circusd", 0, code)
    yield exactly("processes that are left", set(), bundle.roll.alive())
    left = [
        path.name
        for path in bundle.run_folder.rglob("*")
        if path.is_file() and path.name not in _STAY
    ]
    yield without("files that are left in the run folder", left)
