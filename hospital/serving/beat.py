"""The heartbeat file of a process: who it is, what it is doing, and that it still lives.

The folder ``HOSPITAL_HEARTBEAT_DIR`` holds one file for each process, named by its pid. Its
content is a :class:`Beat`; its time of modification is the beat itself. Our Circus hook writes
the first one, the process replaces it as its state changes and touches it from the loop that
does the work, and the guard kills the process when that stops.

Rules: circusd and its guard import this, so it is light, and nothing here waits; a file is
replaced whole, so that whoever reads it finds the old one or the new one; names that begin with
a dot are files being written, and nobody's beat.
"""

import json
import os
import stat
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

INTERVAL_S = 0.5
"""How often a process beats."""

STARTING, SERVING, DRAINING = "starting", "serving", "draining"
STATES = (STARTING, SERVING, DRAINING)
_MODE = 0o600
_LONGEST_FAULT = 500
_LONGEST_BYTES = 8192
_STARTED_FIELD = 22
_FIRST_FIELD_AFTER_NAME = 3


@dataclass(frozen=True, slots=True)
class Beat:
    """What a heartbeat file says.

    Attributes:
        watcher: The Circus watcher that the process belongs to; empty where nobody said.
        started: When the process was started, see :func:`started`; tells it from a later one
            that was given the same pid. 0 where the system does not say.
        state: ``starting``, ``serving`` or ``draining``.
        fault: Why its application is of no use although it serves, in one line; None if it is.
    """

    watcher: str
    started: int
    state: str
    fault: str | None = None


def path_of(folder: Path, pid: int) -> Path:
    """Return the heartbeat file of the process *pid*."""
    return folder / str(pid)


def pid_of(path: Path) -> int | None:
    """Return whose heartbeat file *path* is; None for any other file.

    >>> [pid_of(Path(name)) for name in ("run/beats/4711", "run/beats/.4711.812", "x")]
    [4711, None, None]
    """
    return _number(path.name)


def writer_of(path: Path) -> int | None:
    """Return who writes the file *path*, which becomes a heartbeat file; None for any other file.

    >>> [writer_of(Path(name)) for name in ("run/beats/4711", "run/beats/.4711.812", ".1.x")]
    [None, 812, None]
    """
    match path.name.split("."):
        case "", pid, writer if _number(pid) is not None:
            return _number(writer)
    return None


def _number(name: str) -> int | None:
    return int(name) if name.isascii() and name.isdigit() and len(name) <= len("4194304") else None


def write(folder: Path, pid: int, beat: Beat, owner: tuple[int, int] | None = None) -> None:
    """Replace the heartbeat file of *pid*, which is a beat too.

    A long fault is cut. The folder may be that of another user, whom nothing that lies there lets
    have this process wait, or write or give away anything else.

    Args:
        folder: The folder of heartbeat files.
        pid: Whose file it is.
        beat: What it is to say.
        owner: User and group that the file is given to, where they are not this process's own.

    Raises:
        OSError: If it cannot be written; what was there stays as it is.
    """
    content = asdict(beat)
    if beat.fault is not None:
        content["fault"] = beat.fault[:_LONGEST_FAULT]
    being_written = folder / f".{pid}.{os.getpid()}"  # two writers never share one
    with suppress(FileNotFoundError):
        being_written.unlink()  # left by one that had our pid, or laid there to be opened
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    fd = os.open(being_written, flags, _MODE)
    try:
        with os.fdopen(fd, "wb") as file:
            if owner is not None:
                os.fchown(fd, *owner)  # and not the path, which may be another file by now
            file.write(json.dumps(content).encode() + b"\n")
        being_written.replace(path_of(folder, pid))
    except OSError:
        with suppress(OSError):  # the first error is the one to tell
            being_written.unlink()
        raise


def read(path: Path) -> Beat | None:
    """Return what the heartbeat file *path* says; None where it is missing or says nothing.

    >>> read(Path("/no/such/folder/4711")) is None
    True
    """
    try:
        # Whatever lies there, a pipe or a link, it is neither waited for nor followed.
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(fd, "rb") as file:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                return None
            content = json.loads(file.read(_LONGEST_BYTES) or b"null")
    except (OSError, ValueError, RecursionError):
        return None
    match content:
        case {
            "watcher": str(watcher),
            "started": int(began),
            "state": str(state),
            "fault": None | str() as fault,
        } if state in STATES and not isinstance(began, bool):
            return Beat(watcher, began, state, fault)
    return None


def touch(folder: Path, pid: int) -> None:
    """Let the process *pid* beat once.

    Raises:
        OSError: If it has no file, or the file cannot be touched.
    """
    os.utime(path_of(folder, pid))


def remove(folder: Path, pid: int) -> None:
    """Remove the heartbeat file of *pid*; one that is not there, or has to stay, is no error."""
    with suppress(OSError):
        path_of(folder, pid).unlink()


def started(pid: int) -> int | None:
    """Return when the process *pid* was started, in clock ticks since the machine was.

    Field 22 of ``/proc/PID/stat``, see proc(5). A wall clock that is set changes nothing.

    Returns:
        None where there is no such process, or no ``/proc``.

    >>> started(2**40) is None
    True
    """
    try:
        said = Path(f"/proc/{pid}/stat").read_bytes()
        # The name of the program may hold spaces and parentheses: fields begin after the last one.
        fields = said[said.rindex(b")") + 1 :].split()
        return int(fields[_STARTED_FIELD - _FIRST_FIELD_AFTER_NAME])
    except (OSError, ValueError, IndexError):
        return None
