"""``make bench``: measure, print a table, and end with 1 where a promise does not hold."""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.benchmarks import command_line, hanging, serving, web
from tests.benchmarks.measuring import Row, table


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A benchmark, the smallest numbers that it runs with, and the programs that it takes."""

    measure: Callable[..., list[Row]]
    smallest: dict[str, Any] = field(default_factory=dict)
    programs: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What ``--only`` calls it."""
        return self.measure.__name__.replace("_", "-")


BENCHMARKS = (
    Benchmark(command_line.start_to_end, {"rounds": 1}),
    Benchmark(command_line.waiting, {"count": 5, "rounds": 1}),
    Benchmark(command_line.trivial, {"count": 50, "rounds": 1}),
    Benchmark(web.from_the_cache, {"calls": 10, "rounds": 1}),
    Benchmark(hanging.beside_a_hang, {"count": 5, "timeout_s": 0.5}),
    Benchmark(
        serving.throughput,
        {"rounds": 1, "seconds": 1, "ways": ("kept",)},
        ("wrk", "nginx", "taskset"),
    ),
    Benchmark(serving.steady, {"rounds": 1, "seconds": 1}, ("taskset",)),
    Benchmark(serving.crowded, {"number": 200, "stay_s": 0.3}, ("prlimit",)),
    Benchmark(serving.grown, {"requests": 100, "reloads": 1}, ("wrk",)),
    Benchmark(serving.rendering, {"rounds": 1}),
)

PACKAGES = {"wrk": "wrk", "nginx": "nginx-light", "taskset": "util-linux", "prlimit": "util-linux"}


def missing(benchmark: Benchmark) -> str:
    """Return what to install for *benchmark*; nothing if all is there."""
    path = "/usr/sbin:/sbin"
    lacks = [
        each
        for each in benchmark.programs
        if shutil.which(each) is None and shutil.which(each, path=path) is None
    ]
    packages = sorted({PACKAGES[each] for each in lacks})
    return f"{', '.join(lacks)} missing: apt-get install {' '.join(packages)}" if lacks else ""


def main() -> int:
    """Print the table, and return 1 where a promise does not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--tiny", action="store_true", help="run each once, with small numbers")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="this one")
    parser.add_argument("--list", action="store_true", help="name them and measure nothing")
    options = parser.parse_args()
    if options.list:
        print("\n".join(each.name for each in BENCHMARKS))
        return 0
    rows: list[Row] = []
    left_out = []
    for benchmark in BENCHMARKS:
        if options.only and benchmark.name not in options.only:
            continue
        if lack := missing(benchmark):
            left_out.append(f"{benchmark.name}: not measured; {lack}")
            continue
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            rows += benchmark.measure(Path(folder), **(benchmark.smallest if options.tiny else {}))
    print(table(rows))
    if left_out:
        print("\n".join(left_out))
    return 0 if all(row.ok for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
