"""Logs that cannot be written, that somebody else rotates, and text that breaks lines."""

import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial

from tests.faults.applications import HOSTILE
from tests.faults.asking import Probes, exchange
from tests.faults.bundle import WATCHER, Bundle
from tests.faults.figures import Fault, Figure, at_most, below, exactly, holds, without
from tests.faults.processes import stat
from tests.faults.scene import Scene
from tests.faults.waiting import poll, seconds_until
from tests.supervision.log_storm import storm

_BELOW_SPACE = re.compile(rb"[\x00-\x09\x0b-\x1f]")
_LINES = 200
_AGAIN_S = 4.0


def torn(lines: list[bytes]) -> list[bytes]:
    """Return those of *lines* that are no event: no JSON object, a field missing, raw controls."""
    wrong = []
    for line in lines:
        try:
            told = json.loads(line)
            sound = {"timestamp", "level", "event", "logger", "pid"} <= told.keys()
        except (ValueError, AttributeError):
            sound = False
        if not sound or _BELOW_SPACE.search(line):
            wrong.append(line)
    return wrong


def _all_lines(bundle: Bundle) -> list[bytes]:
    files = sorted(bundle.log_folder.glob("*.log*"))
    return [line for path in files for line in bundle.log_lines(path.name)]


def _numbered(bundle: Bundle, number: int, size: int = 200) -> None:
    answer = bundle.ask(f"/log?{number}x{size}")
    if answer is None or answer.status != 200:
        raise RuntimeError(f"it answers {answer}")


def numbers_missing(events: list[dict[str, object]]) -> int:
    """Return how many of the numbers that each process counted up are not there."""
    seen: dict[object, set[int]] = {}
    for event in events:
        seen.setdefault(event["pid"], set()).add(int(str(event["n"])))
    return sum(max(numbers) - len(numbers) for numbers in seen.values())


def _outage(
    scene: Scene, begin: Callable[[Bundle], None], end: Callable[[Bundle], None], *, mounted: bool
) -> Iterator[Figure]:
    """Ask and log before, during and after an outage of the log folder, and stop in another."""
    bundle = scene.bundle()
    bundle.one_answer()
    bundle.serve()
    bundle.put(WATCHER, "stdout_stream.max_bytes", "60000")
    bundle.put(WATCHER, "stdout_stream.backup_count", "1")
    bundle.put(WATCHER, "stderr_stream.max_bytes", "60000")
    bundle.put(WATCHER, "stderr_stream.backup_count", "1")
    if mounted:
        scene.mount(bundle.log_folder, 400)
    bundle.start()
    _numbered(bundle, 1)
    poll(lambda: bundle.events("numbered"), what="a first line in the log")
    with Probes(bundle.address) as probes:
        begin(bundle)
        for _ in range(20):
            _numbered(bundle, 20, 2000)
            time.sleep(0.1)
        stat_before = stat(bundle.circusd.pid)
        time.sleep(2)
        stat_after = stat(bundle.circusd.pid)
        end(bundle)
        began = time.time()

        def is_logging() -> bool:
            _numbered(bundle, 1)
            said = bundle.events("numbered")
            return any(_seconds(event) > began for event in said)

        again = seconds_until(is_logging, 15)
    yield exactly(f"failed of {len(probes.took_s)} probes", 0, probes.failed)
    yield below("slowest of them", probes.slowest_s, 0.5)
    used = stat_after.cpu_s - stat_before.cpu_s if stat_before and stat_after else float("inf")
    yield at_most("CPU of circusd meanwhile", used / 2 * 100, 15, "%")
    yield below("it logs again after", again, _AGAIN_S)
    said = bundle.output()
    said_of_it = [
        line for line in said.splitlines() if "log_unwritable" in line and "hospital-web" in line
    ]
    yield exactly("times that it is said", 1, len(said_of_it))
    yield without("tracebacks", [line for line in said.splitlines() if "Traceback" in line])
    time.sleep(0.5)
    yield without("torn lines", torn(bundle.log_lines()))
    begin(bundle)
    _numbered(bundle, 20, 2000)
    began_s = time.monotonic()
    code = bundle.stop(40)
    yield exactly("exit code of a stop during another", 0, code)
    yield below("it took", time.monotonic() - began_s, 10)


def _seconds(event: dict[str, object]) -> float:
    text = str(event["timestamp"]).replace("Z", "+00:00")
    return datetime.fromisoformat(text).timestamp()


def _fill(bundle: Bundle) -> None:
    with (bundle.log_folder / "filler").open("wb", buffering=0) as filler:
        try:
            while filler.write(b"x" * 4096):
                pass
        except OSError:
            return


def log_disk_full(scene: Scene) -> Iterator[Figure]:
    """The log folder is on a file system without room."""
    yield from _outage(
        scene, _fill, lambda bundle: (bundle.log_folder / "filler").unlink(), mounted=True
    )


def log_folder_removed(scene: Scene) -> Iterator[Figure]:
    """The log folder goes away, and its place is taken by a file."""

    def begin(bundle: Bundle) -> None:
        shutil.rmtree(bundle.log_folder)
        bundle.log_folder.write_text("in the way")

    def end(bundle: Bundle) -> None:
        bundle.log_folder.unlink()

    yield from _outage(scene, begin, end, mounted=False)


def log_folder_read_only(scene: Scene) -> Iterator[Figure]:
    """The log folder is on a file system that is read-only."""

    # A file there is open for writing, so the file system itself cannot be made read-only: an
    # empty one that is takes its place, and goes again.
    def begin(bundle: Bundle) -> None:
        scene.mount(bundle.log_folder, 100, "ro")

    def end(bundle: Bundle) -> None:
        subprocess.run(["umount", bundle.log_folder], check=True)

    yield from _outage(scene, begin, end, mounted=True)


def hostile_text(scene: Scene) -> Iterator[Figure]:
    """CR, LF, ESC, NUL, U+2028 and 1 MB in paths, headers and the output of checks."""
    bundle = scene.bundle()
    bundle.checks("hostile", HOSTILE)
    bundle.environment(HOSPITAL_ACCESS_LOG="all")
    bundle.start()
    tricks = (
        "%0d%0a",
        "%1b[31m",
        "%00",
        "%e2%80%a8",
        "%c2%85",
        "%ff%fe",
        "\x1b[31m",
        "\r",
        "\xff",
        "x" * 1_000_000,
    )
    for trick in tricks:
        for place in (
            "GET /a{0}b HTTP/1.1\r\nHost: test\r\n",
            "GET /none HTTP/1.1\r\nHost: test\r\nX-Request-Id: {0}\r\nUser-Agent: a{0}b\r\n",
            "GET /none HTTP/1.1\r\nHost: a{0}b\r\n",
        ):
            exchange(
                bundle.address, place.format(trick).encode("latin-1") + b"Connection: close\r\n\r\n"
            )
    answer = bundle.ask()
    yield exactly("status of the check's answer", 500, answer and answer.status)
    json.loads(answer.body if answer else b"")
    yield at_most("its length", len(answer.body) / 1000 if answer else 0, 64, "KB")
    poll(lambda: bundle.events("check_not_green"), what="the outcome in the log")
    yield exactly("exit code of a stop", 0, bundle.stop())
    lines = _all_lines(bundle)
    yield without(
        f"of {len(lines)} lines are no JSON object or hold a control character", torn(lines)
    )
    yield at_most("longest line", max(map(len, lines)) / 1000, 64, "KB")
    said = bundle.output().encode(errors="replace")
    yield without("control characters on circusd's own output", _BELOW_SPACE.findall(said))


def _are_all_there(bundle: Bundle, number: int) -> bool:
    return len(bundle.events("numbered")) == number


LOGROTATE = """
{log} {{
    {how}
    rotate 3
    size 1
    missingok
}}
"""


def logrotate(scene: Scene) -> Iterator[Figure]:
    """A real logrotate beside it, by renaming and by copying."""
    for how in ("nocreate", "copytruncate"):
        bundle = scene.bundle()
        bundle.one_answer()
        bundle.serve()
        bundle.workers_at_once(1)
        bundle.start(number=1)
        log = bundle.log_folder / "hospital-web.log"
        config = bundle.folder / "logrotate.conf"
        config.write_text(LOGROTATE.format(log=log, how=how))
        config.chmod(0o600)
        bundle.log_folder.chmod(0o750)
        for number in range(3):
            _numbered(bundle, _LINES)
            # copytruncate loses what is written between its copy and its truncation
            poll(partial(_are_all_there, bundle, _LINES * (number + 1)), what="the lines")
            subprocess.run(
                ["logrotate", "--force", "--state", bundle.folder / "state", config],
                check=True,
                capture_output=True,
            )
            # whoever writes looks once a second whether the file is still his
            time.sleep(1.1)
        _numbered(bundle, 1)
        there = seconds_until(partial(_are_all_there, bundle, 3 * _LINES + 1), 5)
        found = bundle.events("numbered")
        yield holds(
            f"{how}: lines of {3 * _LINES + 1} there", str(len(found)), ok=there is not None
        )
        yield without(f"{how}: torn lines", torn(bundle.log_lines()))
        yield exactly(f"{how}: mode of the new file", "0o640", oct(log.stat().st_mode & 0o777))
        bundle.end()


def _storm(scene: Scene, what: str, **sizes: float) -> Iterator[Figure]:
    folder = scene.folder / "storm"
    folder.mkdir()
    seen = storm(folder, **sizes)  # type: ignore[arg-type]
    yield without(f"{what}: torn lines of {seen.found}", seen.torn)
    yield exactly(f"{what}: lines that are there twice", 0, seen.twice)
    if sizes["lines_per_s"]:
        yield exactly(f"{what}: missing of {seen.sent} lines", 0, seen.missing)
        rate = seen.found / seen.took_s
        wanted = 0.95 * 4 * sizes["lines_per_s"]
        yield Figure(f"{what}: lines a second", f"{rate:.0f}", f"≥ {wanted:.0f}", rate >= wanted)
        yield Figure(f"{what}: files", str(seen.files), "> 20", seen.files > 20)
    else:
        yield exactly(f"{what}: missing, as the log says", seen.dropped, seen.missing)
    yield at_most(f"{what}: memory of circusd", seen.circusd_rss_mb, 45, "MB")
    yield exactly(f"{what}: exit code of circusd", 0, seen.exit_code)


def rotation(scene: Scene) -> Iterator[Figure]:
    """Four processes at 500 lines a second each, 2 KB a line in UTF-8, across 20 rotations."""
    sizes = {"lines": 10_000, "lines_per_s": 500, "size_bytes": 2000, "max_bytes": 3_000_000}
    yield from _storm(scene, "500 lines/s each", **sizes)


def log_flood(scene: Scene) -> Iterator[Figure]:
    """The same at full speed."""
    sizes = {"lines": 30_000, "lines_per_s": 0, "size_bytes": 2000, "max_bytes": 3_000_000}
    yield from _storm(scene, "full speed", **sizes)


FAULTS = (
    Fault("rotation", rotation),
    Fault("log-flood", log_flood),
    Fault("log-disk-full", log_disk_full, needs=("root", "mount")),
    Fault("log-folder-removed", log_folder_removed, quick=True),
    Fault("log-folder-read-only", log_folder_read_only, needs=("root", "mount")),
    Fault("hostile-text", hostile_text, quick=True),
    Fault("logrotate", logrotate, needs=("logrotate",)),
)
