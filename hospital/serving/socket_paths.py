"""Whether a unix socket can be made at a path, and who listens there already.

Rule: nothing here makes, removes or changes anything.
"""

import os
import socket
import stat
import struct
from pathlib import Path

from hospital.errors import PortError
from hospital.serving.usable_folders import fault_of

_LONGEST_PATH = 107  # bytes, in a unix socket's address
_CREDENTIALS = struct.Struct("3i")  # pid, user, group: struct ucred


def peer(path: str) -> int:
    """Return the pid of who listens on *path*; 0 where the system does not say.

    Raises:
        OSError: If nobody does, or it may not be known.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(path)
        except BlockingIOError:  # there is no room in its queue: somebody listens, too busy
            return 0
        who = probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        return int(_CREDENTIALS.unpack(who)[0])


def listener(path: str) -> int | None:
    """Return the pid of who listens on *path*, as :func:`peer`; None where nobody does."""
    try:
        return peer(path)
    except OSError:
        return None


class AnsweredError(PortError):
    """Somebody listens on the path of a unix socket already.

    Attributes:
        path: The path.
        pid: Who; 0 where the system does not say.
    """

    def __init__(self, path: str, pid: int, remedy: str) -> None:
        self.path = path
        self.pid = pid
        what = f"unix:{path}: the path is in use by {_name_of(pid)}"
        super().__init__("cannot listen on", what, f"stop it, or {remedy}")


def check_unix(path: str, *, replace: bool, remedy: str) -> None:
    """Look whether somebody could listen on *path*; nothing is made or removed.

    Args:
        path: The path.
        replace: Whether who is to listen removes a socket that nobody listens on any more.
        remedy: What to do where somebody else listens there.

    Raises:
        PortError: If it is not possible.
    """

    def refused(why: str, what_to_do: str) -> PortError:
        return PortError("cannot listen on", f"unix:{path}: {why}", what_to_do)

    size = len(os.fsencode(path))
    if not 0 < size <= _LONGEST_PATH:
        raise refused(f"the path has {size} bytes, and a socket's has 1 to {_LONGEST_PATH}", remedy)
    folder = Path(path).parent
    if fault := fault_of(folder, "0700"):
        raise refused(f"{folder}: {fault.reason}", fault.remedy or remedy)
    try:
        is_socket = stat.S_ISSOCK(os.stat(path).st_mode)  # noqa: PTH116 - as above
    except OSError:
        return
    if not is_socket:
        raise refused("a file is there that is no socket", f"move it away, or {remedy}")
    pid = listener(path)
    if pid is not None:
        raise AnsweredError(path, pid, remedy)
    if not replace:
        raise refused(
            "a socket is there that nobody listens on", "remove it, or write replace = True"
        )


def _name_of(pid: int) -> str:
    try:
        return f"{Path(f'/proc/{pid}/comm').read_text().strip()} (pid {pid})"
    except OSError:
        return f"pid {pid}" if pid else "a process that the system does not show"
