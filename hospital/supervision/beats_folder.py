"""The folder of heartbeat files, as circusd sees it: made where it is missing, and swept."""

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from hospital.serving import beat

VARIABLE = "HOSPITAL_HEARTBEAT_DIR"
MODE = 0o700


def folder_of(environ: Mapping[str, str] | None, working_dir: str) -> Path | None:
    """Return where processes with this environment and working folder beat; None for nowhere."""
    named = (environ or {}).get(VARIABLE, "")
    return Path(working_dir, named) if named else None


def make(folder: Path, owner: tuple[int, int] | None = None) -> None:
    """Make *folder* where it is missing, for nobody but its owner; its parent must be there.

    Args:
        folder: The folder.
        owner: User and group of the processes, where they are not circusd's own.

    Raises:
        OSError: If it cannot be made.
    """
    with suppress(FileExistsError):
        folder.mkdir(MODE)
        folder.chmod(MODE)  # whatever the umask
        if owner is not None:
            os.chown(folder, *owner, follow_symlinks=False)


def sweep(folder: Path) -> None:
    """Remove what processes that are gone have left there; what is nobody's file stays."""
    with suppress(OSError):
        for path in list(folder.iterdir()):
            if _is_left_over(path):
                with suppress(OSError):
                    path.unlink()


def _is_left_over(path: Path) -> bool:
    pid = beat.pid_of(path)
    if pid is not None:
        said = beat.read(path)
        return said is not None and beat.started(pid) != said.started
    writer = beat.writer_of(path)
    return writer is not None and beat.started(writer) is None
