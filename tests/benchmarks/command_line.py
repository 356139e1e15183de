"""What hospital-cli costs, beside unittest and beside bare threads."""

import sys
from pathlib import Path

from tests.benchmarks.measuring import BIN, Row, medians_s

CLI = str(BIN / "hospital-cli")
PREDICTABLE = "hospital.healthchecks.predictable"
START_WARD_BOUND = 3.0
START_IN_PROCESS_BOUND = 1.8
WAITING_BOUND_S = 1.2
TRIVIAL_BOUND_PER_S = 5000

WAITING = """
import time
import hospital

def waits():
    time.sleep({pause_s})

for number in range({count}):
    check = type(waits)(waits.__code__, globals(), f"check_{{number}}")
    globals()[check.__name__] = hospital.healthcheck(check)
del check
"""

BARE_THREADS = """
import threading, time
threads = [threading.Thread(target=time.sleep, args=({pause_s},)) for _ in range({count})]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""

TRIVIAL = "import hospital\n" + "@hospital.healthcheck\ndef check_{number}():\n    pass\n"

TRIVIAL_TESTS = """
import unittest

class Trivial(unittest.TestCase):
    pass

for number in range({count}):
    setattr(Trivial, f"test_{{number}}", lambda self: None)
"""


def start_to_end(folder: Path, *, rounds: int = 20) -> list[Row]:
    """One check that does nothing, with everything that a command has to do around it."""
    taken = medians_s(
        {
            "unittest": [sys.executable, "-m", "unittest", PREDICTABLE],
            "wards": [CLI, PREDICTABLE],
            "in process": [CLI, "--in-process", PREDICTABLE],
        },
        folder,
        rounds=rounds,
    )
    peer_s = taken["unittest"]
    bounds = {"wards": START_WARD_BOUND, "in process": START_IN_PROCESS_BOUND}
    return [
        Row(
            what=f"hospital-cli of one check, {how}",
            ours=f"{taken[how] * 1000:.0f} ms",
            peer=f"{peer_s * 1000:.0f} ms, python -m unittest",
            ratio=taken[how] / peer_s,
            bound=f"{bound:g} x",
            ok=taken[how] <= bound * peer_s,
        )
        for how, bound in bounds.items()
    ]


def waiting(folder: Path, *, count: int = 500, pause_s: float = 0.1, rounds: int = 3) -> list[Row]:
    """Checks that wait for something else: they wait at the same time."""
    (folder / "waiting.py").write_text(WAITING.format(count=count, pause_s=pause_s))
    (folder / "bare.py").write_text(BARE_THREADS.format(count=count, pause_s=pause_s))
    taken = medians_s(
        {"ours": [CLI, "waiting"], "bare": [sys.executable, "bare.py"]}, folder, rounds=rounds
    )
    return [
        Row(
            what=f"hospital-cli of {count} checks that wait {pause_s * 1000:g} ms each",
            ours=f"{taken['ours']:.2f} s",
            peer=f"{taken['bare']:.2f} s, as many bare threads",
            ratio=taken["ours"] / taken["bare"],
            bound=f"{WAITING_BOUND_S:g} s",
            ok=taken["ours"] <= WAITING_BOUND_S,
        )
    ]


def trivial(folder: Path, *, count: int = 10_000, rounds: int = 3) -> list[Row]:
    """Checks that do nothing: what is left is our own cost for each, and the start."""
    head, check = TRIVIAL.split("\n", 1)
    lines = [head, *(check.format(number=number) for number in range(count))]
    (folder / "trivial.py").write_text("\n".join(lines))
    (folder / "trivial_tests.py").write_text(TRIVIAL_TESTS.format(count=count))
    taken = medians_s(
        {
            "ours": [CLI, "trivial"],
            "unittest": [sys.executable, "-m", "unittest", "trivial_tests"],
        },
        folder,
        rounds=rounds,
    )
    ours, peer = count / taken["ours"], count / taken["unittest"]
    return [
        Row(
            what=f"hospital-cli of {count:,} checks that do nothing",
            ours=f"{ours:,.0f} a second",
            peer=f"{peer:,.0f} a second, python -m unittest",
            ratio=taken["ours"] / taken["unittest"],
            bound=f"{TRIVIAL_BOUND_PER_S:,} a second",
            ok=ours >= TRIVIAL_BOUND_PER_S,
        )
    ]
