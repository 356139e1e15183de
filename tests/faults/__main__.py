"""``make faults``: bring about each fault, print the figures, end with 1 if one is not survived.

Uses the loopback address alone, and ends what it started. As root it mounts small file systems
that only it sees; as somebody else it says what it cannot bring about.
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from tests.faults import clocks, disks, ends, growth, in_flight, rendering, slow_clients, writing
from tests.faults.figures import Fault, Figure
from tests.faults.scene import Scene, own_mounts, set_up

FAULTS: tuple[Fault, ...] = (
    *slow_clients.FAULTS,
    *in_flight.FAULTS,
    *ends.FAULTS,
    *disks.FAULTS,
    *clocks.FAULTS,
    *rendering.FAULTS,
    *writing.FAULTS,
    *growth.FAULTS,
)

PACKAGES = {"wrk": "wrk", "logrotate": "logrotate", "prlimit": "util-linux", "mount": "mount"}


def missing(fault: Fault) -> str:
    """Return what this machine or this user lacks for *fault*; nothing if it can be injected."""
    lacks = []
    for need in fault.needs:
        if need == "root":
            if os.geteuid() != 0:
                lacks.append("it takes root")
        elif shutil.which(need) is None:
            lacks.append(f"{need} is missing: apt-get install {PACKAGES.get(need, need)}")
    return "; ".join(lacks)


def show(scene: Scene) -> None:
    """Print the end of what the bundles said."""
    for bundle in scene.bundles:
        print("\n".join(f"    {line[:400]}" for line in bundle.logged().splitlines()[-20:]))


def run(fault: Fault) -> bool:
    """Inject *fault*, print its figures, and return whether all promises hold."""
    began = time.monotonic()
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        try:
            with set_up(Path(folder)) as scene:
                try:
                    for figure in fault.inject(scene):
                        figures.append(figure)
                        print(f"{fault.name}: {figure}", flush=True)
                except Exception:
                    show(scene)
                    raise
        except Exception:  # noqa: BLE001 - the other faults are injected nevertheless
            traceback.print_exc()
            print(f"{fault.name}: it could not be brought to an end → see above FAILED", flush=True)
            return False
    took_s = time.monotonic() - began
    print(f"{fault.name}: {len(figures)} figures in {took_s:.1f} s", flush=True)
    return bool(figures) and all(figure.ok for figure in figures)


def chosen(names: Sequence[str], *, short: bool) -> list[Fault]:
    """Return the faults that are asked for; a name may be the beginning of several."""
    unknown = [each for each in names if not any(f.name.startswith(each) for f in FAULTS)]
    if unknown:
        known = ", ".join(fault.name for fault in FAULTS)
        raise SystemExit(f"unknown fault {unknown[0]!r}; known are {known}")
    return [
        fault
        for fault in FAULTS
        if (fault.quick or not short) and (not names or fault.name.startswith(tuple(names)))
    ]


def main() -> int:
    """Inject the faults that are asked for, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--only", action="append", default=[], metavar="ROW", help="this row")
    parser.add_argument("--short", action="store_true", help="the quick rows alone")
    parser.add_argument("--list", action="store_true", help="name the rows and inject nothing")
    options = parser.parse_args()
    faults = chosen(options.only, short=options.short)
    if options.list:
        print("\n".join(fault.name for fault in faults))
        return 0
    if os.geteuid() == 0:
        own_mounts()
    left_out = [(fault.name, lack) for fault in faults if (lack := missing(fault))]
    names = [name for name, _ in left_out]
    failed = [fault.name for fault in faults if fault.name not in names and not run(fault)]
    for name, lack in left_out:
        print(f"{name}: not injected; {lack}")
    done = len(faults) - len(left_out)
    print(f"{done - len(failed)} of {done} faults survived", end="")
    print(f"; {len(left_out)} not injected" if left_out else "", end="")
    print(f"; FAILED: {', '.join(failed)}" if failed else "")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
