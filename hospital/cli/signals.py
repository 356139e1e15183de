"""Signals that cut a run short: once politely, the second time on the spot."""

import signal
from os import _exit as _end_process
from types import FrameType

from hospital.verdict import EXIT_NOT_GREEN

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Signals:
    """What has been asked of this process by signal.

    Attributes:
        received: Name of the first signal; empty where there was none, or where nobody listens.
    """

    def __init__(self) -> None:
        self.received = ""

    def listen(self) -> None:
        """Turn the first signal into a ``KeyboardInterrupt``; end the process with the second.

        What is ignored already stays so: nohup, or a job that a shell put in the background.
        """
        handled = [each for each in _ENDING if signal.getsignal(each) is not signal.SIG_IGN]

        def end_now(_signal: int, _frame: FrameType | None) -> None:
            _end_process(EXIT_NOT_GREEN)

        def cut_short(number: int, _frame: FrameType | None) -> None:
            for each in handled:
                signal.signal(each, end_now)
            self.received = signal.Signals(number).name
            raise KeyboardInterrupt(self.received)

        for each in handled:
            signal.signal(each, cut_short)

    def check(self) -> None:
        """Raise again what a module swallowed that was being imported into this process.

        Raises:
            KeyboardInterrupt: If a signal has been received.
        """
        if self.received:
            raise KeyboardInterrupt(self.received)
