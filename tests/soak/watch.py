"""What circusd, the guard and the workers hold, looked at again and again."""

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

from tests.faults import processes
from tests.faults.beside import Beside
from tests.faults.bundle import Bundle

PAUSE_S = 0.5


@dataclass(frozen=True, slots=True)
class Sample:
    """What one process, or the largest of several, held at a moment."""

    at_s: float
    rss_mb: float
    handles: int
    threads: int


@dataclass(frozen=True, slots=True)
class Growth:
    """What was held early, after the warm-up, and late; medians."""

    early: Sample
    late: Sample

    @property
    def rss_mb(self) -> float:
        """How much more memory."""
        return self.late.rss_mb - self.early.rss_mb

    @property
    def handles(self) -> int:
        """How many more file handles."""
        return self.late.handles - self.early.handles

    @property
    def threads(self) -> int:
        """How many more threads."""
        return self.late.threads - self.early.threads


def growth(samples: Sequence[Sample]) -> Growth:
    """Return how much the last quarter of *samples* is above the second one.

    The first quarter is the warm-up; the median leaves out what a fault takes for a moment.
    """
    quarter = max(1, len(samples) // 4)
    return Growth(_middle(samples[quarter : 2 * quarter] or samples), _middle(samples[-quarter:]))


def _middle(samples: Sequence[Sample]) -> Sample:
    return Sample(
        at_s=samples[-1].at_s,
        rss_mb=statistics.median(each.rss_mb for each in samples),
        handles=statistics.median_low(each.handles for each in samples),
        threads=statistics.median_low(each.threads for each in samples),
    )


class Watch(Beside):
    """Looks on from a thread of its own while the block runs."""

    def __init__(self, bundle: Bundle) -> None:
        super().__init__(PAUSE_S)
        self._bundle = bundle
        self.samples: dict[str, list[Sample]] = {"circusd": [], "guard": [], "largest worker": []}
        self.most_processes = 0
        self.workers: set[int] = set()

    def look(self) -> None:
        """Take a sample of each."""
        tree = self._bundle.tree()
        workers = self._bundle.workers()
        self.most_processes = max(self.most_processes, len(tree))
        self.workers |= workers
        self._look("circusd", {self._bundle.circusd.pid})
        self._look("guard", {self._bundle.guard()} - {0})
        self._look("largest worker", workers)

    def _look(self, name: str, pids: set[int]) -> None:
        seen = [(pid, stat) for pid in pids if (stat := processes.stat(pid)) is not None]
        if seen:
            self.samples[name].append(
                Sample(
                    time.monotonic(),
                    max(processes.rss_mb(pid) for pid, _ in seen),
                    max(processes.handles(pid) for pid, _ in seen),
                    max(stat.threads for _, stat in seen),
                )
            )
