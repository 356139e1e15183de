"""Which mounts of this machine hold files of its own, and can be looked at without risk.

Rule: a call on a dead network mount never returns, so what is remote, or reached through what
is remote, is recognised by the kernel's table alone, and never touched.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

MEMORY_MOUNTS = frozenset({"/tmp", "/var/tmp", "/run", "/dev/shm"})  # noqa: S108 - looked at only
"""Where a full tmpfs stops services as a full disk does; others are the system's own affair."""

_MEMORY = "tmpfs"
_ALWAYS_FULL = frozenset({"squashfs", "iso9660", "udf", "erofs", "cramfs", "romfs"})
_CLUSTERED = frozenset({"gfs", "gfs2", "ocfs2"})
_OWN_SPACE = frozenset({"zfs"})
"""On disks, though its module says "nodev"; each dataset has a device number of its own."""

_ROOTS = frozenset({"overlay", "aufs", _MEMORY})
_SAFE_TO_CROSS = _ROOTS | _ALWAYS_FULL | {"ramfs", "rootfs", "devtmpfs"}
_ESCAPED = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Mount:
    """A mount that is worth a look.

    Attributes:
        path: Where it is mounted.
        is_writable: Whether its file system can be written; if not, its figures never change.
    """

    path: str
    is_writable: bool = True


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of ``/proc/self/mountinfo``, see proc(5)."""

    id: str
    parent: str
    device: str
    root: str
    path: str
    kind: str
    options: tuple[str, ...]

    @classmethod
    def of(cls, text: str) -> "_Line":
        before, _, after = text.partition(" - ")
        number, parent, device, root, path, *_ = before.split(" ")
        kind, _, options = after.split(" ")[:3]
        return cls(
            number,
            parent,
            device,
            _unescape(root),
            _unescape(path),
            kind,
            tuple(options.split(",")),
        )


def local_mounts(mountinfo: str, filesystems: str, is_folder: Callable[[str], bool]) -> list[Mount]:
    """Return the mounts of this machine's own block devices, and the memory mounts that matter.

    Each device once, at its shortest path. Left out are pseudo file systems, network and FUSE
    mounts, automounts, images that are always full, single files that a container has mounted,
    what other mounts hide, and what is only reached through one of these. A root on overlay or
    tmpfs counts.

    Args:
        mountinfo: Text of ``/proc/self/mountinfo``.
        filesystems: Text of ``/proc/filesystems``, which says what needs a block device.
        is_folder: Tells a folder from a file; asked about what is safe to touch only.
    """
    on_disks = _kinds_on_disks(filesystems)
    chosen: dict[str, _Line] = {}
    for line in sorted(_reachable(_lines(mountinfo), on_disks | _SAFE_TO_CROSS), key=_preference):
        if line.device not in chosen and _counts(line, on_disks) and is_folder(line.path):
            chosen[line.device] = line
    return [
        Mount(line.path, "ro" not in line.options) for line in sorted(chosen.values(), key=_path)
    ]


def root_is_remote(mountinfo: str) -> bool:
    """Return whether the root is on something that must not be touched."""
    kinds = [line.kind for line in _lines(mountinfo) if line.path == "/"]
    return bool(kinds) and kinds[-1].startswith(("nfs", "cifs", "smb", "ceph", "fuse", "autofs"))


def _lines(mountinfo: str) -> list[_Line]:
    # Not splitlines(): a path may hold what Python, but not the kernel, takes for a line's end.
    return [_Line.of(text) for text in mountinfo.split("\n") if " - " in text]


def _kinds_on_disks(filesystems: str) -> frozenset[str]:
    rows = [row.split("\t") for row in filesystems.splitlines()]
    kinds = {row[-1].strip() for row in rows if row[0] != "nodev"}
    return frozenset(kinds | _OWN_SPACE) - _ALWAYS_FULL - _CLUSTERED


def _counts(line: _Line, on_disks: frozenset[str]) -> bool:
    if line.kind in on_disks:
        return True
    if line.path == "/":
        return line.kind in _ROOTS
    return line.kind == _MEMORY and line.path in MEMORY_MOUNTS


def _preference(line: _Line) -> tuple[bool, bool, int, str]:
    """Sort the root first, the whole of a file system before a part, then the shorter path."""
    return line.path != "/", line.root != "/", len(line.path), line.path


def _path(line: _Line) -> str:
    return line.path


def _reachable(lines: Iterable[_Line], safe: frozenset[str]) -> list[_Line]:
    """Return the mounts that their path leads to, through safe file systems alone.

    A mount hides what was mounted before on its own path, or below it, on the same parent.
    """
    by_id = {line.id: line for line in lines}
    children: dict[str, list[_Line]] = {}
    for line in by_id.values():
        children.setdefault(line.parent, []).append(line)

    def is_hidden(line: _Line) -> bool:
        covered = any(each.path == line.path for each in children.get(line.id, ()))
        return covered or is_buried(line)

    def is_buried(line: _Line) -> bool:
        beside = [each for each in children.get(line.parent, ()) if each.id != line.id]
        return any(line.path.startswith(each.path.rstrip("/") + "/") for each in beside)

    def leads_there(line: _Line) -> bool:
        seen = set()
        here: _Line | None = line
        while here is not None and here.id not in seen:
            seen.add(here.id)
            if here.kind not in safe or is_buried(here):
                return False
            here = by_id.get(here.parent)
        return True

    return [line for line in by_id.values() if leads_there(line) and not is_hidden(line)]


def _unescape(text: str) -> str:
    return _ESCAPED.sub(lambda match: chr(int(match[1], 8)), text)
