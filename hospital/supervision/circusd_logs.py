"""The logging of circusd itself: what its option ``loggerconfig`` names, a JSON file.

circusd's own lines, those of tornado and asyncio, and warnings, have the form of all other logs of
hospital, in a file that is rotated and never in the way; and people see them on standard error.
Circus reads the file with ``logging.config.dictConfig``; :func:`make_config` says what is in it.

Rule: circusd imports this, so it is light: structlog stays out.
"""

import logging
import sys
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from hospital.log_lines import describe_exception
from hospital.log_queue import Sender, open_sender
from hospital.redaction import to_text
from hospital.supervision.event_lines import event_line
from hospital.supervision.log_files import shared

_HERE = __name__
_LEVELS = ((logging.ERROR, "error"), (logging.WARNING, "warning"), (logging.INFO, "info"))
_CONFLICT = "arbiter is already running"


def make_config(
    *,
    log_file: str | Path,
    max_bytes: int,
    backup_count: int,
    console: bool,
    preflight_config: str | Path | None = None,
) -> dict[str, Any]:
    """Return what stands in the JSON file that ``loggerconfig`` names.

    Args:
        log_file: Where circusd's own lines go; relative to the folder circusd is started in.
        max_bytes: At which size the file is rotated; 0 for never.
        backup_count: How many old ones are kept.
        console: Whether standard error is for people, and gets every line; else it gets warnings
            and worse as JSON objects, for the journal.
        preflight_config: The ``circus.ini`` that is tried before circusd binds anything, where
            circusd's command line does not name one; None for no trial at all.
    """
    filters: dict[str, Any] = {"meaningless": {"()": f"{_HERE}.Meaningless"}}
    if preflight_config is not None:
        filters["preflight"] = {
            "()": "hospital.supervision.preflight.Preflight",
            "config": str(preflight_config),
        }
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": filters,
        "formatters": {
            "json": {"()": f"{_HERE}.Lines", "log_format": "json"},
            "console": {"()": f"{_HERE}.Lines", "log_format": "console"},
        },
        "handlers": {
            "file": {
                "()": f"{_HERE}.open_log",
                "filename": str(log_file),
                "max_bytes": max_bytes,
                "backup_count": backup_count,
                "formatter": "json",
                "filters": ["meaningless"],
            },
            "standard_error": {
                "()": f"{_HERE}.StandardErrorHandler",
                "formatter": "console" if console else "json",
                "level": "INFO" if console else "WARNING",
                "filters": ["meaningless"],
            },
        },
        "root": {"level": "INFO", "handlers": ["file", "standard_error"]},
    }


class Lines(logging.Formatter):
    """Makes of a record a line as hospital's own processes write it, without the line feed.

    What hospital itself logs here has its fields in ``extra``: ``event`` and ``fields``.

    Args:
        log_format: ``json``, or ``console`` for people.
    """

    def __init__(self, *, log_format: str = "json") -> None:
        super().__init__()
        self._log_format = log_format

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        try:
            message = record.getMessage()
        except Exception:  # noqa: BLE001 - the arguments are somebody else's objects
            message = to_text(record.msg)
        fields = dict(getattr(record, "fields", {}))
        if record.exc_info and record.exc_info[1] is not None:
            fields["exception"] = describe_exception(record.exc_info[1])
        line = event_line(
            next((name for number, name in _LEVELS if record.levelno >= number), "debug"),
            getattr(record, "event", message),
            logger=record.name,
            log_format=self._log_format,
            **fields,
        )
        return line.decode().removesuffix("\n")


class FileHandler(logging.Handler):
    """Writes into a file that is rotated, and that may be full or missing."""

    def __init__(self, *, filename: str, max_bytes: int, backup_count: int) -> None:
        super().__init__()
        self._file = shared(filename, max_bytes, backup_count)

    def emit(self, record: logging.LogRecord) -> None:
        """Write the line of *record*, or keep it until that is possible."""
        try:
            self._file.write(self.format(record).encode("utf-8", "backslashreplace") + b"\n")
        except Exception:  # noqa: BLE001 - logging does not harm its caller
            self.handleError(record)

    def close(self) -> None:
        """Write what waits, as far as possible."""
        self._file.close()
        super().close()


class StandardErrorHandler(logging.Handler):
    """Writes to standard error without waiting for who reads it: circusd has one thread.

    What the reader does not take is left out there; the file has it.
    """

    def __init__(self) -> None:
        super().__init__()
        self._rest = b""
        self._sender: Sender | None = None
        with suppress(OSError):  # circusd may have been started without
            self._sender = open_sender(2)

    def emit(self, record: logging.LogRecord) -> None:
        """Write the line of *record*, if the one before it could be finished."""
        try:
            line = self.format(record).encode("utf-8", "backslashreplace") + b"\n"
            if self._sender is not None:
                if self._rest:
                    self._rest = self._rest[self._sender.send(self._rest) :]
                if not self._rest:
                    self._rest = line[self._sender.send(line) :]
        except Exception:  # noqa: BLE001 - logging does not harm its caller
            return


class Meaningless(logging.Filter):
    """Leaves out the one traceback of circusd that says nothing.

    Each ``check_delay``, tornado calls ``Arbiter.manage_watchers`` (circus/controller.py), which is
    ``@synchronized``: while a command such as a stop or a reload waits for draining workers, it
    raises ``ConflictError`` (circus/util.py), and tornado logs that as an exception in a callback.
    Nothing is wrong: the next call after the command does the work.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether *record* says something."""
        error = record.exc_info[1] if record.exc_info else None
        return not (
            record.name == "tornado.application"
            and type(error).__name__ == "ConflictError"
            and str(error).startswith(_CONFLICT)
            and "manage_watchers" in to_text(record.args)
        )


def open_log(*, filename: str, max_bytes: int, backup_count: int) -> FileHandler:
    """Return the handler of circusd's own log, and take in what else circusd would print.

    That is warnings, and the traceback of an exception that ends it.
    """

    def say(kind: type[BaseException], error: BaseException, at: TracebackType | None) -> None:
        if not issubclass(kind, Exception):  # somebody has pressed Ctrl-C
            sys.__excepthook__(kind, error, at)
            return
        logging.getLogger("circus").error("circusd_failed", exc_info=error)

    sys.excepthook = say
    logging.captureWarnings(capture=True)
    return FileHandler(filename=filename, max_bytes=max_bytes, backup_count=backup_count)
