"""``make soak MINUTES=10``: load, faults at random, and figures of what leaked, was lost or torn.

The faults and their order come from ``--seed``, which is printed. Uses the loopback address alone
and ends what it started. As root it also fills the disk of the logs, one of its own.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.faults.bundle import ROOT, WATCHER, Bundle
from tests.faults.figures import Figure
from tests.faults.scene import Scene, own_mounts, set_up
from tests.faults.waiting import poll
from tests.soak import verdicts
from tests.soak.troubles import WATCHDOG_S, Soak
from tests.soak.watch import Watch

WARM_UP_S = 3.0
PAUSES_S = (0.2, 1.0)
DISK_KB = 100_000
LOG_BYTES = 200_000
LOG_FILES = 300
LONG_MINUTES = 3.0

SOAKED = '''
"""hospital's application, which says who answered, and numbers some of its log lines."""

import os

from hospital.logs import get_logger
from hospital.wsgi import application

logger = get_logger("numbered")


class Application:
    answered = 0

    def __getattr__(self, name):
        return getattr(application, name)

    def __call__(self, environ, start_response):
        def start(status, headers, *more):
            return start_response(status, [*headers, ("X-Worker", str(os.getpid()))], *more)

        self.answered += 1
        if self.answered % 10 == 0:
            logger.info("numbered", n=self.answered // 10, text="ü" * 200)
        return application(environ, start)


app = Application()
'''


def prepare(scene: Scene, chance: random.Random) -> Soak:
    """Return a bundle with two workers that serve."""
    bundle = scene.bundle()
    bundle.one_answer()
    bundle.serve("soaked.app", SOAKED)
    bundle.watchdog(WATCHDOG_S)
    for stream in ("stdout_stream", "stderr_stream"):
        bundle.put(WATCHER, f"{stream}.max_bytes", str(LOG_BYTES))
        bundle.put(WATCHER, f"{stream}.backup_count", str(LOG_FILES))
    is_root = os.geteuid() == 0
    if is_root:
        scene.mount(bundle.log_folder, DISK_KB)
    bundle.start()
    return Soak(scene, bundle, SOAKED, is_root, chance)


def endure(soak: Soak, seconds: float, per_s: float) -> Iterator[Figure]:
    """Make trouble for so many *seconds* under load, and yield what came of it."""
    host, port = soak.bundle.address
    client = subprocess.Popen(
        [sys.executable, "-m", "tests.soak.client", host, str(port), "--per-s", str(per_s)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        began = time.monotonic()
        with Watch(soak.bundle) as watch:
            time.sleep(WARM_UP_S)
            names: list[str] = []
            while time.monotonic() - began < seconds:
                names = names or soak.names()
                soak.make(names.pop())
                time.sleep(soak.chance.uniform(*PAUSES_S))
            took_s = time.monotonic() - began
            out, _ = client.communicate(timeout=60)
        told: dict[str, Any] = json.loads(out)
    finally:
        client.kill()
        client.communicate()
    shown = (
        ("circusd", "guard", "largest worker")
        if seconds > LONG_MINUTES * 60
        else ("circusd", "guard")
    )
    yield from verdicts.of_requests(soak, told, took_s)
    yield from verdicts.of_troubles(soak, _killed_by_guard(soak.bundle))
    yield from verdicts.of_processes(watch, shown=shown)
    code = soak.bundle.stop()
    poll(lambda: not soak.bundle.roll.alive(), 5, "the end of all processes")
    yield from verdicts.of_logs(soak.bundle)
    yield from verdicts.of_the_end(soak.bundle, code)


def _killed_by_guard(bundle: Bundle) -> int:
    lines = bundle.log_lines("hospital-guard.log")
    return sum(json.loads(line)["event"] == "process_killed" for line in lines)


def main() -> int:
    """Soak, print the figures, and return 1 where a promise does not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    parser.add_argument("--per-s", type=float, default=200.0, help="requests a second")
    options = parser.parse_args()
    print(f"soak of {options.minutes:g} minutes, --seed {options.seed}", flush=True)
    if os.geteuid() == 0:
        own_mounts()
    else:
        print("not root: the disk of the logs is not filled")
    chance = random.Random(options.seed)  # noqa: S311 - no secret
    failed = 0
    with tempfile.TemporaryDirectory(prefix="soak-") as folder, set_up(Path(folder)) as scene:
        soak = prepare(scene, chance)
        for figure in endure(soak, options.minutes * 60, options.per_s):
            print(figure, flush=True)
            failed += not figure.ok
        if failed:
            print(
                "\n".join(f"    {line[:300]}" for line in soak.bundle.output().splitlines()[-20:])
            )
    print(f"{failed} promises broken; --seed {options.seed}" if failed else "all promises kept")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
