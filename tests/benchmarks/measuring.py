"""How the benchmarks measure, and what a row of their table is."""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

BIN = Path(sys.executable).parent
DEADLINE_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One thing that was measured.

    Attributes:
        what: What was measured.
        ours: What hospital took (or managed), with its unit.
        peer: The same of something else, in the same run: what it is compared with, or the least
            that is possible at all.
        ratio: Ours in multiples of the peer; None where there is no peer.
        bound: What is promised.
        ok: Whether the promise holds.
    """

    what: str
    ours: str
    peer: str
    ratio: float | None
    bound: str
    ok: bool


def table(rows: Sequence[Row]) -> str:
    """Return *rows* as lines of text, with a head."""
    head = ("what", "ours", "peer or limit", "ratio", "bound", "verdict")
    cells = [head]
    for row in rows:
        verdict = "ok" if row.ok else "over"
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        cells.append((row.what, row.ours, row.peer, ratio, row.bound, verdict))
    widths = [max(len(line[column]) for line in cells) for column in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    )


def run_s(command: Sequence[str], folder: Path) -> float:
    """Return the seconds that *command* takes from start to end; it has to be green."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    began = time.perf_counter()
    result = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE_S,
    )
    took_s = time.perf_counter() - began
    if result.returncode != 0:
        end = (result.stderr or result.stdout)[-2000:]
        raise RuntimeError(f"{' '.join(command)} ended with {result.returncode}:\n{end}")
    return took_s


def medians_s(
    commands: Mapping[str, Sequence[str]], folder: Path, *, rounds: int
) -> dict[str, float]:
    """Return the median seconds of each of *commands*.

    They take turns, so that whatever else the machine does slows all of them alike; a first round
    that warms the caches does not count.
    """
    taken: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(rounds + 1):
        for name, command in commands.items():
            took_s = run_s(command, folder)
            if number:
                taken[name].append(took_s)
    return {name: statistics.median(each) for name, each in taken.items()}
