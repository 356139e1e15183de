"""Notice that a file which was imported has changed."""

import contextlib
import os
import sys
from types import ModuleType


def stamps_of_modules() -> list[tuple[str, int, int]]:
    """Return file, time of change (ns) and size of what was imported that a user may edit."""
    from hospital.running.places import is_library

    paths: set[str] = set()
    modules: list[object] = [*sys.modules.values()]
    for module in modules:
        if not isinstance(module, ModuleType):
            continue
        held = vars(module)  # a lazy module is not to be woken
        filename = held.get("__file__")
        if isinstance(filename, str) and not is_library(filename):
            paths.add(filename)
            paths.add(os.path.dirname(filename))  # noqa: PTH120 - called for each module
        elif filename is None:
            with contextlib.suppress(Exception):
                folders = [str(folder) for folder in held.get("__path__", ())]
                paths.update(each for each in folders if not is_library(f"{each}{os.sep}"))
    return [stamp for path in sorted(paths) if (stamp := stamp_of(path)) is not None]


def stamp_of(path: str) -> tuple[str, int, int] | None:
    """Return *path*, its time of change (ns) and its size; None where it cannot be had."""
    try:
        found = os.stat(path)  # noqa: PTH116 - called for each module in each run
    except OSError:
        return None
    return path, found.st_mtime_ns, found.st_size
