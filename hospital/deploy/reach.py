"""What another user of this machine gets at: folders that he may pass through, files to read.

Modes and owners are looked at, since root, who renders for another user, may do everything.

Rule: nothing is opened and nothing is changed; what cannot be looked at is no barrier.
"""

import grp
import os
import pwd
import stat
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_MOST_LINKS = 40  # as the kernel follows: path_resolution(7)
_READ, _PASS = 4, 1


@dataclass(frozen=True, slots=True)
class Account:
    """A user as the kernel sees him.

    Attributes:
        name: What people call him.
        uid: His number.
        groups: The numbers of all his groups.
    """

    name: str
    uid: int
    groups: frozenset[int]


def account_of(user: str, group: str) -> Account:
    """Return *user* with *group* and his further groups: circusd gives them to a worker too.

    Raises:
        KeyError: If there is no such user or group.
    """
    gid = grp.getgrnam(group).gr_gid
    return Account(user, pwd.getpwnam(user).pw_uid, frozenset(os.getgrouplist(user, gid)))


def barriers(account: Account, path: Path) -> list[Path]:
    """Return the folders through which *account* would have to pass to *path*, and cannot.

    Links are followed; that *path* is there, or is a folder, does not matter.
    """
    closed = (each for each in _folders_on_the_way(path) if not _may(account, each, _PASS))
    return list(dict.fromkeys(closed))


def may_pass(account: Account, path: Path) -> bool:
    """Tell whether *account* may pass through the folder *path*, or run the file."""
    return _may(account, path, _PASS)


def may_read(account: Account, path: Path) -> bool:
    """Tell whether *account* may read *path*, once he is there."""
    return _may(account, path, _READ)


def this_python() -> str:
    """Return where this Python is: its links stay, since an environment is found by them."""
    return os.path.abspath(sys.executable) if sys.executable else ""  # noqa: PTH100 - pathlib keeps ".."


def _folders_on_the_way(path: Path) -> Iterator[Path]:
    """Yield each folder that the kernel looks into on its way to *path*."""
    here = Path("/")
    names = list(reversed(path.absolute().parts[1:]))
    links = 0
    while names:
        yield here
        name = names.pop()
        step = here.parent if name == ".." else here / name
        target = ""
        with suppress(OSError):  # mostly no link at all
            target = os.readlink(step)  # noqa: PTH115 - a text, with its ".."
        if not target:
            here = step
            continue
        links += 1
        if links > _MOST_LINKS:
            return
        target_path = Path(target)
        if target_path.is_absolute():
            here = Path("/")
        names += reversed([each for each in target_path.parts if each != "/"])


def _may(account: Account, path: Path, bit: int) -> bool:
    """Tell whether *account* has *bit*, one of those of others, at *path*."""
    try:
        status = path.stat()
    except OSError:
        return True
    mode = stat.S_IMODE(status.st_mode)
    if account.uid == 0:
        return bit == _READ or stat.S_ISDIR(status.st_mode) or bool(mode & 0o111)
    if _has_list(path):  # he may be named there
        return True
    if status.st_uid == account.uid:
        return bool(mode & bit << 6)
    if status.st_gid in account.groups:
        return bool(mode & bit << 3)
    return bool(mode & bit)


def _has_list(path: Path) -> bool:
    with suppress(OSError):  # many file systems know of none
        return "system.posix_acl_access" in os.listxattr(path)
    return False
