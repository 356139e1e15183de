"""``manage.py healthcheck``: hospital-cli, in a Django project.

Checks run in wards, as with hospital-cli: a process that can be killed if a check hangs. Nothing
is lost by that, since a ward sets up Django under the same ``DJANGO_SETTINGS_MODULE``, and a
command holds no state of the application that a check could look at.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from hospital.cli import main, run
from hospital.cli.options import Options, make_parser, read_options
from hospital.django.base_options import BaseOptionsParser, in_words_of_hospital
from hospital.django.names import names_of_the_project
from hospital.errors import UsageError
from hospital.verdict import EXIT_USAGE

DESCRIPTION = """\
Collect and run health checks: the module, class, method or function, file or folder that each
NAME says; without NAMEs those of the setting HEALTHCHECKS of the project, and where it is not
set or empty, those of the environment variable HEALTHCHECKS."""


class Command(BaseCommand):  # type: ignore[misc]  # Django brings no types
    """Run health checks with the options and the exit codes of hospital-cli."""

    help = "Collect and run health checks; takes the options of hospital-cli."
    requires_system_checks: Sequence[str] = ()

    def run_from_argv(self, argv: list[str]) -> None:
        """Be the command ``healthcheck``, and end the process with its exit code."""
        program = f"{Path(argv[0]).name} {argv[1]}"
        try:
            given = self.create_parser(Path(argv[0]).name, argv[1]).parse_args(argv[2:])
            if given.no_color and given.force_color:
                raise UsageError("--no-color and --force-color say both; leave one out")  # noqa: TRY301 - told as the others are
            arguments = _arguments(vars(given))
        except (CommandError, UsageError) as error:
            sys.stderr.write(f"{program}: error: {error}\n")
            sys.exit(EXIT_USAGE)
        if _read(arguments).help:
            self.print_help(Path(argv[0]).name, argv[1])
        else:
            run(program, arguments)

    def print_help(self, prog_name: str, subcommand: str) -> None:
        """Show the help of hospital-cli under the name of this command."""
        sys.stdout.write(_help(f"{prog_name} {subcommand}"))

    def create_parser(self, prog_name: str, subcommand: str, **how: Any) -> BaseOptionsParser:
        """Return a parser of Django's own options, which leaves the rest to hospital-cli."""
        return BaseOptionsParser(prog=f"{prog_name} {subcommand}".strip(), **how)

    def handle(self, *_args: str, **options: Any) -> None:
        """Run the ``arguments`` of *options* for ``call_command``.

        Raises:
            CommandError: If not all is green; its ``returncode`` is the exit code.
            SettingError: If the setting of the project cannot be used.
        """
        self.stdout.ending = ""  # the report has its own
        arguments = _arguments(options)
        if _read(arguments).help:
            self.stdout.write(_help("healthcheck"))
            return
        code = main("healthcheck", arguments, self.stdout)
        if code:
            raise CommandError(f"healthcheck ended with exit code {code}", returncode=code)


def _arguments(options: dict[str, Any]) -> list[str]:
    """Return what hospital-cli gets: what *options* mean to it, and their ``arguments``.

    Where no name is given, the project's own are.

    Raises:
        SettingError: If it names none in a way that can be used.
    """
    arguments = [*in_words_of_hospital(options), *options.get("arguments", ())]
    read = _read(arguments)
    is_bare = not (read.names or read.help or read.version)
    return [*arguments, *(names_of_the_project() if is_bare else ())]


def _read(arguments: Sequence[str]) -> Options:
    """Return what *arguments* say; where they make no sense, hospital-cli says so."""
    try:
        return read_options(arguments)
    except UsageError:
        return Options(names=("unknown",))


def _help(program: str) -> str:
    """Return the help of hospital-cli, with what is different in a Django project."""
    parser = make_parser(program, columns=None)
    parser.description = DESCRIPTION
    group = parser.add_argument_group("options of Django")
    for action in BaseOptionsParser(prog=program)._actions:  # noqa: SLF001 - argparse tells its options nowhere else
        group._add_action(action)  # noqa: SLF001 - the same
    return parser.format_help()
