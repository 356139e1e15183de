"""What a check that hangs costs those beside it."""

import time
from pathlib import Path

from hospital.model import Outcome, Status
from hospital.running.choose import make_executor
from hospital.running.executor import Selection
from tests.benchmarks.measuring import Row

BOUND_S = 2.0

HANG = """
@hospital.healthcheck(timeout={timeout_s})
def check_that_holds_the_gil():
    ctypes.PyDLL(None).sleep(60)
"""

CHECKS = """
import ctypes
import time
import hospital
{hang}
def waits():
    time.sleep({pause_s})

for number in range({count}):
    check = type(waits)(waits.__code__, globals(), f"check_{{number}}")
    globals()[check.__name__] = hospital.healthcheck(check)
del check
"""


def _last_pass_s(path: Path, count: int) -> float:
    """Return the seconds from the start until *count* checks have passed."""
    passed_at: list[float] = []

    def note(outcome: Outcome) -> None:
        if outcome.status is Status.PASS:
            passed_at.append(time.perf_counter())

    began = time.perf_counter()
    executor = make_executor("ward", timeout_s=10.0)
    try:
        report = executor.run(Selection((str(path),)), note)
    finally:
        executor.close()
    if len(passed_at) != count:
        raise RuntimeError(f"{len(passed_at)} of {count} passed: {dict(report.counts)}")
    return passed_at[-1] - began


def beside_a_hang(
    folder: Path, *, count: int = 50, pause_s: float = 0.05, timeout_s: float = 5.0
) -> list[Row]:
    """A check that holds the GIL beside others that are well: these are told long before."""
    hang = HANG.format(timeout_s=timeout_s)
    for name, first in (("hanging", hang), ("healthy", "")):
        source = CHECKS.format(hang=first, count=count, pause_s=pause_s)
        (folder / f"{name}.py").write_text(source)
    ours_s = _last_pass_s(folder / "hanging.py", count)
    peer_s = _last_pass_s(folder / "healthy.py", count)
    return [
        Row(
            what=f"{count} checks of {pause_s * 1000:g} ms beside one that holds the GIL",
            ours=f"{ours_s:.2f} s",
            peer=f"{peer_s:.2f} s, without it",
            ratio=ours_s / peer_s,
            bound=f"{BOUND_S:g} s",
            ok=ours_s <= BOUND_S,
        )
    ]
