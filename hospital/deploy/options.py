"""The options of hospital-deploy, from words to texts by the path of their key.

Rule: what a value means is judged with the rest of the site, so that all faults are told together.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from hospital.arguments import Parser, Reader
from hospital.deploy.keys import KEYS
from hospital.deploy.site import CHECKOUT, PROFILES, VM
from hospital.errors import SettingError, did_you_mean
from hospital.settings import one_of

PROGRAM = "hospital-deploy"
COMMANDS = ("render",)

DESCRIPTION = """\
Write the configuration with which circusd runs hospital on this machine: circus.ini, the web
workers, their socket and environment, the logging, and the folders that they need. What it writes
is read back with the parser of circus first. All or nothing is written; a second run changes
nothing."""

EPILOG = """\
examples:
  hospital-deploy render --output /srv/health
      a set with the defaults; start it with: circusd /srv/health/circus.ini
  hospital-deploy render --output /srv/health --site site.toml --port 8080
      what site.toml says, with another port
  hospital-deploy render --output /srv/health --site site.toml --diff
      show what would change

exit codes: 0 written, or up to date; 1 it cannot be written, or is not up to date; 2 the command
            line or the site makes no sense
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line says.

    Attributes:
        output: The folder of the set.
        site: The file that describes the machine; empty for none.
        profile: ``vm`` or ``checkout``.
        given: Text by the path of its key.
        variables: Variables for the checks, by name.
        force: Whether edited files are written over.
        check: Whether nothing is written, and the exit code says whether something would be.
        diff: The same, and the difference is shown.
        help: Whether help is wanted and nothing else.
        version: Whether the version is wanted and nothing else.
        faults: What is wrong with it, to be told with what is wrong with the site.
    """

    output: str = ""
    site: str = ""
    profile: str = VM
    given: dict[str, str] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    force: bool = False
    check: bool = False
    diff: bool = False
    help: bool = False
    version: bool = False
    faults: tuple[str, ...] = ()


def make_parser() -> Parser:
    """Return the parser of the command line; it knows the options and the help."""
    parser = Parser(
        prog=PROGRAM,
        usage="%(prog)s render --output DIR [options]",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=partial(argparse.RawDescriptionHelpFormatter, width=100),
        allow_abbrev=False,
        add_help=False,
    )
    add = parser.add_argument
    add("command", nargs="?", help="render: write the configuration")
    add("--output", metavar="DIR", help="folder of the set; made if it is missing")
    add("--site", metavar="FILE", help="site.toml: the keys below, in tables")
    add(
        "--profile", default=VM, metavar="NAME", help="vm (default), or checkout: what is committed"
    )
    add("--force", action="store_true", help="write over edited files; they are kept as FILE.~1~")
    add("--check", action="store_true", help="write nothing; exit code 1 if something would change")
    add("--diff", action="store_true", help="the same, and show what would change")
    for key in KEYS.values():
        default = f" ({key.default})" if key.default and len(key.default) < 24 else ""  # noqa: PLR2004 - what fits
        add(
            key.option,
            dest=key.path,
            metavar="VALUE",
            help=f"{key.path}: {key.sense}{default}".replace("%", "%%"),
        )
    add(
        "--environment",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a variable of the workers, for the checks; repeatable",
    )
    parser.add_help_and_version()
    return parser


def read_options(arguments: Sequence[str]) -> Options:
    """Return what *arguments* say, and what is wrong with them.

    Raises:
        UsageError: If an option stands there without its value.

    >>> read_options(["render", "--output", "/srv/health", "--port", "80"]).given
    {'web.port': '80'}
    """
    parser = make_parser()
    known, unknown = parser.parse_known_intermixed_args(list(arguments))
    if known.help or known.version:
        return Options(help=known.help, version=known.version)
    reader = Reader()
    _refuse_secrets(reader, unknown)
    options = [each for each in unknown if each.startswith("-")]  # the others are their values
    reader.refuse_unknown([each for each in options or unknown if not _is_secret(each)], parser)
    reader.read(_command, "command", known.command or "", None)
    profile = reader.read(_profile, "--profile", known.profile, VM)
    if not known.output:
        reader.faults.append("there is no folder to write to; name one: --output DIR")
    given = {path: text for path in KEYS if (text := getattr(known, path)) is not None}
    read = (reader.read(_assignment, "--environment", each, None) for each in known.environment)
    variables = dict(each for each in read if each)
    if profile == CHECKOUT and (given or variables or known.site is not None):
        told = [KEYS[path].option for path in given]
        told += ["--environment"] if variables else []
        told += ["--site"] if known.site is not None else []
        remedy = "leave out, or render for a machine"
        reader.faults.append(f"the checkout is always the same; {remedy}: {' '.join(told)}")
    return Options(
        output=known.output or "",
        site=known.site or "",
        profile=profile,
        given=given,
        variables=variables,
        force=known.force,
        check=known.check,
        diff=known.diff,
        faults=tuple(reader.faults),
    )


def _is_secret(word: str) -> bool:
    return word.startswith(("--secret", "--secrets"))


def _refuse_secrets(reader: Reader, words: Sequence[str]) -> None:
    if any(map(_is_secret, words)):
        remedy = "write it under [secrets] of site.toml: everyone sees the command line"
        reader.faults.append(f"there is no option for a secret; {remedy}")


def _command(_option: str, text: str) -> None:
    if text not in COMMANDS:
        hint = did_you_mean(text, COMMANDS) or f"write {PROGRAM} render --output DIR"
        shown = repr(text)[:80] if text else ""
        raise SettingError("unknown command" if text else "there is no command", shown, hint)


def _profile(option: str, text: str) -> str:
    return one_of(option, text, PROFILES)


def _assignment(option: str, text: str) -> tuple[str, str] | None:
    name, equals, value = text.partition("=")
    if not equals:
        remedy = f"write {option} NAME=VALUE"
        raise SettingError(f"{option} sets no variable:", repr(text)[:80], remedy)
    return name, value
