"""Standard streams as they really are: closed, broken, full, in a poor encoding.

Rule: a stream that cannot be written never raises in the middle of a run; the fault is kept, and
told once at the end.
"""

import fcntl
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

_DEFAULT_COLUMNS = 80
_HIGH_FD = 64  # a check that closes "all" low descriptors leaves the report its own


class Sink:
    """A stream that takes text of any kind and keeps the first fault for later.

    Attributes:
        fault: What went wrong when writing; None where nothing did, or where the reader simply
            went away (``hospital-cli … | head``), which is no fault.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self.fault: str | None = None

    @property
    def is_terminal(self) -> bool:
        """Whether a person is looking."""
        try:
            return self._stream is not None and self._stream.isatty()
        except (OSError, ValueError):
            return False

    @property
    def columns(self) -> int:
        """Width of the terminal, in characters."""
        try:
            return os.get_terminal_size(self._fileno()).columns or _DEFAULT_COLUMNS
        except (OSError, ValueError):
            return _DEFAULT_COLUMNS

    def write(self, text: str) -> None:
        """Write *text* and flush it; characters that the encoding lacks are escaped."""
        stream = self._stream
        if stream is None or not text:
            return
        try:
            self._guarded(stream.write, text)
        except UnicodeEncodeError:
            encoding = stream.encoding or "ascii"
            escaped = text.encode(encoding, "backslashreplace").decode(encoding)
            self._guarded(stream.write, escaped)
        self._guarded(stream.flush)

    def write_document(self, document: bytes) -> None:
        """Write *document*, which is UTF-8 whatever the encoding of the stream, and flush it."""
        buffer = getattr(self._stream, "buffer", None)
        if buffer is None:
            self.write(document.decode())
            return
        self._guarded(buffer.write, document)
        self._guarded(buffer.flush)

    def _guarded(self, act: Callable[..., object], *arguments: object) -> None:
        if self._stream is None:
            return
        try:
            act(*arguments)
        except UnicodeEncodeError:
            raise
        except (BrokenPipeError, ConnectionResetError):
            self._stream = None
        except (OSError, ValueError) as error:
            self._stream = None
            self.fault = (getattr(error, "strerror", "") or str(error)).lower()

    def _fileno(self) -> int:
        return -1 if self._stream is None else self._stream.fileno()


@contextmanager
def stdout_kept_apart() -> Iterator[TextIO | None]:
    """Yield a stream to standard output, and lead what anything else writes there to stderr.

    Descriptor 1 is a copy of descriptor 2 meanwhile, so a check that runs in this process can
    write neither with ``print`` nor beneath it into the report.
    """
    before, errors = sys.stdout, sys.stderr
    with suppress(OSError, ValueError, AttributeError):
        before.flush()
    report = _copy_of_descriptor_1(before)
    sys.stdout = errors
    try:
        yield before if report is None else report
    finally:
        sys.stdout = before
        if report is not None:
            with suppress(OSError, ValueError):
                before.flush()
            with suppress(OSError, ValueError):
                os.dup2(report.fileno(), 1)
            with suppress(OSError, ValueError):
                report.close()


def _copy_of_descriptor_1(stream: TextIO | None) -> TextIO | None:
    """Return a stream to what descriptor 1 led to; None where *stream* is another one."""
    try:
        if stream is None or stream.fileno() != 1:
            return None
        copy = fcntl.fcntl(1, fcntl.F_DUPFD_CLOEXEC, _HIGH_FD)
        os.dup2(2, 1)
    except (OSError, ValueError):
        return None
    return os.fdopen(copy, "w", encoding=stream.encoding, errors="backslashreplace")


def fill_closed_descriptors() -> None:
    """Lead the descriptors 0 to 2 to ``/dev/null`` where they are closed.

    Else the next file or socket that is opened would take their number, and be written to.
    """
    for descriptor, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(descriptor)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != descriptor:
                os.dup2(opened, descriptor)
                os.close(opened)
        if getattr(sys, name) is None:
            setattr(sys, name, open(descriptor, mode, encoding="utf-8", closefd=False))  # noqa: SIM115 - lives as long as the process


def drop_what_cannot_be_written() -> None:
    """Forget what the standard streams hold and cannot write, as the last thing of a process.

    The interpreter would try again at its end, complain, and give the process an exit code of
    its own (120).
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            with suppress(OSError, ValueError):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, stream.fileno())
                os.close(nowhere)
