"""What is shown while a run is on: symbols, what checks print, how far it is.

Rule: the report goes to one stream and all else to the other; where both are the same terminal
they take turns. Ten thousand outcomes cost a few writes, not ten thousand.
"""

import os
from collections.abc import Callable, Mapping
from time import monotonic

from hospital.cli.streams import Sink
from hospital.formats.text import ANSI, PLAIN, Palette, ending, line, symbol
from hospital.model import Outcome, Report

FLUSH_EVERY_S = 0.1
STATUS_AFTER_S = 1.0
_ERASE = "\x1b[K"


def choose_palette(when: str, environ: Mapping[str, str], *, is_terminal: bool) -> Palette:
    """Return the colours that ``--color``, the environment and the terminal ask for.

    ``--color always`` and ``never`` count most, then NO_COLOR, then FORCE_COLOR, as in Python.

    >>> choose_palette("auto", {"NO_COLOR": "1", "FORCE_COLOR": "1"}, is_terminal=True) == PLAIN
    True
    """
    if when != "auto":
        return ANSI if when == "always" else PLAIN
    if environ.get("NO_COLOR"):
        return PLAIN
    if environ.get("FORCE_COLOR"):
        return ANSI
    return ANSI if is_terminal and environ.get("TERM") != "dumb" else PLAIN


def seconds(value: float) -> str:
    """Return *value* in whole seconds, as a status line counts them."""
    return f"{max(0, int(value))} s"


class Console:
    """The two streams of one command.

    Args:
        report: Where the report goes.
        errors: Where everything else goes.
        streaming: Whether outcomes are shown on *report* as they arrive.
        verbose: Whether they are shown as lines instead of symbols.
        palette: The colours of *report*.
        environ: Says with TERM what the terminal can do.
    """

    def __init__(  # noqa: PLR0913 - each is a fact of its own
        self,
        report: Sink,
        errors: Sink,
        *,
        streaming: bool = True,
        verbose: bool = False,
        palette: Palette = PLAIN,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        from threading import Lock

        self.report = report
        self.errors = errors
        self.palette = palette
        self.verbose = verbose
        self.streaming = streaming
        self._can_erase = errors.is_terminal and environ.get("TERM", "dumb") != "dumb"
        self._lock = Lock()
        self._pending: list[str] = []
        self._last_write = monotonic()
        self._column = 0  # where the cursor of the terminal stands behind the symbols
        self._status = ""

    def outcome(self, outcome: Outcome) -> None:
        """Show *outcome*, soon."""
        if not self.streaming:
            return
        with self._lock:
            self._pending.append(self._shown(outcome))
            if monotonic() - self._last_write >= FLUSH_EVERY_S:
                self._write_pending()

    def printed(self, check_id: str, text: str) -> None:
        """Show on the error stream what a check printed, each line with the check's id."""
        from hospital.redaction import clean

        self.say("".join(f"{check_id}: {clean(each)}\n" for each in text.splitlines()))

    def say(self, text: str) -> None:
        """Write whole lines to the error stream."""
        with self._lock:
            self._erase_status()
            if self._shares_terminal:
                self._write_pending()
                if self._column:
                    self._column = 0
                    text = "\n" + text
            self.errors.write(text)

    def finish(self, report: Report) -> None:
        """Write what of *report* has not been shown yet."""
        end = ending(report, verbose=self.verbose, palette=self.palette)
        with self._lock:
            if not self.streaming:
                self._pending = [self._shown(outcome) for outcome in report.outcomes]
            self._pending.append(end)
            self._write_pending()
            self._column = 0

    def while_running(self, status: Callable[[], str]) -> "Ticker":
        """Return a context in which symbols do not wait, and *status* is shown where it may be.

        Args:
            status: Returns the status line; called a few times a second from another thread.
        """
        return Ticker(self, status if self._can_erase else None)

    def tick(self, status: str) -> None:
        """Write what is pending, and show *status* where there is one."""
        with self._lock:
            if self._pending and self.report.is_terminal:
                self._write_pending()
            if status != self._status:
                self._erase_status()
                self._draw_status(status)

    @property
    def shows_status(self) -> bool:
        """Whether a status line can be drawn and erased again."""
        return self._can_erase

    @property
    def _shares_terminal(self) -> bool:
        return self.errors.is_terminal and self.report.is_terminal

    def _shown(self, outcome: Outcome) -> str:
        if self.verbose:
            return f"{line(outcome, self.palette)}\n"
        return symbol(outcome, self.palette)

    def _write_pending(self) -> None:
        self._erase_status()
        symbols, self._pending = self._pending, []
        self.report.write("".join(symbols))
        self._last_write = monotonic()
        if self._shares_terminal and not self.verbose:
            self._column += len(symbols)

    def _draw_status(self, status: str) -> None:
        """Draw *status* behind the symbols, where it fits, and put the cursor back."""
        width = self.errors.columns
        column = self._column % width
        text = f"  {status}" if column else status
        at_the_edge = self._column and not column  # the terminal has yet to wrap
        if status and not at_the_edge and column + len(text) < width:
            back = f"\x1b[{column}C" if column else ""
            self.errors.write(f"{text}{_ERASE}\r{back}")
            self._status = status

    def _erase_status(self) -> None:
        if self._status:
            self._status = ""
            self.errors.write(_ERASE)


class Ticker:
    """Ticks from a thread of its own, if there is a terminal to tick for."""

    def __init__(self, console: Console, status: Callable[[], str] | None) -> None:
        self._console = console
        self._status = status
        self._stop: Callable[[], None] | None = None

    def __enter__(self) -> None:
        if self._status is None and not self._console.report.is_terminal:
            return
        from threading import Event, Thread

        stop = Event()
        thread = Thread(target=self._tick, args=(stop.wait,), name="hospital-status", daemon=True)
        thread.start()

        def end() -> None:
            stop.set()
            thread.join(FLUSH_EVERY_S * 5)

        self._stop = end

    def __exit__(self, *_error: object) -> None:
        if self._stop is not None:
            self._stop()
            self._console.tick("")

    def _tick(self, stopped: Callable[[float], bool]) -> None:
        began = monotonic()
        while not stopped(FLUSH_EVERY_S):
            due = self._status is not None and monotonic() - began >= STATUS_AFTER_S
            self._console.tick(self._status() if due and self._status else "")
