"""Order ``sys.path`` so that no file of checks hides a module of Python's own."""

import contextlib
import os
import sys
from collections.abc import Iterable


def import_from_here() -> None:
    """Let this process import from the working folder, as ``python -m`` does; after Python's own.

    Else a ``json.py`` among the checks would be imported by hospital itself.
    """
    with contextlib.suppress(OSError):
        here = os.getcwd()  # noqa: PTH109 - a text is needed, and pathlib costs a start
        if not sys.flags.safe_path and not {here, ""} & set(sys.path):
            sys.path.insert(0, here)
    sys.path[:] = standard_first(sys.path)


def standard_first(path: Iterable[str]) -> list[str]:
    """Return *path* with the standard library before all else, the rest in its own order.

    Python puts the current folder first, so that a ``json.py`` or ``logging.py`` among the checks
    would be imported by whoever wants the standard one.
    """
    standard = os.path.dirname(os.__file__)  # noqa: PTH120 - pathlib costs the start of a command
    own = {standard, os.path.join(standard, "lib-dynload")}  # noqa: PTH118 - likewise
    entries = list(dict.fromkeys(path))
    return sorted(entries, key=lambda entry: os.path.realpath(entry or os.curdir) not in own)
