"""Make room for a new log file: the old ones move up by one, and the oldest goes."""

import os
import stat
from collections.abc import Iterator
from itertools import count
from pathlib import Path


def rotate(path: str, backup_count: int) -> None:
    """Rename *path* to ``path.1``, ``path.1`` to ``path.2`` and so on, *backup_count* of them.

    Nothing moves further than the first free number, so that a rotation that fails and is tried
    again pushes nothing out. Old files that follow *backup_count* in a row, as from a time when it
    was larger, are removed; other files of such names are not.

    Raises:
        OSError: If *path* cannot be moved out of the way.
    """
    for name in _beyond(path, backup_count):
        Path(name).unlink(missing_ok=True)
    free = next(
        (number for number in range(1, backup_count) if not os.path.lexists(f"{path}.{number}")),
        backup_count,
    )
    for number in range(free, 1, -1):
        Path(f"{path}.{number - 1}").rename(f"{path}.{number}")
    if backup_count:
        Path(path).rename(f"{path}.1")
    else:
        Path(path).unlink()


def _beyond(path: str, backup_count: int) -> Iterator[str]:
    """Yield the old files above *backup_count* that a larger count of ours has left.

    They are numbered without a gap; ``path.20261120`` after it is somebody else's.
    """
    for number in count(backup_count + 1):
        name = f"{path}.{number}"
        if not _is_file(name):
            return
        yield name


def _is_file(name: str) -> bool:
    try:
        return stat.S_ISREG(os.lstat(name).st_mode)
    except FileNotFoundError:
        return False
