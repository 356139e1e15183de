"""The benchmarks run, with small numbers; what they promise is measured by ``make bench``."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks.__main__ import BENCHMARKS, missing
from tests.benchmarks.measuring import Row, table

ROOT = Path(__file__).parent.parent.parent
WAVES = (
    "200 idle, 4,096 handles, {} wave: 200 clients have come",
    "200 idle, 4,096 handles, {} wave: slowest of",
    "200 idle, 4,096 handles, {} wave: slowest of",
    "200 idle, 4,096 handles, {} wave: their handles are free",
)
ROWS = (
    "hospital-cli of one check, wards ",
    "hospital-cli of one check, in process ",
    "hospital-cli of 5 checks that wait 100 ms each ",
    "hospital-cli of 50 checks that do nothing ",
    "HealthCheckApp called in process, from the cache ",
    "5 checks of 50 ms beside one that holds the GIL ",
    "GET / from the cache, 32 kept connections ",
    "GET / from the cache, 32 kept connections, p99 ",
    "GET / from the cache, 32 kept connections, the limit ",
    "resident memory of worker then ",
    "resident memory of circusd then ",
    "GET / at 200 requests a second, p99 ",
    *(row.format(wave) for wave in ("first", "second") for row in WAVES),
    "200 idle, 4,096 handles, the second takes more memory than",
    "growth over ",
    "memory of the worker ",
    "more file handles of the worker than ",
    "growth of circusd over 1 reloads ",
    "more file handles of circusd than ",
    "memory of circusd ",
    "growth of the guard over 1 reloads ",
    "more file handles of the guard than ",
    "memory of the guard ",
    "the last worker is larger than the first by ",
    "hospital-deploy render ",
)
"""What the rows of the table begin with."""


def test_every_benchmark_runs() -> None:
    """Each gives its rows; whether it keeps its promise is not asked with such numbers."""
    if lacks := [lack for each in BENCHMARKS if (lack := missing(each))]:
        pytest.skip("; ".join(lacks))

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
    wrong = [
        f"{line!r} is not {beginning!r}"
        for beginning, line in zip(ROWS, lines[1:], strict=True)
        if not line.startswith(beginning)
    ]
    assert [] == wrong


def test_the_table_says_what_is_over() -> None:
    """One row a promise, and the word that one looks for at the end of the line."""
    rows = [
        Row(what="quick", ours="1 ms", peer="1 ms", ratio=1.0, bound="2 x", ok=True),
        Row(what="slow", ours="30 ms", peer="", ratio=None, bound="20 ms", ok=False),
    ]

    assert ["verdict", "ok", "over"] == [line.split()[-1] for line in table(rows).splitlines()]
