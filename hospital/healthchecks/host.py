"""Health checks of the machine itself: disks, memory, load, open files.

Rule: the limits come from ``HOSPITAL_*`` variables, see ``hospital.settings.LIMITS``; each check
records its figures with ``hospital.measure`` and is judged by them.
"""

import os
import stat
import unittest
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from hospital.errors import HospitalError
from hospital.healthchecks.mounts import Mount, local_mounts, root_is_remote
from hospital.marking import healthcheck, measure, warn
from hospital.settings import read_settings

MOST_MOUNTS = 90
"""So many measurements a check can record; of more mounts, the fullest are."""

_DIGITS = 4
_MOUNTINFO = Path("/proc/self/mountinfo")
_FILESYSTEMS = Path("/proc/filesystems")
_FILE_NR = Path("/proc/sys/fs/file-nr")


@healthcheck(
    tags="host",
    fix="find what grew with 'du -xhd1 MOUNT | sort -h', then rotate, delete or enlarge",
)
def disk_space() -> None:
    """Each local mount has free space."""
    if not _measure_mounts("disk_used", "DISK_USED", space_used):
        raise HospitalError("no local mount has a size", "", "see which there are with 'df -h'")


@healthcheck(
    tags="host",
    fix="find where the many small files are with 'du --inodes -xd1 MOUNT | sort -n'",
)
def inodes() -> None:
    """Each local mount has free inodes."""
    if not _measure_mounts("inodes_used", "INODES_USED", inodes_used):
        raise unittest.SkipTest("no local mount has a fixed number of inodes")


@healthcheck(tags="host", fix="see who holds it with 'ps aux --sort=-rss | head'")
def memory() -> None:
    """Memory is available."""
    import psutil

    held = psutil.virtual_memory()
    if held.total <= 0:
        raise HospitalError("the system tells no size of its memory:", f"{held.total} bytes")
    _measure("memory_available", held.available / held.total, "MEMORY_AVAILABLE")


@healthcheck(tags="host", fix="see who waits for what with 'top' and 'ps -eo state,pid,cmd'")
def load() -> None:
    """The load of the last five minutes suits the cores."""
    try:
        _, five_minutes, _ = os.getloadavg()
    except (AttributeError, OSError) as error:
        raise unittest.SkipTest("the system does not tell its load") from error
    _measure("load_per_core", five_minutes / (os.cpu_count() or 1), "LOAD_PER_CORE")


@healthcheck(
    tags="host",
    fix="see who holds them with 'lsof | cut -f1 -d\" \" | sort | uniq -c', or raise fs.file-max",
)
def open_files() -> None:
    """The system has free file handles."""
    try:
        allocated, unused, most = map(int, _FILE_NR.read_text().split())
    except OSError as error:
        raise unittest.SkipTest(f"the system does not tell its open files in {_FILE_NR}") from error
    _measure("files_used", (allocated - unused) / most, "FILES_USED")


def _limits(name: str) -> tuple[str | None, str | None]:
    limits = read_settings().limits
    return limits[f"HOSPITAL_{name}_WARN"] or None, limits[f"HOSPITAL_{name}_FAIL"] or None


def _measure(name: str, value: float, limits_of: str) -> None:
    warn_limit, fail_limit = _limits(limits_of)
    measure(name, round(value, _DIGITS), "1", warn=warn_limit, fail=fail_limit)


def _measure_mounts(
    name: str, limits_of: str, look: Callable[[os.statvfs_result], float | None]
) -> int:
    """Measure each local mount that *look* has a ratio for, and return how many these are."""
    warn_limit, fail_limit = _limits(limits_of)
    used, faults = _look_at(_mounts(), look)
    for mount, ratio in used:
        measure(
            f"{name}:{mount.path}",
            round(ratio, _DIGITS),
            "1",
            warn=warn_limit if mount.is_writable else None,  # what nobody can write stays as it is
            fail=fail_limit if mount.is_writable else None,
        )
    if faults:
        raise HospitalError("cannot look at", ", ".join(faults), "see what dmesg says of its disk")
    return len(used)


def _look_at(
    mounts: Iterable[Mount], look: Callable[[os.statvfs_result], float | None]
) -> tuple[list[tuple[Mount, float]], list[str]]:
    """Return the ratio of each mount that has one, and what went wrong with the others.

    That this user may not see a mount is told as a warning.
    """
    used: list[tuple[Mount, float]] = []
    faults: list[str] = []
    for mount in mounts:
        try:
            ratio = look(os.statvfs(mount.path))
        except FileNotFoundError:  # unmounted a moment ago
            continue
        except PermissionError as error:
            warn(f"cannot look at {mount.path}: {error.strerror}")
        except OSError as error:
            faults.append(f"{mount.path}: {error.strerror}")
        else:
            if ratio is not None:
                used.append((mount, ratio))
    if len(used) > MOST_MOUNTS:
        used = sorted(used, key=_fullest_first)[:MOST_MOUNTS]
    return used, faults


def _fullest_first(of_mount: tuple[Mount, float]) -> tuple[bool, float]:
    mount, ratio = of_mount
    return not mount.is_writable, -ratio


def space_used(held: os.statvfs_result) -> float | None:
    """Return how much of what an ordinary user can have is taken, 0 to 1, as df shows it.

    None where the file system has no size.
    """
    return _ratio(held.f_blocks - held.f_bfree, held.f_bavail)


def inodes_used(held: os.statvfs_result) -> float | None:
    """Return how many of the inodes an ordinary user can have are taken, 0 to 1.

    None where the file system has no fixed number of them (btrfs, vfat).
    """
    return _ratio(held.f_files - held.f_ffree, held.f_favail) if held.f_files else None


def _ratio(taken: int, left: int) -> float | None:
    return taken / (taken + left) if taken + left > 0 else None


def _mounts() -> list[Mount]:
    try:
        mountinfo = os.fsdecode(_MOUNTINFO.read_bytes())
        found = local_mounts(mountinfo, _FILESYSTEMS.read_text(), _is_folder)
        may_touch_root = not root_is_remote(mountinfo)
    except FileNotFoundError:
        found, may_touch_root = _mounts_by_psutil(), True
    if not found and may_touch_root:
        found = [Mount("/")]
    if not found:
        raise HospitalError("no local mount found", "", "leave out what looks at mounts: --exclude")
    return found


def _mounts_by_psutil() -> list[Mount]:
    """Return the local mounts of a system without Linux's tables, each device once."""
    import psutil

    chosen: dict[int, Mount] = {}
    parts = psutil.disk_partitions(all=False)
    for part in sorted(parts, key=lambda part: len(part.mountpoint)):
        with suppress(OSError):
            device = os.stat(part.mountpoint).st_dev  # noqa: PTH116 - as os.statvfs is asked
            is_writable = "ro" not in part.opts.split(",")
            chosen.setdefault(device, Mount(part.mountpoint, is_writable))
    return list(chosen.values())


def _is_folder(path: str) -> bool:
    try:
        return stat.S_ISDIR(os.stat(path).st_mode)  # noqa: PTH116 - pathlib hides what went wrong
    except FileNotFoundError:
        return False
    except OSError:
        return True  # so that the look at it tells
