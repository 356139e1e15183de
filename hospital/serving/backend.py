"""The gevent backend that we register with chaussette.

chaussette 1.3.0 offers its own on Python 2 only, and that one does not work with today's gevent:
see docs/reference/serving.md for what it would do.
"""

import os
import signal
import socket
from functools import partial
from time import monotonic
from typing import Any

import gevent
from gevent.event import Event
from gevent.pywsgi import WSGIServer

from hospital.errors import PortError, UsageError
from hospital.logs import get_logger
from hospital.redaction import clean_line
from hospital.serving import lifetime, ports
from hospital.serving.handler import NEVER, Handler

logger = get_logger("hospital.serving")

NAME = "gevent"
"""chaussette ties monkey patching and ``--graceful-timeout`` to names: it has to be this one."""

DEFAULT_GRACEFUL_TIMEOUT_S = 10.0
_LINGER_S = 0.5
_TICK_S = 0.02


class Server(WSGIServer):
    """Serve a WSGI application on gevent, and drain on SIGTERM and SIGINT.

    Args:
        listener: Host and port; the host may be ``fd://N`` or ``unix:PATH``.
        application: The WSGI application; its ``close()``, if any, is called at the end.
        backlog: Connections that may wait to be accepted.
        address_family: Family of the socket; an inherited one knows its own.
        socket_type: Type of the socket; likewise.
        spawn: Connections at once; None for no limit.
        graceful_timeout: Seconds that requests in flight may take after a signal.
        life: Where the process ends with its parent: an orphan drains for a second at most.

    Raises:
        PortError: If the address cannot be listened on.
        UsageError: If the application cannot be called.
    """

    handler_class = Handler
    head_timeout_s = 10.0
    keep_alive_s = 75.0
    stall_timeout_s = 30.0

    def __init__(  # noqa: PLR0913 - chaussette's contract
        self,
        listener: tuple[str, int | None] | socket.socket,
        application: Any,
        *,
        backlog: int | None = None,
        address_family: int = socket.AF_INET,
        socket_type: int = socket.SOCK_STREAM,
        spawn: int | None = None,
        graceful_timeout: float | None = None,
        life: lifetime.Lifetime | None = None,
    ) -> None:
        if not callable(application):
            raise UsageError("the application cannot be called:", clean_line(repr(application), 80))
        if socket_type != socket.SOCK_STREAM:
            raise UsageError("HTTP needs a stream socket", remedy="leave out --socket-type")
        self.inherited_fd = -1
        if isinstance(listener, tuple):
            listener = self._take_socket(*listener, backlog, address_family)
        self.graceful_timeout_s = (
            DEFAULT_GRACEFUL_TIMEOUT_S if graceful_timeout is None else float(graceful_timeout)
        )
        self.handlers: set[Handler] = set()
        self.draining = False
        self._woken = Event()
        self._end = NEVER
        self._life = life
        self._signals: Any = None
        self._close_s = lifetime.CLOSE_S
        listener.setblocking(False)  # noqa: FBT003 - its only parameter
        super().__init__(
            listener,
            application,
            spawn="default" if spawn is None else spawn,
            log=None,
            environ={
                "SERVER_SOFTWARE": "hospital",
                "wsgi.multithread": True,
                "wsgi.multiprocess": self.inherited_fd >= 0,
            },
        )

    def _take_socket(
        self, host: str, port: int | None, backlog: int | None, family: int
    ) -> socket.socket:
        if host.startswith("fd://"):
            self.inherited_fd = int(host.removeprefix("fd://"))
            return _inherited_socket(self.inherited_fd)
        if host.startswith("unix:"):
            return ports.listen_unix(host.removeprefix("unix:"), backlog)
        return ports.listen(host, port or 0, backlog, family)

    def update_environ(self) -> None:
        """Fill in the name and port of the server, without asking a name server."""
        address = self.address if isinstance(self.address, tuple) else ("localhost", "")
        self.environ.setdefault("SERVER_NAME", str(address[0]))
        self.environ.setdefault("SERVER_PORT", str(address[1]))

    def serve_forever(self, stop_timeout: float | None = None) -> None:
        """Serve until a signal, then drain.

        Args:
            stop_timeout: Takes the place of the graceful timeout.
        """
        if stop_timeout is not None:
            self.graceful_timeout_s = stop_timeout
        self._signals = lifetime.on_signals(self.begin_drain, self._woken.set)
        try:
            if not self.started:
                self.start()
            while self._end == NEVER:
                self._woken.wait(1.0)
                self._hang_up_on_the_late()
            self._drain()
            self._end = min(self._end, monotonic())
        finally:
            self.close()
            close = getattr(self.application, "close", None)
            if callable(close):
                close()

    def begin_drain(self, number: int = signal.SIGTERM) -> None:
        """Have it stop, once it has answered what is in flight; a second SIGINT allows no time.

        May be called at any moment, by a signal handler too.
        """
        first = self._end == NEVER
        allowed = self.graceful_timeout_s
        if self._life is not None and self._life.is_orphan():
            allowed = min(allowed, lifetime.ORPHAN_DRAIN_S)
            self._close_s = lifetime.ORPHAN_CLOSE_S
        if number == signal.SIGINT and not first:
            allowed = 0.0
        self._end = min(self._end, monotonic() + allowed)
        if first:
            lifetime.end_after(lambda: self._end + self._close_s - monotonic())

    def _drain(self) -> None:
        self.draining = True
        self._do_read()  # type: ignore[attr-defined]  # who waits to be accepted came before the end
        gevent.sleep(0)
        self.close()
        if self.inherited_fd >= 0:
            os.close(self.inherited_fd)
        # A request may be on its way on a connection that looks idle: it is waited for, a moment.
        linger_end = min(monotonic() + _LINGER_S, self._end)
        for handler in self.handlers:
            if handler.idle:
                handler.deadline = linger_end
        while self.handlers and monotonic() < self._end:
            gevent.sleep(_TICK_S)
            self._hang_up_on_the_late()
        if self.handlers:
            logger.warning("requests_cut", number=len(self.handlers))

    def _hang_up_on_the_late(self) -> None:
        now = monotonic()
        for handler in [each for each in self.handlers if each.deadline < now]:
            handler.hang_up()

    def log_exception(self, error: BaseException, method: str, path: str) -> None:
        """Write what an application raised to the log, with the traceback."""
        logger.error("request_failed", method=method, path=path, exc_info=error)


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


_FD_REMEDY = "under circus, set use_sockets = True and pass --fd $(circus.sockets.NAME)"


def register(life: lifetime.Lifetime | None = None) -> None:
    """Make it known to chaussette."""
    from chaussette import backend

    backend.register(NAME, Server if life is None else partial(Server, life=life))
