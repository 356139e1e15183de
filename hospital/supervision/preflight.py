"""Refuse to start circusd where it could not work, with a line for each fault.

circusd itself steals the control socket of another one, and exits 0 on a taken port. It reads
the configuration of its log before it binds anything, so this is looked at there: a filter in
the ``loggerconfig`` of ``circus.ini``, that filters nothing.

    "filters": {"preflight": {"()": "hospital.supervision.preflight.Preflight"}}

``python -m hospital.supervision.preflight deploy/circus.ini`` looks likewise, and starts nothing.

Rule: circusd waits for this, so it takes a few milliseconds, and leaves nothing behind that a
start would not make.
"""

import argparse
import fcntl
import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from hospital.errors import HospitalError, UsageError
from hospital.redaction import clean_line
from hospital.supervision import beats_folder, misspelt
from hospital.supervision import preflight_checks as checks
from hospital.supervision import preflight_folders as folders
from hospital.supervision.configuration import Configuration, read

PROGRAM = "circusd"
EXIT_FAILED = 1

_REFUSING: tuple[Callable[[Configuration], Iterable[HospitalError]], ...] = (
    folders.started_in_faults,
    checks.include_faults,
    checks.endpoint_faults,
    checks.socket_faults,
    folders.folder_faults,
    checks.watcher_faults,
    checks.plugin_faults,
    checks.setting_faults,
)
_WARNING: tuple[Callable[[Configuration], Iterable[HospitalError]], ...] = (
    folders.log_warnings,
    checks.setting_warnings,
    checks.guard_warnings,
)


class Preflight(logging.Filter):
    """Ends circusd before it begins, where it could not work; lets every line of the log pass.

    It does so in circusd alone: whoever else reads the same logger configuration is left alone.

    Args:
        config: The configuration, where the command line of circusd does not say.
    """

    def __init__(self, config: str = "") -> None:
        super().__init__()
        if is_circusd(sys.argv):
            begin(configuration_of(sys.argv[1:]) or config)

    def filter(self, record: logging.LogRecord) -> bool:  # noqa: ARG002 - Python's interface
        """Let it pass."""
        return True


def is_circusd(argv: Sequence[str]) -> bool:
    """Tell whether a process with this command line is circusd.

    >>> is_circusd(["/venv/bin/circusd", "circus.ini"]), is_circusd(["pytest"])
    (True, False)
    """
    return bool(argv) and Path(argv[0]).name in {"circusd", "circusd.py"}


def configuration_of(arguments: Sequence[str]) -> str:
    """Return the configuration that circusd is given in *arguments*; empty where it is not.

    >>> configuration_of(["--log-level", "debug", "deploy/circus.ini", "--daemon"])
    'deploy/circus.ini'
    """
    parser = argparse.ArgumentParser(add_help=False, exit_on_error=False)
    for option in ("--log-level", "--log-output", "--logger-config", "--pidfile"):
        parser.add_argument(option)
    parser.add_argument("--daemon", "--version", action="store_true")
    parser.add_argument("config", nargs="?", default="")
    with suppress(argparse.ArgumentError):
        return str(parser.parse_known_args(list(arguments))[0].config)
    return ""


def begin(path: str) -> None:
    """Let circusd begin with the configuration *path*, or end it; nobody else may then begin.

    Raises:
        SystemExit: Where it could not work. Python's logging passes this on, as no Exception.
    """
    configuration = look(path)
    if configuration is None:
        sys.exit(EXIT_FAILED)
    try:
        claim(configuration)
    except HospitalError as error:
        _say("error", [error])
        sys.exit(EXIT_FAILED)
    for folder, owner in folders.heartbeat_folders(configuration).items():
        with suppress(OSError):  # the hook says so, when there is a log
            beats_folder.make(folder, owner)


def look(path: str) -> Configuration | None:
    """Say on standard error what is wrong with the configuration *path*.

    Returns:
        The configuration; None where circusd could not work with it.
    """
    try:
        configuration = read(path)
    except UsageError as error:
        _say("error", [error])
        return None
    _say("warning", misspelt.misspelt(configuration))
    _say("warning", _all(_WARNING, configuration))
    faults = []
    for fault in _all(_REFUSING, configuration):
        faults.append(fault)
        if isinstance(fault, checks.RunsAlreadyError):
            break  # whatever else is taken is taken by that one
    _say("error", faults)
    return None if faults else configuration


def claim(configuration: Configuration) -> int | None:
    """Take the lock beside the control socket, and hold it until this process ends.

    Two that start at the same moment would both find the socket free. The kernel gives the lock
    back when its holder ends, however it ends.

    Returns:
        The descriptor of the lock; None where there is none to take.

    Raises:
        HospitalError: If somebody else has it.
    """
    endpoint = configuration.circus["endpoint"]
    scheme, _, address = endpoint.partition("://")
    if scheme != "ipc":
        return None
    try:
        lock = os.open(f"{address}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:  # a full disk: the socket itself may still be made
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = os.read(lock, 20).decode(errors="replace").strip() or "unknown"
        os.close(lock)
        raise checks.runs_already(address, holder, endpoint) from error
    with suppress(OSError):
        os.truncate(lock, 0)
        os.write(lock, f"{os.getpid()}\n".encode())
    return lock


def _all(
    sources: Iterable[Callable[[Configuration], Iterable[HospitalError]]],
    configuration: Configuration,
) -> Iterator[HospitalError]:
    for source in sources:
        try:
            yield from source(configuration)
        except Exception as error:  # noqa: BLE001 - a fault of the look is none of circusd's
            reason = clean_line(f"{type(error).__name__}: {error}")
            _say("warning", [f"{source.__name__} could not be looked for: {reason}"])


def _say(level: str, found: Iterable[HospitalError | str]) -> None:
    for each in found:
        with suppress(OSError, ValueError, AttributeError):  # nobody may be there to hear it
            sys.stderr.write(f"{PROGRAM}: {level}: {each}\n")
            sys.stderr.flush()


def run(arguments: Sequence[str] | None = None) -> int:
    """Look at each configuration that is named; 0 where circusd could work with all."""
    paths = sys.argv[1:] if arguments is None else list(arguments)
    if not paths:
        _say("error", [UsageError("name a Circus configuration,", "such as deploy/circus.ini")])
    good = [look(path) is not None for path in paths]
    return 0 if good and all(good) else EXIT_FAILED


if __name__ == "__main__":
    sys.exit(run())
