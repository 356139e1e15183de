"""Take what others say in this process into our own log: packages, warnings, and Python itself.

Rule: what is taken over is given back; who asked for it can undo it.
"""

import logging
import sys
import threading
import warnings
from collections.abc import Callable
from typing import Any

from hospital.redaction import to_text

Log = Callable[[str, str, str, dict[str, Any]], None]
"""Takes the logger's name, the level, the event and its fields."""


def capture(log: Log, least: int) -> Callable[[], None]:
    """Give *log* what goes to ``logging`` and ``warnings``, and each exception that nobody caught.

    Args:
        log: Takes it; it must not raise.
        least: The lowest level of ``logging`` that counts.

    Returns:
        A function that undoes it.
    """
    release_logging = _capture_logging(log, least)
    release_hooks = _capture_hooks(log)

    def release() -> None:
        release_hooks()
        release_logging()

    return release


class _FromLogging(logging.Handler):
    def __init__(self, log: Log) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = record.getMessage()
        except Exception:  # noqa: BLE001 - a caller's own arguments may do anything
            message = to_text(record.msg)
        error = record.exc_info[1] if record.exc_info else None
        self._log(record.name, _level_of(record.levelno), message, {"exc_info": error})


def _level_of(number: int) -> str:
    """Return the level of ours that a level of ``logging`` reaches.

    >>> [_level_of(number) for number in (5, 20, 35, 50)]
    ['debug', 'info', 'warning', 'error']
    """
    if number >= logging.ERROR:
        return "error"
    if number >= logging.WARNING:
        return "warning"
    return "info" if number >= logging.INFO else "debug"


def _capture_logging(log: Log, least: int) -> Callable[[], None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers[:] = [_FromLogging(log)]
    root.setLevel(least)
    showwarning = warnings.showwarning
    logging.captureWarnings(capture=True)

    def release() -> None:
        if warnings.showwarning is not showwarning:  # else somebody had captured them before
            logging.captureWarnings(capture=False)
        root.handlers[:] = handlers
        root.setLevel(level)

    return release


def _capture_hooks(log: Log) -> Callable[[], None]:
    before = sys.excepthook, threading.excepthook, sys.unraisablehook

    def uncaught(kind: type[BaseException], error: BaseException, trace: Any) -> None:
        if issubclass(kind, KeyboardInterrupt):
            before[0](kind, error, trace)  # somebody sits there and wants it to end
        else:
            log("python", "error", "uncaught_exception", {"exc_info": error})

    def uncaught_in_thread(what: threading.ExceptHookArgs) -> None:
        if what.exc_type is not SystemExit:
            name = what.thread.name if what.thread is not None else None
            log("python", "error", "thread_failed", {"thread": name, "exc_info": what.exc_value})

    def unraisable(what: Any) -> None:
        if sys.is_finalizing():  # nobody writes our queue any more
            before[2](what)
            return
        fields = {"where": to_text(what.err_msg or what.object), "exc_info": what.exc_value}
        log("python", "error", "exception_ignored", fields)

    sys.excepthook, threading.excepthook = uncaught, uncaught_in_thread
    sys.unraisablehook = unraisable

    def release() -> None:
        sys.excepthook, threading.excepthook, sys.unraisablehook = before

    return release
