"""What the command lines of hospital share: one line for all faults, and the nearest right word.

Rule: nothing here prints, and nothing ends the process.
"""

import argparse
from collections.abc import Callable, Iterable
from typing import NoReturn, TypeVar

from hospital.durations import parse_duration
from hospital.errors import SettingError, UsageError, did_you_mean

T = TypeVar("T")


class Parser(argparse.ArgumentParser):
    """Raises where argparse would print its usage and end the process."""

    def error(self, message: str) -> NoReturn:
        """Raise *message* as a UsageError."""
        raise UsageError(message)

    def add_selection(self) -> None:
        """Add what says which checks are meant: NAME, ``--tag``, ``--exclude``, ``--timeout``."""
        add = self.add_argument
        add("names", nargs="*", metavar="NAME", help="dotted name, file or folder of health checks")
        add(
            "--tag",
            action="append",
            default=[],
            metavar="TAG",
            help="only what has TAG; repeatable",
        )
        add(
            "--exclude",
            action="append",
            default=[],
            metavar="WHAT",
            help="leave out a tag, an id, all under a dotted prefix, or a pattern (*.slow_*); "
            "repeatable",
        )
        timeout = "for each check that has none of its own: 500ms, 10s, 2m"
        add("--timeout", metavar="TIME", help=timeout)

    def add_help_and_version(self) -> None:
        """Add ``--help`` and ``--version``, which the caller acts on."""
        self.add_argument("--version", action="store_true", help="show the version and do nothing")
        self.add_argument("-h", "--help", action="store_true", help="show this help and do nothing")


class Reader:
    """Turns words into values and keeps the faults, to tell them all together.

    >>> reader = Reader()
    >>> reader.read(seconds, "--timeout", "fast", 10.0)
    10.0
    >>> reader.faults[0].partition(";")[0]
    "--timeout is no duration: 'fast'"
    """

    def __init__(self) -> None:
        self.faults: list[str] = []

    def read(
        self, convert: Callable[[str, str], T], option: str, text: str | None, default: T
    ) -> T:
        """Return *text* converted, or *default* where there is none or it makes no sense."""
        try:
            return default if text is None else convert(option, text)
        except SettingError as error:
            self.faults.append(str(error))
            return default

    def words(self, option: str, texts: Iterable[str]) -> tuple[str, ...]:
        """Return the words of an option that may be repeated."""
        return tuple(self.read(_word, option, text, "") for text in texts)

    def refuse_unknown(self, words: Iterable[str], parser: argparse.ArgumentParser) -> None:
        """Note each of *words* as an option that *parser* does not know."""
        known = [option for action in parser._actions for option in action.option_strings]  # noqa: SLF001 - argparse tells its options nowhere else
        for word in words:
            hint = did_you_mean(word.partition("=")[0], known)
            self.faults.append(str(UsageError("unknown option", repr(word)[:80], hint)))

    def raise_faults(self) -> None:
        """Raise what was noted.

        Raises:
            UsageError: If there is any; all faults in one message.
        """
        if self.faults:
            raise UsageError(" · ".join(self.faults))


def seconds(option: str, text: str) -> float:
    """Return *text* in seconds, above 0."""
    return parse_duration(text, option)


def _word(option: str, text: str) -> str:
    if not text or any(c.isspace() or c == "," for c in text):
        remedy = f"write the option once for each: {option} one {option} other"
        raise SettingError(f"{option} takes one word, not", repr(text)[:80], remedy)
    return text
