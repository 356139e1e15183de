"""``manage.py healthcheck``: hospital-cli, in a Django project.

Checks run in wards, as with hospital-cli: a process that can be killed if a check hangs. Nothing
is lost by that, since a ward sets up Django under the same ``DJANGO_SETTINGS_MODULE``, and a
command holds no state of the application that a check could look at.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from django.core.management.base import BaseCommand, CommandError, CommandParser

from hospital.cli import main, run
from hospital.cli.options import make_parser, read_options
from hospital.django.names import names_of_the_project
from hospital.errors import SettingError, UsageError
from hospital.verdict import EXIT_USAGE


class Command(BaseCommand):  # type: ignore[misc]  # Django brings no types
    """Run health checks with the options and the exit codes of hospital-cli."""

    help = "Collect and run health checks; takes the options of hospital-cli."
    requires_system_checks: Sequence[str] = ()

    def run_from_argv(self, argv: list[str]) -> NoReturn:
        """Be the command ``healthcheck``, and end the process with its exit code."""
        program = f"{Path(argv[0]).name} {argv[1]}"
        try:
            arguments = _arguments(argv[2:])
        except SettingError as error:
            sys.stderr.write(f"{program}: error: {error}\n")
            sys.exit(EXIT_USAGE)
        run(program, arguments)

    def print_help(self, prog_name: str, subcommand: str) -> None:
        """Show the help of hospital-cli under the name of this command."""
        sys.stdout.write(make_parser(f"{prog_name} {subcommand}").format_help())

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """Return a parser for ``call_command``, which leaves the words to hospital-cli."""
        parser = _AsTheyAre(prog=f"{prog_name} {subcommand}", **kwargs)
        self.add_base_argument(parser, "--no-color", action="store_true")
        self.add_base_argument(parser, "--force-color", action="store_true")
        return parser

    def handle(self, *_args: str, arguments: Sequence[str] = (), **_options: Any) -> None:
        """Run *arguments* for ``call_command``.

        Raises:
            CommandError: If not all is green; its ``returncode`` is the exit code.
            SettingError: If the setting of the project cannot be used.
        """
        self.stdout.ending = ""  # the report has its own
        code = main("healthcheck", _arguments(arguments), self.stdout)
        if code:
            raise CommandError(f"healthcheck ended with exit code {code}", returncode=code)


class _AsTheyAre(CommandParser):  # type: ignore[misc]  # Django brings no types
    def parse_args(self, args: Any = None, _namespace: Any = None) -> argparse.Namespace:
        return argparse.Namespace(arguments=list(args), no_color=False, force_color=False)


def _arguments(given: Sequence[str]) -> list[str]:
    """Return what hospital-cli gets: without Django's own options, which ``manage.py`` has read.

    Where no name is given, the project's own are.

    Raises:
        SettingError: If it names none in a way that can be used.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--settings")
    parser.add_argument("--pythonpath")
    _, arguments = parser.parse_known_args(given)
    try:
        is_bare = not read_options(arguments).names
    except UsageError:  # hospital-cli says it
        is_bare = False
    return [*arguments, *(names_of_the_project() if is_bare else ())]
