"""What hospital says of itself: one JSON object a line, on standard output or error.

Rules: logging never raises into its caller; one event is one line, without control characters;
every text is redacted and cut. The logging of an application that hospital is embedded in is
left alone: only :func:`configure`, called by hospital's own processes, takes charge of it.

structlog is imported with the first line that is written, because the command line mostly
writes none.
"""

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import Context, ContextVar, Token
from typing import TYPE_CHECKING, Any

from hospital.log_lines import describe_exception, encode, harmless, stamped, to_console, to_json
from hospital.settings import LOG_FORMATS, LOG_LEVELS

if TYPE_CHECKING:
    from hospital.log_queue import QueuedWriter

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_NOTHING: Mapping[str, Any] = {}
_BOUND: ContextVar[Mapping[str, Any]] = ContextVar("hospital.logs.bound", default=_NOTHING)


class Logger:
    """Says what happened. None of its methods raises.

    Each takes the event, a word such as ``check_not_green``, and fields, any of which may hold
    anything. ``exc_info`` (True or an exception) becomes the field ``exception``.
    """

    def __init__(self, name: str, bound: Mapping[str, Any] | None = None) -> None:
        self._name = name
        self._bound = dict(bound or {})

    def bind(self, **fields: Any) -> "Logger":
        """Return a logger that adds *fields* to each event."""
        return Logger(self._name, {**self._bound, **fields})

    def debug(self, event: str, /, **fields: Any) -> None:
        """Log what helps to understand the program."""
        self._log("debug", event, fields)

    def info(self, event: str, /, **fields: Any) -> None:
        """Log what is as it should be."""
        self._log("info", event, fields)

    def warning(self, event: str, /, **fields: Any) -> None:
        """Log what somebody should look at."""
        self._log("warning", event, fields)

    def error(self, event: str, /, **fields: Any) -> None:
        """Log what somebody has to look at."""
        self._log("error", event, fields)

    def exception(self, event: str, /, **fields: Any) -> None:
        """Log *event* at level error, with the exception that is being handled."""
        self._log("error", event, {"exc_info": True, **fields})

    def _log(self, level: str, event: str, fields: Mapping[str, Any]) -> None:
        try:
            pipeline = _current_pipeline()
            if _LEVELS[level] >= pipeline.threshold:
                said = {**_BOUND.get(), **self._bound, **fields}
                held = {**said, "exception": _given_exception(fields)}
                pipeline.log(level, event, {"logger": self._name, "fields": held})
        except Exception:  # noqa: BLE001 - the program goes on, whatever becomes of its log
            return


def get_logger(name: str) -> Logger:
    """Return the logger called *name*; it works with and without :func:`configure`."""
    return Logger(name)


def bind(**fields: Any) -> Token[Mapping[str, Any]]:
    """Add *fields* to each event that this thread, greenlet or task logs from now on.

    Returns:
        What :func:`unbind` takes.
    """
    return _BOUND.set({**_BOUND.get(), **fields})


def unbind(token: Token[Mapping[str, Any]]) -> None:
    """Undo a :func:`bind` of the same thread, greenlet or task."""
    _BOUND.reset(token)


@contextmanager
def bound(**fields: Any) -> Iterator[None]:
    """Add *fields* to each event that is logged within.

    >>> with bound(request_id="8c1f-12"):
    ...     get_logger("shop").debug("asked again")
    """
    token = bind(**fields)
    try:
        yield
    finally:
        unbind(token)


def configure(
    *, level: str = "info", log_format: str = "json", fd: int = 1, capture: bool = True
) -> Callable[[], None]:
    """Take charge of the logging of this process, one of hospital's own.

    Lines are queued and written to *fd* by a thread (log_queue.py), and flushed at exit.
    Call it after gevent has patched the process.

    Args:
        level: The lowest level that is written, of ``settings.LOG_LEVELS``.
        log_format: ``json``, or ``console`` for people.
        fd: Descriptor to write to.
        capture: Whether what other packages give to ``logging`` and ``warnings`` goes there too,
            and what Python itself says of exceptions that nobody caught.

    Returns:
        A function that flushes, and undoes it all.
    """
    from hospital.log_capture import capture as take_over
    from hospital.log_queue import QueuedWriter

    def describe_drops(number: int) -> bytes:
        return pipeline.line("warning", "log_lines_dropped", {"dropped": number})

    writer = QueuedWriter(fd, describe_drops)
    pipeline = _Pipeline(level, log_format, writer.put, writer)
    before, _STATE["pipeline"] = _STATE["pipeline"], pipeline
    release = take_over(_log_as, pipeline.threshold) if capture else None

    def undo() -> None:
        if release is not None:
            release()
        _STATE["pipeline"] = before
        writer.close()

    return undo


def flush(timeout_s: float = 2.0) -> bool:
    """Wait until every line is written, *timeout_s* at most; return whether it is.

    For a process that is about to call ``os._exit``; at an ordinary exit it happens by itself.
    """
    pipeline = _STATE["pipeline"]
    return pipeline is None or pipeline.writer is None or pipeline.writer.flush(timeout_s)


class _Pipeline:
    """How a line comes about: structlog with processors of our own, and where it goes."""

    def __init__(
        self,
        level: str,
        log_format: str,
        put: Callable[[bytes], None],
        writer: "QueuedWriter | None" = None,
    ) -> None:
        self.threshold = _LEVELS.get(level, _LEVELS["info"])
        self.writer = writer
        self._put = put
        self._render = to_console if log_format == "console" else to_json
        self._structlog: Any = None

    def log(self, level: str, event: str, fields: Mapping[str, Any]) -> None:
        if self._structlog is None:
            import structlog

            self._structlog = structlog.wrap_logger(
                _Lines(self._put),
                processors=[stamped, harmless, self._render],
                wrapper_class=structlog.BoundLogger,
                context_class=dict,
                cache_logger_on_first_use=False,
            )
        getattr(self._structlog, level)(event, **fields)

    def line(self, level: str, event: str, fields: Mapping[str, Any]) -> bytes:
        said = stamped(None, level, {"event": event, "logger": __name__, "fields": fields})
        return encode(self._render(None, level, harmless(None, level, said)))


_STATE: dict[str, _Pipeline | None] = {"pipeline": None}


def _current_pipeline() -> _Pipeline:
    pipeline = _STATE["pipeline"]
    if pipeline is None:
        level = os.environ.get("HOSPITAL_LOG_LEVEL", "")
        log_format = os.environ.get("HOSPITAL_LOG_FORMAT", "")
        pipeline = _STATE["pipeline"] = _Pipeline(
            level if level in LOG_LEVELS else LOG_LEVELS[1],
            log_format if log_format in LOG_FORMATS else LOG_FORMATS[0],
            _write_to_standard_error,
        )
    return pipeline


def _write_to_standard_error(line: bytes) -> None:
    # In an empty context, so that a stream which tells checks' printing apart lets it pass.
    stream = sys.stderr
    if stream is not None:
        Context().run(stream.write, line.decode())
        stream.flush()


class _Lines:
    """The logger beneath structlog's: takes a finished line."""

    def __init__(self, put: Callable[[bytes], None]) -> None:
        self._put = put

    def _take(self, line: str) -> None:
        self._put(encode(line))

    debug = info = warning = error = _take


def _given_exception(fields: Mapping[str, Any]) -> Any:
    given = fields.get("exc_info")
    error = given if isinstance(given, BaseException) else sys.exc_info()[1] if given else None
    return fields.get("exception") if error is None else describe_exception(error)


def _log_as(name: str, level: str, event: str, fields: Mapping[str, Any]) -> None:
    Logger(name)._log(level, event, fields)  # noqa: SLF001 - its own module
