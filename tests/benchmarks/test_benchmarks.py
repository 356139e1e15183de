"""The benchmarks run, with small numbers; what they promise is measured by ``make bench``."""

import os
import subprocess
import sys
from pathlib import Path

from tests.benchmarks.measuring import Row, table

ROOT = Path(__file__).parent.parent.parent


def test_every_benchmark_runs() -> None:
    """Each gives its rows; whether it keeps its promise is not asked with such numbers."""
    result = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks", "--tiny"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert "" == result.stderr
    assert result.returncode in {0, 1}
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["what", "ours", "peer", "or", "limit", "ratio", "bound", "verdict"]
    assert [
        "hospital-cli of one check, wards",
        "hospital-cli of one check, in process",
        "hospital-cli of 5 checks that wait 100 ms each",
        "hospital-cli of 50 checks that do nothing",
        "HealthCheckApp called in process, from the cache",
        "5 checks of 50 ms beside one that holds the GIL",
    ] == [line.partition("  ")[0] for line in lines[1:]]


def test_the_table_says_what_is_over() -> None:
    """One row a promise, and the word that one looks for at the end of the line."""
    rows = [
        Row(what="quick", ours="1 ms", peer="1 ms", ratio=1.0, bound="2 x", ok=True),
        Row(what="slow", ours="30 ms", peer="1 ms", ratio=30.0, bound="2 x", ok=False),
    ]

    assert ["verdict", "ok", "over"] == [line.split()[-1] for line in table(rows).splitlines()]
