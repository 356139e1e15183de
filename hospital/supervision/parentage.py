"""Which circusd a plugin belongs to: not always who is its parent by the time it can look.

A circusd that is killed while its plugin starts leaves it to another parent, for ever. The plugin
knows circusd's control socket, and the kernel knows who listens there.
"""

from pathlib import Path

from hospital.serving.socket_paths import peer

NOBODY = 0
"""The parent of no process that circusd starts."""

_INIT = 1


def circusd_of(endpoint: str, parent: int) -> int:
    """Return the pid of the circusd whose control socket is *endpoint*.

    Args:
        endpoint: As circusd tells it to its plugins.
        parent: Who is the parent of this process now, which has to do where the endpoint does
            not say: it is no file, or this process may not open it.

    Returns:
        ``NOBODY`` where circusd is gone.
    """
    scheme, _, path = endpoint.partition("://")
    if scheme == "ipc":
        try:
            pid = peer(path)
        except ConnectionRefusedError:
            return NOBODY
        except OSError:
            pid = 0
        if pid:
            return pid
    return NOBODY if parent == _INIT and not _is_circusd(parent) else parent


def _is_circusd(pid: int) -> bool:
    try:
        return b"circus" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return True  # nobody can tell
