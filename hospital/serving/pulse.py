"""Keep the heartbeat file of this process as it should be: its state, and the beat.

Rule: a folder that is missing, full or read-only is said once, tried again with each beat, and
harms nobody. The file format stands in beat.py.
"""

import os
from pathlib import Path

from hospital.logs import Logger
from hospital.redaction import clean_line
from hospital.serving import beat
from hospital.serving.beat import Beat


class Pulse:
    """The heartbeat of this process; in a child that it forks, it does nothing.

    Nothing is written before the first :meth:`say`.

    Args:
        folder: Where the heartbeat files are.
        logger: Hears when the file cannot be written.
    """

    def __init__(self, folder: Path, logger: Logger) -> None:
        self._folder = folder
        self._logger = logger
        self._pid = os.getpid()
        self._started = beat.started(self._pid) or 0
        self._state = beat.STARTING
        self._fault: str | None = None
        self._written = (0, 0)
        self._complained = False

    def say(self, state: str, fault: str = "") -> None:
        """Show *state* from now on, and *fault*, where there is one; that is a beat too."""
        self._state, self._fault = state, fault or None
        self._written = (0, 0)
        self.beat()

    def beat(self) -> None:
        """Show that this process lives."""
        if os.getpid() != self._pid:
            return  # a forked child says nothing of its parent
        try:
            if self._is_as_written():
                beat.touch(self._folder, self._pid)
            else:
                self._write()
        except OSError as error:
            if not self._complained:
                self._complained = True
                self._logger.warning(
                    "heartbeat_unwritable",
                    path=str(beat.path_of(self._folder, self._pid)),
                    reason=clean_line(f"{type(error).__name__}: {error.strerror}"),
                )
        else:
            if self._complained:
                self._complained = False
                self._logger.info("heartbeat_written_again")

    def end(self) -> None:
        """Remove the file: this process ends, and nobody shall miss it."""
        if os.getpid() == self._pid:
            beat.remove(self._folder, self._pid)

    def _is_as_written(self) -> bool:
        """Tell whether the file is the one that was written last.

        Where circusd was late, its hook has put its first beat over a later one of ours.
        """
        return self._written == _identity(beat.path_of(self._folder, self._pid))

    def _write(self) -> None:
        path = beat.path_of(self._folder, self._pid)
        there = beat.read(path)
        known = there is not None and there.started == self._started
        watcher = there.watcher if there is not None and known else ""
        beat.write(self._folder, self._pid, Beat(watcher, self._started, self._state, self._fault))
        self._written = _identity(path)


def _identity(path: Path) -> tuple[int, int]:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return 0, -1
    return found.st_dev, found.st_ino
