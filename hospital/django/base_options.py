"""The options that each command of Django takes, beside those of hospital-cli.

Rule: what hospital-cli has, ``-v`` and ``--version``, stays as it is there.
"""

import argparse
import re
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from django.core.management.base import CommandError, CommandParser

from hospital.verdict import EXIT_USAGE

_LEVEL = re.compile(r"[0-3]")
_V_AND_LEVEL = re.compile(r"-v=?([0-3])")
_VERBOSE = 2
"""The level from which on Django says more than is ordinary."""


class BaseOptionsParser(CommandParser):  # type: ignore[misc]  # Django brings no types
    """Takes Django's own options out of a command line and leaves the words to hospital-cli."""

    def __init__(self, **how: Any) -> None:
        super().__init__(**how, add_help=False, allow_abbrev=False)
        add = self.add_argument
        add("--verbosity", type=_level, default=1, metavar="N", help="2 and 3 are -v, as is -v N")
        add("--settings", metavar="MODULE", help="the settings of the project")
        add("--pythonpath", metavar="FOLDER", help="a folder to import from")
        add("--traceback", action="store_true", help="taken; a mistake is told in one line anyway")
        add("--no-color", action="store_true", help="as --color never")
        add("--force-color", action="store_true", help="as --color always")
        add("--skip-checks", action="store_true", help="taken; no system checks run anyway")

    def parse_args(self, args: Any = None, _namespace: Any = None) -> argparse.Namespace:
        """Return Django's options, and what is left of *args* as ``arguments``.

        Raises:
            CommandError: If one of Django's options holds a bad value.
        """
        words = list(args or ())
        end = words.index("--") if "--" in words else len(words)
        known: argparse.Namespace
        known, left = self.parse_known_args(_with_levels(words[:end]))
        known.arguments = [*left, *words[end:]]
        return known

    def error(self, message: str) -> NoReturn:
        """Raise *message*, whoever asks; Django would print a usage that is not ours."""
        what = f"{message}; see {self.prog} --help"
        raise CommandError(what, returncode=EXIT_USAGE)


def in_words_of_hospital(options: Mapping[str, Any]) -> list[str]:
    """Return what Django's *options* mean to hospital-cli.

    >>> in_words_of_hospital({"verbosity": 3, "no_color": True, "traceback": True})
    ['--verbose', '--color=never']
    """
    words = []
    if options.get("verbosity", 1) >= _VERBOSE:
        words.append("--verbose")
    if options.get("no_color"):
        words.append("--color=never")
    if options.get("force_color"):
        words.append("--color=always")
    return words


def _with_levels(words: Sequence[str]) -> list[str]:
    """Return *words* with the number that follows a ``-v`` as a ``--verbosity``.

    No check has such a name, and a folder of that name can be written ``./2``.
    """
    found: list[str] = []
    for word in words:
        if _LEVEL.fullmatch(word) and found[-1:] == ["-v"]:
            found[-1] = f"--verbosity={word}"
        elif level := _V_AND_LEVEL.fullmatch(word):
            found.append(f"--verbosity={level[1]}")
        else:
            found.append(word)
    return found


def _level(text: str) -> int:
    if not _LEVEL.fullmatch(text):
        what = f"no level: {repr(text)[:80]}; write 0 to 3"
        raise argparse.ArgumentTypeError(what)
    return int(text)
