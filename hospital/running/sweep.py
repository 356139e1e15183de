"""Find and end what checks left behind, also where it fled into a session of its own.

Rule: only a process that carries this executor's token in its environment, or that was orphaned
to this process after it asked for that, is touched.
"""

import contextlib
import os
import signal
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from hospital.running.process import live_pids
from hospital.settings import WARD_VARIABLE

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Orphanage:
    """What tells the orphans of wards from other children of this process.

    Attributes:
        pids: The children that this process had before any ward.
    """

    pids: frozenset[int]


_orphanage: Orphanage | None = None


def adopt_orphans() -> None:
    """Let orphaned descendants become children of this process, so that none escapes.

    For programs of ours that own their process and start nothing but wards; Linux only. Children
    that are there already are never touched.
    """
    global _orphanage  # noqa: PLW0603 - it is a property of the process
    if _orphanage is not None or not _PROC.joinpath("self/stat").exists():
        return
    import ctypes

    pr_set_child_subreaper = 36
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(pr_set_child_subreaper, 1, 0, 0, 0)
        _orphanage = Orphanage(frozenset(_children_of(os.getpid())))


def leftovers(token: str, known: Collection[int]) -> list[int]:
    """Return the pids of what descends from wards with *token*, *known* ones left out."""
    wanted = f"{WARD_VARIABLE}={token}".encode()
    me = os.getpid()
    found = []
    for pid in _pids():
        if pid == me or pid in known:
            continue
        try:
            environment = (_PROC / str(pid) / "environ").read_bytes()
        except OSError:
            continue
        if wanted in environment.split(b"\0"):
            found.append(pid)
    if _orphanage is not None:
        orphans = set(_children_of(me)) - set(known) - live_pids() - _orphanage.pids
        found += [pid for pid in orphans if pid not in found and _own_session(pid, me)]
    return found


def sweep(token: str, known: Collection[int]) -> int:
    """Kill what descends from wards with *token*, *known* ones left out; return how many."""
    killed = set()
    for _round in range(3):  # what is killed may have forked meanwhile
        pids = [pid for pid in leftovers(token, known) if pid not in killed]
        if not pids:
            break
        for pid in pids:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
            killed.add(pid)
    for pid in killed:
        with contextlib.suppress(OSError):
            os.waitpid(pid, os.WNOHANG)
    return len(killed)


def reap(known: Collection[int]) -> None:
    """Take the exit status of orphans that have ended, so that no zombie stays."""
    if _orphanage is None:
        return
    for pid in set(_children_of(os.getpid())) - set(known) - live_pids() - _orphanage.pids:
        with contextlib.suppress(OSError):
            os.waitpid(pid, os.WNOHANG)


def _own_session(pid: int, me: int) -> bool:
    """Return whether *pid* left our session, as each ward does and no child of our own."""
    try:
        return os.getsid(pid) != os.getsid(me)
    except OSError:
        return False


def _pids() -> Iterator[int]:
    try:
        names = os.listdir(_PROC)  # noqa: PTH208 - names are wanted, of thousands
    except OSError:
        return
    for name in names:
        if name.isdigit():
            yield int(name)


def _children_of(pid: int) -> list[int]:
    found = []
    for task in _PROC.glob(f"{pid}/task/*/children"):
        with contextlib.suppress(OSError, ValueError):
            found += [int(text) for text in task.read_text().split()]
    return found
