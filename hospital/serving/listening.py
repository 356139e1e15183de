"""The socket that a server listens on, and what each request's environment says of it."""

import os
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from hospital.errors import PortError
from hospital.serving import ports

_INHERITED = "fd://"
_UNIX = "unix:"
_DEFAULT_PORT = "80"
"""Of a unix socket, which has none: PEP 3333 wants one, and no URL shows the scheme's own."""
_FD_REMEDY = "under circus, set use_sockets = True and pass --fd $(circus.sockets.NAME)"


def inherited_number(host: str) -> int:
    """Return the descriptor that *host* names, as in ``fd://4``; -1 where it names none."""
    return int(host.removeprefix(_INHERITED)) if host.startswith(_INHERITED) else -1


def take_socket(host: str, port: int | None, backlog: int | None, family: int) -> socket.socket:
    """Return the socket that listens on *host*, which may be ``fd://N`` or ``unix:PATH``.

    Raises:
        PortError: If there is none.
    """
    number = inherited_number(host)
    if number >= 0:
        return _inherited_socket(number)
    if host.startswith(_UNIX):
        return ports.listen_unix(host.removeprefix(_UNIX), backlog)
    return ports.listen(host, port or 0, backlog, family)


def unix_remover(host: str) -> Callable[[], None]:
    """Return what removes the unix socket that has just been made for *host*, if it is one.

    Not one that somebody else has put in its place meanwhile.
    """
    if not host.startswith(_UNIX):
        return lambda: None
    path = Path(host.removeprefix(_UNIX)).absolute()
    made = path.stat()

    def remove() -> None:
        with suppress(OSError):
            if os.path.samestat(made, path.stat()):
                path.unlink()

    return remove


def _inherited_socket(number: int) -> socket.socket:
    try:
        # What the application starts must not hold the port.
        os.set_inheritable(number, False)  # noqa: FBT003 - its only parameter beside the number
        taken = socket.socket(fileno=os.dup(number))
        listening = taken.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError as error:
        raise PortError(
            "cannot listen on descriptor", f"{number}: {error.strerror}", _FD_REMEDY
        ) from error
    if not listening:
        raise PortError("cannot listen on descriptor", f"{number}: it does not listen", _FD_REMEDY)
    return taken


def make_environ(listener: socket.socket, *, shared: bool) -> dict[str, Any]:
    """Return what is the same in the WSGI environment of each request."""
    address = listener.getsockname()
    name, port = address[:2] if isinstance(address, tuple) else ("localhost", _DEFAULT_PORT)
    return {
        "GATEWAY_INTERFACE": "CGI/1.1",
        "SERVER_SOFTWARE": "hospital",
        "SERVER_NAME": str(name),
        "SERVER_PORT": str(port),
        "SCRIPT_NAME": "",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": shared,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
    }
