"""The gevent backend that we register with chaussette.

chaussette 1.3.0 offers its own on Python 2 only, and that one does not work with today's gevent:
see docs/reference/serving.md for what it would do.
"""

import os
import random
import secrets
import signal
import socket
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import count
from time import monotonic
from typing import Any

import gevent
from gevent.event import Event

from hospital.errors import UsageError
from hospital.logs import get_logger
from hospital.redaction import clean_line
from hospital.serving import lifetime, listening
from hospital.serving.acceptor import Acceptor
from hospital.serving.connection import LINGER_S, NEVER, Connection
from hospital.serving.crew import Crew
from hospital.serving.crowd import Crowd
from hospital.serving.heads import Head
from hospital.serving.limits import Limits
from hospital.serving.recorder import Access, Recorder

logger = get_logger("hospital.serving")

NAME = "gevent"
"""chaussette ties monkey patching and ``--graceful-timeout`` to names: it has to be this one."""

DEFAULT_GRACEFUL_TIMEOUT_S = 10.0
_TICK_S = 0.02
_SWEEP_S = 0.25


class Server:
    """Serve a WSGI application on gevent, and drain on SIGTERM and SIGINT.

    Args:
        listener: Host and port; the host may be ``fd://N`` or ``unix:PATH``.
        application: The WSGI application; its ``close()``, if any, is called at the end.
        backlog: Connections that may wait to be accepted.
        address_family: Family of the socket; an inherited one knows its own.
        socket_type: Type of the socket; likewise.
        spawn: Connections at once, where that is fewer than the limits say.
        graceful_timeout: Seconds that requests in flight may take after a signal.
        life: Where the process ends with its parent: an orphan drains for a second at most.
        limits: How long clients may take, and how many there may be.
        access: Told of each answer.
        on_serving: Called once it listens and the loop runs.
        on_drain: Called when the drain begins.

    Raises:
        PortError: If the address cannot be listened on.
        UsageError: If the application cannot be called.
    """

    def __init__(  # noqa: PLR0913 - chaussette's contract, and ours
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
        limits: Limits | None = None,
        access: Access | None = None,
        on_serving: Callable[[], object] | None = None,
        on_drain: Callable[[], object] | None = None,
    ) -> None:
        if not callable(application):
            raise UsageError("the application cannot be called:", clean_line(repr(application), 80))
        if socket_type != socket.SOCK_STREAM:
            raise UsageError("HTTP needs a stream socket", remedy="leave out --socket-type")
        self.inherited_fd = -1
        remove: Callable[[], object] | None = None
        if isinstance(listener, tuple):
            host, port = listener
            self.inherited_fd = listening.inherited_number(host)
            listener = listening.take_socket(host, port, backlog, address_family)
            remove = listening.unix_remover(host)
        self.graceful_timeout_s = (
            DEFAULT_GRACEFUL_TIMEOUT_S if graceful_timeout is None else float(graceful_timeout)
        )
        self.application = application
        self.recorder = Recorder(access)
        self.limits = _at_most(limits or Limits(), spawn)
        self.environ = listening.make_environ(listener, shared=self.inherited_fd >= 0)
        self.loop: Any = gevent.get_hub().loop
        self.crowd = Crowd()
        self.crew = Crew()
        self.acceptor = Acceptor(listener, self, shared=self.inherited_fd >= 0, remove=remove)
        self.draining = False
        self.ended = False
        self.started = False
        self._turns: deque[Connection] = deque()
        self._turn: Any = self.loop.timer(0.0)
        self._sweep: Any = None
        self._ids = map(f"{secrets.token_hex(4)}-{{:x}}".format, count(1))
        self._left = _with_jitter(self.limits.max_requests)
        self._woken = Event()
        self._end = NEVER
        self._life = life
        self._signals: Any = None
        self._close_s = lifetime.CLOSE_S
        self._on_serving = on_serving
        self._on_drain = on_drain

    def start(self) -> None:
        """Begin to take connections, which are answered as soon as the loop runs."""
        self.started = True
        self.acceptor.start()
        self._look_after(_SWEEP_S)

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
            if self._on_serving is not None:
                self._on_serving()
            while self._end == NEVER:
                self._woken.wait(1.0)
            self._drain()
            self._end = min(self._end, monotonic())
        finally:
            self.ended = True
            self.acceptor.close()
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

    def count(self) -> None:
        """Count an answer, and drain when there were as many as one process shall give."""
        self._left -= 1
        if self._left == 0:
            logger.info("max_requests_reached", number=self.limits.max_requests)
            self.begin_drain()
            self._woken.set()

    def next_id(self) -> str:
        """Return an id for a request that has none."""
        return next(self._ids)

    def take_turns(self, connection: Connection) -> None:
        """Have a connection that has sent more requests go on when the others had their turn."""
        if not self._turns:
            self._turn.start(self._next_turns)
        self._turns.append(connection)

    def _next_turns(self) -> None:
        for _ in range(len(self._turns)):
            connection = self._turns.popleft()
            if connection.place is not None:
                connection.go_on()
        if self._turns:
            self._turn.stop()
            self._turn.start(self._next_turns)

    def _look_after(self, interval_s: float) -> None:
        if self._sweep is not None:
            self._sweep.close()
        self._sweep = self.loop.timer(interval_s, interval_s)
        self._sweep.start(self._end_the_late)

    def _end_the_late(self) -> None:
        for connection in self.crowd.late(monotonic()):
            connection.time_over()
        self.acceptor.look_at_limits()

    def _drain(self) -> None:
        if self._on_drain is not None:
            self._on_drain()
        self.draining = True
        self.loop.run_callback(self._stop_accepting)
        while self.started:
            gevent.sleep(0)
        if self.inherited_fd >= 0:
            os.close(self.inherited_fd)
        while self.crowd and monotonic() < self._end:
            gevent.sleep(_TICK_S)
        if self.crowd.answering:
            logger.warning("requests_cut", number=self.crowd.answering)

    def _stop_accepting(self) -> None:
        """Begin the end; called by the loop, where requests may be answered."""
        self.acceptor.take_the_last()
        # A request may be on its way on a connection that looks idle: it is waited for, a moment.
        linger_end = monotonic() + LINGER_S
        for place in (self.crowd.fresh, self.crowd.kept):
            for connection in place:
                connection.deadline = min(connection.deadline, linger_end)
        self._look_after(_TICK_S)
        self.started = False

    def log_exception(self, error: BaseException, head: Head, request_id: str) -> None:
        """Write what an application raised to the log, with the traceback."""
        logger.error(
            "request_failed",
            method=head.method,
            path=head.environ["PATH_INFO"],
            request_id=request_id,
            exc_info=error,
        )


def _at_most(limits: Limits, spawn: int | None) -> Limits:
    if spawn is None or spawn >= limits.max_connections:
        return limits
    return replace(limits, max_connections=max(1, spawn))


def _with_jitter(most: int) -> int:
    """Return up to a tenth more than *most*; -1 for never."""
    return most + random.randint(0, most // 10) if most else -1  # noqa: S311 - no secret


def register(
    life: lifetime.Lifetime | None = None,
    *,
    limits: Limits | None = None,
    access: Access | None = None,
    on_serving: Callable[[], object] | None = None,
    on_drain: Callable[[], object] | None = None,
) -> None:
    """Make it known to chaussette; the arguments are those of ``Server``."""
    from chaussette import backend

    made = partial(
        Server, life=life, limits=limits, access=access, on_serving=on_serving, on_drain=on_drain
    )
    backend.register(NAME, made)
