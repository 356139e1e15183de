"""Tell apart what checks print, and keep it out of the output of this process.

Rule: what is printed while no check runs in the context passes untouched.
"""

import io
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TextIO

MOST_CHARACTERS = 65_536

OnOutput = Callable[[str, str], None]
"""Takes the id of a check, and text that it printed."""


class Printed:
    """What one check has printed: passed on by whole lines, and no flood of it."""

    def __init__(self, check_id: str, emit: OnOutput) -> None:
        self._check_id = check_id
        self._emit = emit
        self._line = ""
        self._left = MOST_CHARACTERS

    def write(self, text: str) -> None:
        """Take *text*; pass on the lines that are whole."""
        if self._left <= 0:
            return
        kept = text[: self._left]
        self._left -= len(kept)
        lines, newline, self._line = (self._line + kept).rpartition("\n")
        if newline:
            self._pass_on(lines)
        if self._left <= 0:
            self.close()
            self._pass_on(f"… [the rest of over {MOST_CHARACTERS} characters is cut]")

    def _pass_on(self, text: str) -> None:
        token = _printed.set(None)  # else what the receiver prints would come back here
        try:
            self._emit(self._check_id, text)
        except Exception:  # noqa: BLE001 - that nobody takes it is no fault of the check
            self._left = 0
        finally:
            _printed.reset(token)

    def close(self) -> None:
        """Pass on what has no line feed yet."""
        line, self._line = self._line, ""
        if line:
            self._pass_on(line)


_printed: ContextVar[Printed | None] = ContextVar("hospital_printed", default=None)


@contextmanager
def printing_as(check_id: str, emit: OnOutput) -> Iterator[None]:
    """Give what is printed in this context to *emit*, where the streams are routed."""
    printed = Printed(check_id, emit)
    token = _printed.set(printed)
    try:
        yield
    finally:
        _printed.reset(token)
        printed.close()


class RoutedStream(io.TextIOBase):
    """A standard stream that gives a check's text to its own :class:`Printed`."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self.stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def write(self, text: str, /) -> int:
        """Write *text* where it belongs."""
        printed = _printed.get()
        if printed is None:
            return self.stream.write(text)
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        printed.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush what is beneath; a check's own text is passed on by lines."""
        if _printed.get() is None:
            self.stream.flush()

    def close(self) -> None:
        """Leave what is beneath open: it is not ours, and may be closed already."""

    def fileno(self) -> int:
        """Return the descriptor beneath."""
        return self.stream.fileno()

    def isatty(self) -> bool:
        """Return whether the stream beneath is a terminal, and no check writes."""
        return _printed.get() is None and self.stream.isatty()

    def writable(self) -> bool:
        """Return that it can be written."""
        return True

    @property
    def buffer(self) -> object:
        """The bytes beneath; not told apart."""
        return self.stream.buffer

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding beneath."""
        return self.stream.encoding

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        """The error handling beneath."""
        return self.stream.errors


def route_standard_streams() -> Callable[[], None]:
    """Tell checks' printing apart from now on; return what undoes it."""
    before = sys.stdout, sys.stderr
    routed = tuple(
        stream if stream is None or isinstance(stream, RoutedStream) else RoutedStream(stream)
        for stream in before
    )
    sys.stdout, sys.stderr = routed

    def undo() -> None:
        if sys.stdout is routed[0]:
            sys.stdout = before[0]
        if sys.stderr is routed[1]:
            sys.stderr = before[1]

    return undo
