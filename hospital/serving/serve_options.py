"""The options of hospital-serve, from words to values.

Rule: whatever is wrong with a command line is told in one line, all faults together, and a
misspelt word with the nearest right one.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hospital.arguments import Parser, Reader, seconds
from hospital.durations import parse_duration
from hospital.errors import SettingError
from hospital.settings import NAMES_VARIABLE, REASONS, Settings, one_of

PROGRAM = "hospital-serve"
DEFAULT_HOST = "0.0.0.0"  # noqa: S104 - the documented default; strangers see names and statuses
DEFAULT_PORT = 1515
_HIGHEST_PORT = 65_535

DESCRIPTION = """\
Answer HTTP with the state of the health checks that each NAME says: dotted names, files and
folders; without NAMEs those of the environment variable HEALTHCHECKS. A GET of / runs them:
200 where all is green, else 500. Ends on Ctrl-C or SIGTERM, when it has answered what it began."""

EPILOG = """\
examples:
  hospital-serve hospital.healthchecks.predictable
      serve on every address, port 1515
  hospital-serve --host 127.0.0.1 --port 8000 ./checks
      for this machine alone
  hospital-serve --cache-ttl 5s --tag db checks.storage
      run the checks every 5 seconds at most, however many ask
  hospital-serve --host 127.0.0.1 --reasons loopback ./checks
      show programs of this machine why a check fails
  hospital-serve --port 0 ./checks
      on a free port, which the first line tells

exit codes: 0 stopped; 1 it cannot serve; 2 the command line or a HOSPITAL_* variable makes no sense
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line says, and the settings where it is silent.

    Attributes:
        names: What to check.
        host: Address to listen on.
        port: Port to listen on; 0 for a free one.
        reasons: Who may see reasons: ``token``, ``loopback`` or ``everyone``.
        timeout_s: Seconds a check may take that does not say otherwise.
        cache_ttl_s: Seconds a finished run is served again.
        tags: A check must have one of these tags; empty for any.
        exclude: What is left out.
        executor: ``ward``, unless HOSPITAL_EXECUTOR says otherwise.
        help: Whether help is wanted and nothing else.
        version: Whether the version is wanted and nothing else.
    """

    names: tuple[str, ...] = ()
    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    reasons: str = "token"
    timeout_s: float = 10.0
    cache_ttl_s: float = 0.0
    tags: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    executor: str = "ward"
    help: bool = False
    version: bool = False


def make_parser() -> Parser:
    """Return the parser of the command line; it knows the options and the help."""
    parser = Parser(
        prog=PROGRAM,
        usage="%(prog)s [options] [NAME ...]",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        add_help=False,
    )
    parser.add_selection()
    add = parser.add_argument
    add("--host", default=DEFAULT_HOST, metavar="HOST", help=f"address, {DEFAULT_HOST} by default")
    add("--port", metavar="PORT", help=f"{DEFAULT_PORT} by default; 0 for a free one")
    add(
        "--reasons",
        metavar="WHO",
        help="who may see why a check fails: token (default), loopback or everyone",
    )
    add("--cache-ttl", metavar="TIME", help="serve a finished run again for TIME; 0 by default")
    parser.add_help_and_version()
    return parser


def read_options(arguments: Sequence[str], get_settings: Callable[[], Settings]) -> Options:
    """Return what *arguments* say; names and options may stand in any order.

    Args:
        arguments: The words of the command line.
        get_settings: Asked for what the options leave open, unless only help is wanted.

    Raises:
        UsageError: If an option is unknown or holds a bad value, or nothing is named; all
            faults in one message.
    """
    parser = make_parser()
    known, unknown = parser.parse_known_intermixed_args(list(arguments))
    if known.help or known.version:
        return Options(help=known.help, version=known.version)
    settings = get_settings()
    reader = Reader()
    reader.refuse_unknown(unknown, parser)
    read = reader.read
    names = tuple(known.names) or settings.names
    if not names:
        reader.faults.append(f"no health checks named; name some, or set {NAMES_VARIABLE}")
    options = Options(
        names=names,
        host=read(_host, "--host", known.host, DEFAULT_HOST),
        port=read(_port, "--port", known.port, DEFAULT_PORT),
        reasons=read(_reasons, "--reasons", known.reasons, settings.reasons),
        timeout_s=read(seconds, "--timeout", known.timeout, settings.check_timeout_s),
        cache_ttl_s=read(_ttl, "--cache-ttl", known.cache_ttl, settings.cache_ttl_s),
        tags=reader.words("--tag", known.tag),
        exclude=reader.words("--exclude", known.exclude),
        executor="ward" if settings.executor == "auto" else settings.executor,
    )
    reader.raise_faults()
    return options


def _host(option: str, text: str) -> str:
    if not text.strip() or any(c.isspace() or not c.isprintable() for c in text):
        raise SettingError(
            f"{option} is no address:", repr(text)[:80], "write 127.0.0.1 or 0.0.0.0"
        )
    return text


def _port(option: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text[:9]) <= _HIGHEST_PORT):
        raise SettingError(f"{option} is no port:", repr(text)[:80], f"write 0 to {_HIGHEST_PORT}")
    return int(text)


def _reasons(option: str, text: str) -> str:
    return one_of(option, text, REASONS)


def _ttl(option: str, text: str) -> float:
    return parse_duration(text, option, zero=True)
