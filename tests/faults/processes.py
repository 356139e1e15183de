"""What the kernel says of processes: whether they live, and what they hold."""

import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_TICKS_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Stat:
    """The fields of ``/proc/PID/stat`` that are asked for; times in seconds or clock ticks."""

    state: str
    parent: int
    cpu_s: float
    threads: int
    started: int


def stat(pid: int) -> Stat | None:
    """Return what the kernel says of a process; None where it is gone, a zombie too."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    if fields[0] in "ZX":
        return None
    return Stat(
        state=fields[0],
        parent=int(fields[1]),
        cpu_s=(int(fields[11]) + int(fields[12])) / _TICKS_S,
        threads=int(fields[17]),
        started=int(fields[19]),
    )


def is_gone(pid: int) -> bool:
    """Tell whether a process has ended."""
    return stat(pid) is None


def rss_mb(pid: int) -> float:
    """Return the resident memory of a process in MB (10^6 bytes); 0 where it is gone."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024 / 1e6
    return 0.0


def handles(pid: int) -> int:
    """Return how many file handles a process has open; 0 where it is gone."""
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208 - a count of names, often asked
    except OSError:
        return 0


def command(pid: int) -> list[str]:
    """Return the words of a process's command line."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")[:-1]
    except OSError:
        return []


def descendants(pid: int) -> set[int]:
    """Return the processes that descend from *pid*."""
    parents: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):  # noqa: PTH208 - only the names are wanted
        if name.isdigit() and (seen := stat(int(name))) is not None:
            parents.setdefault(seen.parent, []).append(int(name))
    found: set[int] = set()
    waiting = [pid]
    while waiting:
        children = parents.get(waiting.pop(), [])
        found.update(children)
        waiting += children
    return found


class Roll:
    """Remembers processes, to end those that are left; a number that was given anew is nobody's."""

    def __init__(self) -> None:
        self._started: dict[int, int] = {}

    def note(self, pids: set[int]) -> set[int]:
        """Remember *pids*, and return them."""
        for pid in pids - self._started.keys():
            if (seen := stat(pid)) is not None:
                self._started[pid] = seen.started
        return pids

    def alive(self) -> set[int]:
        """Return those that live on."""
        return {
            pid
            for pid, started in self._started.items()
            if (seen := stat(pid)) is not None and seen.started == started
        }

    def kill(self) -> None:
        """End those that live on."""
        for pid in self.alive():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
