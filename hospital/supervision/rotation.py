"""Make room for a new log file: the old ones move up by one, and the oldest goes."""

import os
from pathlib import Path


def rotate(path: str, backup_count: int) -> None:
    """Rename *path* to ``path.1``, ``path.1`` to ``path.2`` and so on, *backup_count* of them.

    Nothing moves further than the first free number, so that a rotation that fails and is tried
    again pushes nothing out. Old files beyond *backup_count*, as from a time when it was larger,
    are removed.

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


def _beyond(path: str, backup_count: int) -> list[str]:
    folder, stem = Path(path).parent, Path(path).name + "."
    return [
        os.path.join(folder, name)  # noqa: PTH118 - of many names, few are looked at
        for name in os.listdir(folder)  # noqa: PTH208 - likewise
        if name.startswith(stem)
        and name[len(stem) :].isdecimal()
        and name.isascii()
        and int(name[len(stem) :]) > backup_count
    ]
