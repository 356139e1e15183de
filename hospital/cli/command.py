"""One command line, from its arguments to its exit code."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Protocol, TextIO

from hospital.cli.options import Options, make_parser, read_options
from hospital.cli.signals import Signals
from hospital.cli.streams import Sink, stdout_kept_apart
from hospital.errors import HospitalError, UsageError
from hospital.running.executor import Executor, Selection
from hospital.settings import NAMES_VARIABLE, Settings, read_settings
from hospital.verdict import EXIT_GREEN

if TYPE_CHECKING:
    from hospital.cli.console import Console


class Factory(Protocol):
    """Makes executors, as :func:`hospital.running.choose.make_executor` does."""

    def __call__(
        self,
        kind: str,
        *,
        timeout_s: float,
        jobs: int | None,
        on_output: Callable[[str, str], None],
    ) -> Executor:
        """Return an executor of *kind*."""


def run_command(  # noqa: PLR0913 - each is a part of its own
    program: str,
    args: Sequence[str],
    stream: TextIO | None,
    *,
    errors: Sink,
    factory: Factory,
    signals: Signals,
) -> int:
    """Run the command line *args* and return its exit code.

    Args:
        program: Name of the command.
        args: Its arguments.
        stream: Where the report goes; None for standard output.
        errors: Where everything else goes.
        factory: Makes the executor.
        signals: What has been asked of this process meanwhile.

    Raises:
        HospitalError: If something is wrong with the command itself.
    """
    try:
        options = read_options(args, program)
    except UsageError as error:
        raise UsageError(f"{error}; see {program} --help") from None
    if options.help or options.version:
        return _tell_of_itself(program, options, stream)
    settings = read_settings()
    selection = Selection(options.names or settings.names, options.tags, options.exclude)
    if not selection.names:
        raise UsageError(
            f"nothing to check: no NAME is given, and {NAMES_VARIABLE} is empty or not set",
            remedy=f"name modules, files or folders, as in {program} ./checks",
        )
    with _report_stream(stream, _kind(options, settings)) as report_stream:
        report = Sink(report_stream)
        command = _Command(
            program, options, settings, report=report, errors=errors, signals=signals
        )
        code = command.run(selection, factory)
        return _delivered(report, code)


class _Command:
    def __init__(  # noqa: PLR0913 - each is a part of its own
        self,
        program: str,
        options: Options,
        settings: Settings,
        *,
        report: Sink,
        errors: Sink,
        signals: Signals,
    ) -> None:
        self._program = program
        self._options = options
        self._kind = _kind(options, settings)
        self._timeout_s = options.timeout_s or settings.check_timeout_s
        self._report = report
        self._errors = errors
        self._signals = signals

    def run(self, selection: Selection, factory: Factory) -> int:
        # First of all, so that what it starts is on its way while the rest is imported.
        executor = factory(
            self._kind,
            timeout_s=self._timeout_s,
            jobs=self._options.jobs,
            on_output=self._printed,
        )
        self._console = self._make_console()
        if self._options.list:
            return self._list(selection, executor)
        return self._check(selection, executor)

    def _make_console(self) -> "Console":
        from hospital.cli.console import Console, choose_palette

        options, report = self._options, self._report
        return Console(
            report,
            self._errors,
            streaming=options.format == "text" and options.wait_s is None and not options.list,
            verbose=options.verbose,
            palette=choose_palette(options.colour, os.environ, is_terminal=report.is_terminal),
        )

    def _check(self, selection: Selection, executor: Executor) -> int:
        from hospital.cli.runs import CutShort, run_once, run_until_green
        from hospital.verdict import exit_code

        console, wait_s = self._console, self._options.wait_s
        with _closing(executor):
            try:
                if wait_s is None:
                    report = run_once(executor, selection, console, self._signals)
                else:
                    report = run_until_green(
                        executor,
                        selection,
                        console,
                        self._signals,
                        wait_s=wait_s,
                        grace_s=self._timeout_s,
                        say=self._say,
                    )
            except CutShort as cut:
                self._say(cut.cause)
                report = cut.report
        if self._options.format == "json":
            from hospital.formats.json import render as render_json

            self._report.write_document(render_json(report, reasons=True))
        else:
            console.finish(report)
        return exit_code(report)

    def _list(self, selection: Selection, executor: Executor) -> int:
        from hospital.cli import listing

        with _closing(executor):
            catalog = executor.collect(selection)
            self._signals.check()
        for line in listing.faults(catalog):
            self._say(line)
        if self._options.format == "json":
            self._report.write_document(listing.as_json(catalog, self._timeout_s))
        else:
            text = listing.as_text(catalog, self._timeout_s, verbose=self._options.verbose)
            self._report.write(text)
        return listing.exit_code(catalog)

    def _printed(self, check_id: str, text: str) -> None:
        self._console.printed(check_id, text)

    def _say(self, line: str) -> None:
        self._console.say(f"{self._program}: {line}\n")


def _kind(options: Options, settings: Settings) -> str:
    if options.in_process:
        return "thread"
    return "ward" if settings.executor == "auto" else settings.executor


def _report_stream(stream: TextIO | None, kind: str) -> AbstractContextManager[TextIO | None]:
    if stream is None and kind == "thread":
        return stdout_kept_apart()
    return nullcontext(sys.stdout if stream is None else stream)


@contextmanager
def _closing(executor: Executor) -> Iterator[None]:
    try:
        yield
    finally:
        executor.close()


def _tell_of_itself(program: str, options: Options, stream: TextIO | None) -> int:
    if options.help:
        text = make_parser(program, columns=None).format_help()
    else:
        from hospital import __version__

        text = f"{program} {__version__}\n"
    report = Sink(sys.stdout if stream is None else stream)
    report.write(text)
    return _delivered(report, EXIT_GREEN)


def _delivered(report: Sink, code: int) -> int:
    """Return *code*; a report that could not be written is never green.

    Raises:
        HospitalError: If it could not be written.
    """
    if report.fault:
        raise HospitalError(
            "cannot write the report:", report.fault, "give standard output a place that takes it"
        )
    return code
