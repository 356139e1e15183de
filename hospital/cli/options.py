"""The options of hospital-cli, from words to values.

Rule: whatever is wrong with a command line is told in one line, all faults together, and a
misspelt word with the nearest right one.
"""

import argparse
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

from hospital.arguments import Parser, Reader, seconds
from hospital.errors import SettingError
from hospital.settings import one_of

PROGRAM = "hospital-cli"
FORMATS = ("text", "json")
COLOURS = ("auto", "always", "never")

DESCRIPTION = """\
Collect and run health checks: the module, class, method or function, file or folder that each
NAME says; without NAMEs those of the environment variable HEALTHCHECKS."""

EPILOG = """\
examples:
  hospital-cli hospital.healthchecks.predictable
      run the health checks of a module
  hospital-cli -v ./checks
      those of all files of a folder, with a line for each
  hospital-cli --tag db --exclude slow ./checks/storage.py
      those of a file that are tagged db, but not slow
  hospital-cli --wait 60s checks.storage
      a deploy gate: again and again until all is green, for a minute at most
  hospital-cli --list --tag db ./checks
      show what would run
  hospital-cli --format json checks.storage
      for programs

symbols: . pass   w warning   F failure   E error   s skipped   x expected failure
         u unexpected success

exit codes: 0 green; 1 not green, which includes that nothing ran or that the run was cut short;
            2 the command line or a HOSPITAL_* variable makes no sense
"""


class Options(NamedTuple):
    """What the command line says.

    Attributes:
        names: What to check; empty for HEALTHCHECKS of the environment.
        tags: A check must have one of these tags; empty for any.
        exclude: What is left out.
        format: ``text`` or ``json``.
        timeout_s: Seconds a check may take that does not say otherwise; None for the setting.
        jobs: How many checks run at once; None for what suits the machine.
        in_process: Whether checks run in threads of this process instead of in wards.
        wait_s: Seconds to try for until all is green; None for one try.
        list: Whether checks are listed instead of run.
        verbose: Whether there is a line for each check, and traces.
        colour: ``auto``, ``always`` or ``never``.
        help: Whether help is wanted and nothing else.
        version: Whether the version is wanted and nothing else.
    """

    names: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    format: str = "text"
    timeout_s: float | None = None
    jobs: int | None = None
    in_process: bool = False
    wait_s: float | None = None
    list: bool = False
    verbose: bool = False
    colour: str = "auto"
    help: bool = False
    version: bool = False


def make_parser(program: str = PROGRAM, columns: int | None = 100) -> Parser:
    """Return the parser of the command line; it knows the options and the help.

    Args:
        program: Name of the command.
        columns: Width of the help; None for that of the terminal, which takes long to find out.
    """
    parser = Parser(
        prog=program,
        usage="%(prog)s [options] [NAME ...]",
        description=DESCRIPTION,
        epilog=EPILOG.replace(PROGRAM, program),
        formatter_class=partial(argparse.RawDescriptionHelpFormatter, width=columns),
        allow_abbrev=False,
        add_help=False,
    )
    parser.add_selection()
    add = parser.add_argument
    add("--jobs", metavar="N", help="how many checks run at once")
    add("--in-process", action="store_true", help="run in threads of this process, not in wards")
    add("--wait", metavar="TIME", help="repeat until green, for TIME at most; show the last try")
    add("--list", action="store_true", help="show the ids of the checks and run none")
    add("--format", default="text", metavar="FORMAT", help="text (default) or json")
    add("-v", "--verbose", action="store_true", help="a line for each check, traces of failures")
    add("--color", default="auto", metavar="WHEN", help="auto (default), always or never")
    parser.add_help_and_version()
    return parser


def read_options(arguments: Sequence[str], program: str = PROGRAM) -> Options:
    """Return what *arguments* say; names and options may stand in any order.

    Raises:
        UsageError: If an option is unknown or holds a bad value; all faults in one message.

    >>> read_options(["--timeout", "500ms", "app.checks", "-v"]).timeout_s
    0.5
    """
    parser = make_parser(program)
    known, unknown = parser.parse_known_intermixed_args(list(arguments))
    reader = Reader()
    reader.refuse_unknown(unknown, parser)
    read = reader.read
    given: dict[str, Any] = {
        "names": tuple(known.names),
        "tags": reader.words("--tag", known.tag),
        "exclude": reader.words("--exclude", known.exclude),
        "format": read(_format, "--format", known.format, "text"),
        "timeout_s": read(seconds, "--timeout", known.timeout, None),
        "jobs": read(_count, "--jobs", known.jobs, None),
        "in_process": known.in_process,
        "wait_s": read(seconds, "--wait", known.wait, None),
        "list": known.list,
        "verbose": known.verbose,
        "colour": read(_colour, "--color", known.color, "auto"),
        "help": known.help,
        "version": known.version,
    }
    if known.list and known.wait is not None:
        reader.faults.append(
            "--list runs nothing, so there is nothing to --wait for; leave one out"
        )
    reader.raise_faults()
    return Options(**given)


def _count(option: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= 9999):  # noqa: PLR2004 - more threads than any machine runs
        raise SettingError(f"{option} is no number of checks:", repr(text)[:80], "write 1 to 9999")
    return int(text)


def _format(option: str, text: str) -> str:
    return one_of(option, text, FORMATS)


def _colour(option: str, text: str) -> str:
    return one_of(option, text, COLOURS)
