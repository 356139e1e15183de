"""hospital-cli: run health checks from a command line.

Rule: what it found goes to standard output, what went wrong with itself to standard error, in
one line and never as a traceback. Nothing heavy is imported before it is needed.
"""

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from os import _exit as _end_process
from typing import NoReturn, TextIO

from hospital.cli.command import Factory, run_command
from hospital.cli.options import PROGRAM
from hospital.cli.signals import Signals
from hospital.cli.streams import Sink, fill_closed_descriptors
from hospital.errors import HospitalError, UsageError
from hospital.running.executor import Executor
from hospital.running.import_path import import_from_here
from hospital.verdict import EXIT_NOT_GREEN, EXIT_USAGE


def main(
    program: str | None = None,
    args: Sequence[str] | None = None,
    stream: TextIO | None = None,
) -> int:
    """Run the command line *args* and return the exit code.

    Args:
        program: Name of the command, for help and errors; ``hospital-cli`` by default.
        args: The arguments; those of this process by default.
        stream: Where the report goes; standard output by default.

    Returns:
        0 green, 1 not green, 2 usage.
    """
    return execute(program, args, stream, _make_executor)


def run(program: str | None = None, args: Sequence[str] | None = None) -> NoReturn:
    """Be the command ``hospital-cli``: end the process with the exit code of ``main``.

    *program* and *args* are those of ``main``. It ends at once, whatever threads checks have left
    behind. SIGINT, SIGTERM and SIGHUP cut the run short and report what is known; the second of
    them ends it on the spot.
    """
    code = EXIT_NOT_GREEN
    try:
        fill_closed_descriptors()
        signals = Signals()
        signals.listen()
        import_from_here()
        code = execute(program, args, None, _make_executor_of_a_program, signals)
    except KeyboardInterrupt:
        pass  # outside of main there is nothing to report
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):
                stream.flush()
        _end_process(code)


def execute(
    program: str | None,
    args: Sequence[str] | None,
    stream: TextIO | None,
    factory: Factory,
    signals: Signals | None = None,
) -> int:
    """Do as ``main`` does, with the executor that *factory* makes, and heed *signals*."""
    program = program or PROGRAM
    args = sys.argv[1:] if args is None else args
    errors = Sink(sys.stderr)
    try:
        return run_command(
            program, args, stream, errors=errors, factory=factory, signals=signals or Signals()
        )
    except HospitalError as error:
        errors.write(f"{program}: error: {error}\n")
        return EXIT_USAGE if isinstance(error, UsageError) else EXIT_NOT_GREEN
    except KeyboardInterrupt as error:
        errors.write(f"{program}: interrupted{f' by {error.args[0]}' if error.args else ''}\n")
        return EXIT_NOT_GREEN
    except Exception as error:  # noqa: BLE001 - an operator gets one line, whatever we did wrong
        errors.write(_own_fault(program, error))
        return EXIT_NOT_GREEN


def _make_executor(kind: str, **how: object) -> Executor:
    from hospital.running.choose import make_executor

    return make_executor(kind, **how)  # type: ignore[arg-type]  # Factory says what is given


def _make_executor_of_a_program(kind: str, **how: object) -> Executor:
    """Make an executor in a process that is ours alone.

    It takes in what flees from wards; without wards, no check ends it with exit code 0.
    """
    executor = _make_executor(kind, **how)
    if kind != "ward":
        _refuse_to_end()
    else:
        from hospital.running.sweep import adopt_orphans

        adopt_orphans()
    return executor


def _refuse_to_end() -> None:
    """Turn ``os._exit`` in this process, though not in its children, into a SystemExit."""
    pid = os.getpid()

    def refuse(status: int) -> NoReturn:
        if os.getpid() != pid:
            _end_process(status)
        raise SystemExit(status)

    os._exit = refuse


def _own_fault(program: str, error: Exception) -> str:
    """Return what to write about an *error* that hospital should not have made."""
    from hospital.redaction import clean, clean_line, to_text

    if os.environ.get("HOSPITAL_LOG_LEVEL") == "debug":
        from traceback import format_exception

        return "".join(f"{clean(each)}\n" for each in format_exception(error))
    what = clean_line(f"{type(error).__name__}: {to_text(error)}")
    remedy = "a fault of hospital; HOSPITAL_LOG_LEVEL=debug shows where"
    return f"{program}: error: {what}; {remedy}\n"
