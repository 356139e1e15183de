"""hospital-deploy: write the configuration of a machine instead of typing it.

Rule: what it did goes to standard output, what went wrong to standard error, one line for each
fault and never a traceback; no secret is in either.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TextIO

from hospital.errors import HospitalError, UsageError

if TYPE_CHECKING:
    from hospital.deploy.options import Options
    from hospital.deploy.present import Change, Plan
    from hospital.deploy.render import File
    from hospital.deploy.site import Site
    from hospital.deploy.store import Store

PROGRAM = "hospital-deploy"
EXIT_FAILED = 1
EXIT_USAGE = 2


class SiteError(UsageError):
    """A site makes no sense: the lines say why."""

    def __init__(self, lines: Sequence[str]) -> None:
        self.lines = tuple(lines)
        super().__init__(" · ".join(lines))


class Command:
    """A run of hospital-deploy.

    Args:
        stream: Where what it did goes.
        errors: Where what went wrong goes.
    """

    def __init__(self, stream: TextIO, errors: TextIO) -> None:
        self._stream = stream
        self._errors = errors

    def run(self, arguments: Sequence[str]) -> int:
        """Do as *arguments* say, and return the exit code."""
        from hospital.redaction import clean_line, to_text

        try:
            return self._run(arguments)
        except SiteError as error:
            for line in error.lines:
                self._complain(line)
            return EXIT_USAGE
        except UsageError as error:
            self._complain(f"{error}; see {PROGRAM} --help")
            return EXIT_USAGE
        except HospitalError as error:
            self._complain(str(error))
        except KeyboardInterrupt:
            self._complain("interrupted")
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            where = clean_line(str(error.filename or "the current folder"))
            self._complain(f"cannot use {where}: {reason}; render as its owner, or elsewhere")
        except Exception as error:
            what = clean_line(f"{type(error).__name__}: {to_text(error)}")
            remedy = "a fault of hospital; HOSPITAL_LOG_LEVEL=debug shows where"
            self._complain(f"{what}; {remedy}")
            if os.environ.get("HOSPITAL_LOG_LEVEL") == "debug":
                raise
        return EXIT_FAILED

    def _run(self, arguments: Sequence[str]) -> int:
        from hospital.deploy.options import make_parser, read_options

        options = read_options(arguments)
        if options.help:
            return self._show(make_parser().format_help().rstrip("\n"))
        if options.version:
            from hospital import __version__

            return self._show(f"{PROGRAM} {__version__}")
        return self._render(options)

    def _render(self, options: "Options") -> int:
        from hospital.deploy.present import make_plan
        from hospital.deploy.readback import prove
        from hospital.deploy.render import render
        from hospital.deploy.store import Store

        site = self._site(options)
        files = render(site)
        prove(site, files)
        if options.check or options.diff:
            return self._compare(site, make_plan(Path(site.output), files), options)
        store = Store(site)
        with store.locked():
            plan = make_plan(store.root, files)
            if plan.edited and not options.force:
                self._refuse(site, plan)
            self._write(site, store, plan, files)
        return 0

    def _site(self, options: "Options") -> "Site":
        from hospital.deploy.site import CHECKOUT, checkout_site
        from hospital.deploy.site_file import Written, read_site_file
        from hospital.deploy.site_maker import SiteMaker

        output = os.path.abspath(options.output or "/")  # noqa: PTH100 - links stay as they are named
        if options.profile == CHECKOUT:
            if options.faults:
                raise SiteError(options.faults)
            return checkout_site(output)
        written = read_site_file(options.site) if options.site else Written()
        maker = SiteMaker(written, options.given, options.variables)
        site = maker.make(output)
        if site is None or options.faults:
            raise SiteError([*options.faults, *maker.faults])
        if site.secrets and written.readable_by_all:
            self._note(f"{written.name} holds secrets, and others may read it; run: chmod 600")
        return site

    def _compare(self, site: "Site", plan: "Plan", options: "Options") -> int:
        if options.diff:
            for line in _differences(site, plan):
                self._show(line)
        else:
            for change in plan.changes:
                self._show(f"{_verb(change)}: {Path(site.output, change.path)}")
        self._notes(site, plan)
        if plan.changes:
            return EXIT_FAILED
        return self._show(f"up to date: {site.output}") if not options.diff else 0

    def _refuse(self, site: "Site", plan: "Plan") -> None:
        for line in _differences(site, plan):
            self._show(line)
        paths = ", ".join(str(Path(site.output, each.path)) for each in plan.edited)
        remedy = "say it in the site instead, or use --force, which keeps a backup"
        raise HospitalError(f"{paths}: not as it was rendered, somebody edited it", "", remedy)

    def _write(self, site: "Site", store: "Store", plan: "Plan", files: "list[File]") -> None:
        from hospital.deploy import folders

        made = [] if site.is_checkout else folders.make(site)
        backups = store.write(plan, files, made) if plan.changes else []
        for backup in backups:
            self._show(f"kept: {backup}")
        for change in plan.changes:
            verb = "written" if change.new else "removed"
            self._show(f"{verb}: {store.root / change.path}")
        if not plan.changes:
            self._show(f"unchanged: {store.root}")
        self._notes(site, plan)

    def _notes(self, site: "Site", plan: "Plan") -> None:
        from hospital.deploy.notes import notes_on

        for line in notes_on(site, plan):
            self._note(line)

    def _show(self, line: str) -> int:
        with suppress(OSError):
            print(line, file=self._stream, flush=True)
        return 0

    def _note(self, line: str) -> None:
        with suppress(OSError):
            print(f"{PROGRAM}: note: {line}", file=self._errors, flush=True)

    def _complain(self, line: str) -> None:
        with suppress(OSError):
            print(f"{PROGRAM}: error: {line}", file=self._errors, flush=True)


def _verb(change: "Change") -> str:
    if change.is_edited:
        return "edited"
    return "would write" if change.new else "would remove"


def _differences(site: "Site", plan: "Plan") -> Iterator[str]:
    from hospital.deploy.showing import diff_of, secrets_in

    secrets = {*site.secrets.values(), *(each for old in plan.changes for each in secrets_in(old))}
    for change in plan.changes:
        yield from diff_of(change, secrets)


def main(arguments: Sequence[str] | None = None) -> int:
    """Do as the command line *arguments* say (those of this process by default)."""
    return Command(sys.stdout, sys.stderr).run(sys.argv[1:] if arguments is None else arguments)


def run() -> NoReturn:
    """Be the command ``hospital-deploy``."""
    from hospital.cli.streams import drop_what_cannot_be_written, fill_closed_descriptors

    fill_closed_descriptors()
    try:
        code = main()
    finally:
        drop_what_cannot_be_written()
    sys.exit(code)


if __name__ == "__main__":
    run()
