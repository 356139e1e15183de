"""Listen on an address, or say in one line why not, who holds it, and what to do."""

import contextlib
import errno
import os
import socket
import stat
from typing import Any

from hospital.errors import PortError
from hospital.serving.socket_paths import listener

DEFAULT_BACKLOG = 2048
DEFAULT_REMEDY = "choose another port with --port"
_HIGHEST_PORT = 65_535
_EVERYWHERE = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared with, not bound to


def listen(
    host: str,
    port: int,
    backlog: int | None = None,
    family: int = socket.AF_INET,
    *,
    remedy: str = DEFAULT_REMEDY,
) -> socket.socket:
    """Return a socket that listens on an address.

    Args:
        host: Name or number; empty for every address.
        port: 0 for a free one.
        backlog: Connections that may wait to be accepted.
        family: The family to listen in where *host* leaves the choice.
        remedy: What to do when the port is taken.

    Raises:
        PortError: If that is not possible; the message names who holds the port.
    """
    taken = bind(host, port, family, remedy=remedy)
    try:
        taken.listen(DEFAULT_BACKLOG if backlog is None else backlog)
    except OSError as error:
        taken.close()
        raise port_error(host, port, error, remedy=remedy) from error
    return taken


def bind(
    host: str, port: int, family: int = socket.AF_INET, *, remedy: str = DEFAULT_REMEDY
) -> socket.socket:
    """Return a socket bound to an address, as circusd binds it.

    Raises:
        PortError: If that is not possible.
    """
    if not 0 <= port <= _HIGHEST_PORT:
        raise PortError("cannot listen on port", str(port), f"choose one of 1 to {_HIGHEST_PORT}")
    chosen, address = _resolve(host, port, family)
    taken = socket.socket(chosen, socket.SOCK_STREAM)
    try:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(address)
    except OSError as error:
        taken.close()
        raise port_error(host, port, error, remedy=remedy) from error
    return taken


def listen_unix(path: str, backlog: int | None = None) -> socket.socket:
    """Return a socket that listens on *path*; a stale one of a dead server is replaced.

    Raises:
        PortError: If the path cannot be used, or somebody answers there.
    """
    taken = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with contextlib.suppress(FileNotFoundError):
            if stat.S_ISSOCK(os.stat(path).st_mode) and listener(path) is None:  # noqa: PTH116
                os.unlink(path)  # noqa: PTH108 - a path of the socket layer, bytes at most 107
        taken.bind(path)
        taken.listen(DEFAULT_BACKLOG if backlog is None else backlog)
    except OSError as error:
        taken.close()
        reason = error.strerror or str(error)
        raise PortError(
            "cannot listen on", f"unix:{path}: {reason.lower()}", "choose another path"
        ) from error
    return taken


def port_error(host: str, port: int, error: OSError, *, remedy: str = DEFAULT_REMEDY) -> PortError:
    """Return the error that says why *host* and *port* cannot be listened on, and what to do."""
    where = _written(host, port)
    match error.errno:
        case errno.EADDRINUSE:
            why, remedy = f"the port is in use by {holder(host, port)}", f"stop it, or {remedy}"
        case errno.EACCES:
            why = "ports below 1024 need a privilege that this user lacks"
            remedy = f"{remedy}, 1024 or above"
        case errno.EADDRNOTAVAIL:
            why = "this machine has no such address"
            remedy = "listen on 127.0.0.1, 0.0.0.0 or an address that 'ip address' shows"
        case _:
            why = (error.strerror or str(error)).lower()
    return PortError("cannot listen on", f"{where}: {why}", remedy)


def holder(host: str, port: int) -> str:
    """Return who listens on a port, ``name (pid N)``, as far as the system shows it."""
    import psutil

    try:
        connections = psutil.net_connections(kind="tcp")
    except (psutil.Error, OSError):
        return "a process that the system does not show"
    held = [
        (not _conflict(each.laddr.ip, host), each.pid)
        for each in connections
        if each.status == psutil.CONN_LISTEN and each.laddr and each.laddr.port == port
    ]
    for _, pid in sorted(held, key=lambda each: each[0]):
        with contextlib.suppress(psutil.Error):
            if pid is not None:
                process = _who_started(psutil.Process(pid), port)
                return f"{process.name()} (pid {process.pid})"
    return "a process of another user" if held else "a process that the system does not show"


def _who_started(process: Any, port: int) -> Any:
    """Return who handed its listening socket down to *process*: who is to be stopped.

    A worker would be replaced at once by the supervisor that holds the socket too.
    """
    while (parent := process.parent()) is not None and _listens(parent, port):
        process = parent
    return process


def _connections_of(process: Any) -> Any:
    """Return what psutil 5 calls ``connections`` and psutil 6 ``net_connections``."""
    return getattr(process, "net_connections", None) or process.connections


def _listens(process: Any, port: int) -> bool:
    import psutil

    try:
        connections = _connections_of(process)(kind="tcp")
    except (psutil.Error, OSError):
        return False
    return any(
        each.status == psutil.CONN_LISTEN and each.laddr and each.laddr.port == port
        for each in connections
    )


def _conflict(held: str, wanted: str) -> bool:
    return held == wanted or held in _EVERYWHERE or wanted in _EVERYWHERE or not wanted


def _resolve(host: str, port: int, family: int) -> tuple[int, Any]:
    """Return family and address to bind to; a name is resolved in *family* first."""
    numeric = host.removeprefix("[").removesuffix("]")
    try:
        numeric.encode("idna")  # else gevent's resolver tells its own traceback first
        found = socket.getaddrinfo(
            numeric or None, port, 0, socket.SOCK_STREAM, 0, socket.AI_PASSIVE
        )
    except (socket.gaierror, UnicodeError) as error:
        raise PortError(
            "cannot listen on",
            f"{_written(host, port)}: the host is unknown",
            "write an address, such as 127.0.0.1, or a name that resolves",
        ) from error
    found.sort(key=lambda each: each[0] != family)
    return found[0][0], found[0][4]


def _written(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host and host[:1] != "[" else f"{host}:{port}"
