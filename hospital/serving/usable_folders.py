"""Whether a file can be made in a folder; if not, why, and what to run.

Rule: nothing here makes or changes anything, and nothing raises, whatever may not be looked at.
"""

import os
import pwd
import shlex
from pathlib import Path
from typing import NamedTuple

_MISSING = "there is no such folder"


class FolderFault(NamedTuple):
    """Why no file can be made in a folder.

    Attributes:
        reason: Why.
        remedy: What to do; empty where another folder is all that helps.
    """

    reason: str
    remedy: str


def fault_of(folder: Path, mode: str) -> FolderFault | None:
    """Return why no file can be made in *folder*, that is to have *mode*; None where one can."""
    try:
        owner = folder.stat().st_uid
        is_read_only = bool(os.statvfs(folder).f_flag & os.ST_RDONLY)
    except (FileNotFoundError, NotADirectoryError):
        return FolderFault(_MISSING, _creation(folder, mode))
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        closed = _closed(folder)
        return FolderFault(f"{closed or folder}: {reason}", _ownership(closed) if closed else "")
    if not folder.is_dir():
        return FolderFault("that is no folder", "")
    if os.access(folder, os.W_OK | os.X_OK):
        return None
    if is_read_only:
        return FolderFault("its file system is read-only", "mount it for writing")
    return _unwritable(folder, owner)


def _unwritable(folder: Path, owner: int) -> FolderFault:
    if os.geteuid() == 0:
        return FolderFault("nobody may write there", "")
    if owner == os.geteuid():
        remedy = f"run: chmod u+rwx {shlex.quote(str(folder))}"
        return FolderFault("its owner may not write there", remedy)
    reason = f"it belongs to {_name(owner)}, and this user may not write there"
    return FolderFault(reason, _ownership(folder))


def fault_of_makeable(folder: Path, mode: str) -> FolderFault | None:
    """Return the same of a folder whose last part is made where it is missing."""
    fault = fault_of(folder, mode)
    if fault and fault.reason == _MISSING and fault_of(folder.parent, mode) is None:
        return None
    return fault


def may_enter(folder: str) -> bool:
    """Tell whether this process could change into *folder* by its name.

    By doing half of it: ``access`` knows nothing of capabilities.
    """
    try:
        os.stat(f"{folder}/.")  # noqa: PTH116 - Path drops the point
    except OSError:
        return False
    return True


def file_fault(path: Path) -> FolderFault | None:
    """Return why the file *path*, which is there, cannot be written; None where it can or is not.

    It has to be read as well, to see how it ends.
    """
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    if os.access(path, os.R_OK | os.W_OK):
        return None
    if status.st_uid == os.geteuid():
        return FolderFault("its owner may not", f"run: chmod u+rw {shlex.quote(str(path))}")
    return FolderFault(f"it belongs to {_name(status.st_uid)}", _ownership(path))


def _creation(folder: Path, mode: str) -> str:
    there = next((each for each in folder.parents if os.path.lexists(each)), Path("/"))
    what = shlex.quote(str(folder))
    if os.access(there, os.W_OK | os.X_OK):
        return f"create it: install -d -m {mode} {what}"
    return f"create it as root: install -d -m {mode} -o {_name(os.geteuid())} {what}"


def _closed(folder: Path) -> Path | None:
    """Return the outermost folder on the way to *folder* that this user may not enter."""
    ways = [each for each in reversed(folder.parents) if os.path.isdir(each)]  # noqa: PTH112 - Path.is_dir raises for what may not be looked at
    return next((each for each in ways if not os.access(each, os.X_OK)), None)


def _ownership(path: Path) -> str:
    return f"run as root: chown {_name(os.geteuid())} {shlex.quote(str(path))}"


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
