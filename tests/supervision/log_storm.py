"""Four processes log at once through a real circusd, and what is in the files is counted.

``python tests/supervision/log_storm.py --help`` runs it in any size; the tests run a short one.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

BIN = Path(sys.executable).parent
HOOKS = """
from hospital.supervision import redirector


def before_spawn(watcher, **_more):
    redirector.take_over(watcher)
    return True


def before_reap(watcher, process_pid, **_more):
    redirector.read_to_the_end(watcher, process_pid)
    return True
"""
EMITTER = """
import sys

if int(sys.argv[1]) % 2:  # half of them as a worker is
    from gevent import monkey

    monkey.patch_all()

import pathlib
import signal
import time

from hospital import logs

lines, lines_per_s, size_bytes = int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])
logs.configure()
logger = logs.get_logger("storm")
padding = "aäß€🩺" * (size_bytes // 12)
begun = time.monotonic()
for number in range(lines):
    logger.info("storm", number=number, padding=padding)
    if lines_per_s:
        ahead_s = begun + (number + 1) / lines_per_s - time.monotonic()
        if ahead_s > 0:
            time.sleep(ahead_s)
took_s = time.monotonic() - begun
while not logs.flush(1):
    pass
pathlib.Path(f"done-{sys.argv[1]}").write_text(str(took_s))
while True:
    time.sleep(1)
"""
CIRCUS = """
[circus]
endpoint = ipc://run/c.sock
pubsub_endpoint = ipc://run/e.sock
umask = 077
multicast_endpoint =
statsd = False
check_delay = 1
loggerconfig = circusd-logging.json

[watcher:storm]
cmd = {python} emitter.py $(circus.wid) {lines} {lines_per_s} {size_bytes}
numprocesses = {processes}
copy_env = True
hooks.before_spawn = storm_hooks.before_spawn
hooks.before_reap = storm_hooks.before_reap
stdout_stream.class = hospital.supervision.streams.LineStream
stdout_stream.filename = log/storm.log
stdout_stream.max_bytes = {max_bytes}
stdout_stream.backup_count = {backup_count}
stderr_stream.class = hospital.supervision.streams.LineStream
stderr_stream.filename = log/storm.log
stderr_stream.max_bytes = {max_bytes}
stderr_stream.backup_count = {backup_count}
"""


@dataclass
class Storm:
    """What a storm left behind."""

    sent: int = 0
    """Lines that the processes logged."""
    found: int = 0
    """Lines of theirs in the files."""
    twice: int = 0
    """Lines that are there more than once."""
    dropped: int = 0
    """Lines that the log itself says it is without."""
    torn: list[bytes] = field(default_factory=list)
    """Lines that are no JSON object, or none of an event, or hold a control character."""
    printed: list[str] = field(default_factory=list)
    """What was on standard error."""
    files: int = 0
    largest_bytes: int = 0
    took_s: float = 0.0
    circusd_cpu_s: float = 0.0
    circusd_rss_mb: float = 0.0
    exit_code: int | None = None

    @property
    def missing(self) -> int:
        """How many lines are not in the files."""
        return self.sent - self.found

    def __str__(self) -> str:
        return (
            f"{self.sent} lines sent, {self.found} found, {self.missing} missing, {self.dropped} "
            f"dropped as the log says, {self.twice} twice, {len(self.torn)} torn, in {self.files} "
            f"files of at most {self.largest_bytes} bytes; {self.found / self.took_s:.0f} lines/s "
            f"for {self.took_s:.1f} s, circusd: {100 * self.circusd_cpu_s / self.took_s:.0f} % of "
            f"a core, {self.circusd_rss_mb:.0f} MB"
        )


def storm(  # noqa: PLR0913 - the sizes of a storm
    folder: Path,
    *,
    processes: int = 4,
    lines: int = 1250,
    lines_per_s: float = 500,
    size_bytes: int = 2000,
    max_bytes: int = 400_000,
    backup_count: int = 200,
    timeout_s: float = 60,
) -> Storm:
    """Have *processes* log *lines* lines each, at *lines_per_s* (0: as fast as they can)."""
    import psutil

    from hospital.supervision.circusd_logs import make_config

    values = {
        "python": sys.executable,
        "processes": processes,
        "lines": lines,
        "lines_per_s": lines_per_s,
        "size_bytes": size_bytes,
        "max_bytes": max_bytes,
        "backup_count": backup_count,
    }
    for name in ("run", "log"):
        (folder / name).mkdir()
    config = make_config(
        log_file="log/circusd.log", max_bytes=100_000, backup_count=1, console=False
    )
    (folder / "circusd-logging.json").write_text(json.dumps(config))
    (folder / "storm_hooks.py").write_text(HOOKS)
    (folder / "emitter.py").write_text(EMITTER)
    (folder / "circus.ini").write_text(CIRCUS.format(**values))
    with (folder / "output").open("wb") as output:
        circusd = subprocess.Popen(
            [BIN / "circusd", "circus.ini"],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), *sys.path])},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        deadline = time.monotonic() + timeout_s
        while len(done := [path.read_text() for path in folder.glob("done-*")]) < processes:
            if circusd.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((folder / "output").read_text())
            time.sleep(0.02)
        used = psutil.Process(circusd.pid)
        times, rss_bytes = used.cpu_times(), used.memory_info().rss
        circusd.send_signal(signal.SIGTERM)
        exit_code = circusd.wait(timeout_s)
    finally:
        if circusd.poll() is None:
            for child in psutil.Process(circusd.pid).children():
                child.kill()
        circusd.kill()
        circusd.wait()
    result = count(folder / "log", "storm.log")
    result.sent = processes * lines
    result.took_s = max(map(float, done))
    result.circusd_cpu_s = times.user + times.system
    result.circusd_rss_mb = rss_bytes / 1e6
    result.exit_code = exit_code
    return result


def count(folder: Path, name: str) -> Storm:
    """Return what is in the log *name* and its old files."""
    found = Storm()
    numbers: Counter[tuple[int, int]] = Counter()
    for path in folder.glob(f"{name}*"):
        found.files += 1
        found.largest_bytes = max(found.largest_bytes, path.stat().st_size)
        content = path.read_bytes()
        if not content.endswith(b"\n"):
            found.torn.append(content[-100:])
        for line in content.split(b"\n")[:-1]:
            try:
                event = json.loads(line)
                name = event["event"]
                number = event["pid"], event.get("number", -1)
            except (ValueError, TypeError, LookupError):
                found.torn.append(line)
                continue
            if min(line) < 0x20:
                found.torn.append(line)
            if name == "storm":
                numbers[number] += 1
            elif name in ("log_lines_dropped", "output_lines_dropped"):
                found.dropped += event["dropped"]
            elif name == "log_lines_lost":
                found.dropped += event["lost"]
            else:
                found.printed.append(line.decode())
    found.found = len(numbers)
    found.twice = numbers.total() - len(numbers)
    return found


def main() -> int:
    """Run a storm as the command line says, and return 0 if nothing is torn or unaccounted for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--lines", type=int, default=10_000, help="of each process")
    parser.add_argument("--lines-per-s", type=float, default=500, help="0: as fast as it can")
    parser.add_argument("--size-bytes", type=int, default=2000)
    parser.add_argument("--max-bytes", type=int, default=2_000_000)
    parser.add_argument("--backup-count", type=int, default=1000)
    parser.add_argument("--timeout-s", type=float, default=600)
    with tempfile.TemporaryDirectory() as folder:
        found = storm(Path(folder), **vars(parser.parse_args()))
    print(found, *found.torn[:3], *found.printed[:3], sep="\n")
    return int(bool(found.torn or found.printed or found.twice or found.missing != found.dropped))


if __name__ == "__main__":
    sys.exit(main())
