"""``make bench``: measure, print a table, and end with 1 where a promise does not hold."""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.benchmarks import command_line, hanging, web
from tests.benchmarks.measuring import Row, table

BENCHMARKS = (
    (command_line.start_to_end, {"rounds": 1}),
    (command_line.waiting, {"count": 5, "rounds": 1}),
    (command_line.trivial, {"count": 50, "rounds": 1}),
    (web.from_the_cache, {"calls": 10, "rounds": 1}),
    (hanging.beside_a_hang, {"count": 5, "timeout_s": 0.5}),
)
"""Each benchmark, and the smallest numbers that it runs with."""


def measure(*, tiny: bool) -> list[Row]:
    """Return the rows of all benchmarks; *tiny* only shows that they run."""
    rows: list[Row] = []
    for benchmark, smallest in BENCHMARKS:
        with tempfile.TemporaryDirectory() as folder:
            rows += benchmark(Path(folder), **(smallest if tiny else {}))
    return rows


def main() -> int:
    """Print the table, and return 1 where a promise does not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--tiny", action="store_true", help="run each once, with small numbers")
    rows = measure(tiny=parser.parse_args().tiny)
    print(table(rows))
    return 0 if all(row.ok for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
