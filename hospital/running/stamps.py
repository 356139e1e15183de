"""Notice that a file which was imported has changed."""

import contextlib
import os
import sys
from pathlib import Path


def stamps_of_modules() -> list[tuple[str, int, int]]:
    """Return file, time of change (ns) and size of what was imported that a user may edit."""
    from hospital.running.places import is_library

    paths: set[str] = set()
    for module in list(sys.modules.values()):
        filename = getattr(module, "__file__", None)
        if isinstance(filename, str) and not is_library(filename):
            paths.add(filename)
            paths.add(str(Path(filename).parent))
        elif filename is None:
            with contextlib.suppress(Exception):
                folders = getattr(module, "__path__", ())
                paths.update(str(folder) for folder in folders if not is_library(f"{folder}/"))
    return [stamp for path in sorted(paths) if (stamp := stamp_of(path)) is not None]


def stamp_of(path: str) -> tuple[str, int, int] | None:
    """Return *path*, its time of change (ns) and its size; None where it cannot be had."""
    try:
        found = os.stat(path)  # noqa: PTH116 - called for each module in each run
    except OSError:
        return None
    return path, found.st_mtime_ns, found.st_size
