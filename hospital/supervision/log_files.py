"""A log file that is written in whole lines, rotated between them, and never in the way.

Rules: nothing here raises, and nothing waits but for the disk itself (a file system that blocks,
as NFS does when its server is gone, blocks circusd with it: keep logs on a local disk). What is in
the file are whole lines. Lines that could not be written are counted, and the count is written
where they are missing. One process writes a file, through one ``LogFile``: see :func:`shared`.
"""

import asyncio
import logging
import os
import stat
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any
from weakref import WeakValueDictionary, ref

from hospital.supervision.event_lines import event_line
from hospital.supervision.log_troubles import reason, tell
from hospital.supervision.rotation import rotate

KEPT_BYTES = 1_000_000
"""How much is kept of what cannot be written."""

RETRY_S = 1.0
"""Seconds between two attempts at a file that cannot be written, or is perhaps another by now."""

_QUIET_S = 60.0
_CHUNK_BYTES = 65_536
_FILE_MODE, _FOLDER_MODE = 0o640, 0o750
_NEVER = float("-inf")
# O_NONBLOCK for what turns out to be a pipe; O_RDWR to see how the file ends
_FLAGS = os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC


class LogFile:
    """Appends whole lines to a file, and rotates it.

    The file is made with mode 0640, and its folder, where only the last part of it is missing,
    with 0750. It is opened at the first line. Who renames, removes or truncates it (logrotate,
    with or without ``copytruncate``) is noticed within a second, and the next line makes a new one.

    A symbolic link in the place of the file is not followed: rotation would rename the link and
    leave what it points to, and who may make links there could have circusd, often root, write
    anywhere. The folder may be one. Pipes and terminals are refused too, since they block.

    Args:
        path: The file.
        max_bytes: Size that it does not exceed, but for a single longer line; 0 never rotates.
        backup_count: How many old ones are kept as ``path.1`` (the latest) and so on.
        log_format: ``json`` or ``console``, for what it says itself.
        clock: Seconds that only go forward.
    """

    def __init__(
        self,
        path: str | Path,
        max_bytes: int = 0,
        backup_count: int = 0,
        *,
        log_format: str = "json",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.path = os.path.abspath(path)  # noqa: PTH100 - Path.resolve() follows the file's link
        self.max_bytes, self.backup_count = max_bytes, backup_count
        self.log_format = log_format
        self._clock = clock
        self._lock = Lock()
        self._waiting: deque[bytes] = deque()
        self._lost = 0
        self._fd, self._size, self._is_regular = -1, 0, False
        self._identity = (0, 0)
        self._looked_at = self._failed_at = self._said_at = self._unrotated_at = _NEVER
        self._is_out = self._outage_said = self._will_retry = False
        self._unsaid: list[tuple[int, str, dict[str, Any]]] = []

    def write(self, lines: bytes = b"") -> None:
        """Append *lines*, each with its line feed; without any, try those that are waiting.

        May be called from threads, and by a signal handler that interrupts it: who finds another
        at work leaves the lines to it.
        """
        try:
            if lines:
                self._keep(lines)
            done = True
            while done and self._waiting and self._lock.acquire(blocking=False):
                try:
                    done = self._write_on()
                finally:
                    self._lock.release()
            while self._unsaid:
                level, event, fields = self._unsaid.pop()
                tell(level, event, fields)
        except Exception:  # noqa: BLE001 - the logs of a service are no reason to end it
            self._lost += lines.count(b"\n")

    def close(self) -> None:
        """Let go of the file, once what waits was tried; the next line opens it again."""
        self._failed_at = _NEVER
        self.write()
        if self._lock.acquire(blocking=False):
            try:
                self._let_go()
            finally:
                self._lock.release()

    def _keep(self, lines: bytes) -> None:
        # the newest are lost, so that the count stands in one place: behind what was kept
        if self._waiting and (self._lost or self._kept_bytes() + len(lines) > KEPT_BYTES):
            self._lost += lines.count(b"\n")
        else:
            self._waiting.append(lines if lines.endswith(b"\n") else lines + b"\n")

    def _kept_bytes(self) -> int:
        try:
            return sum(map(len, self._waiting))
        except RuntimeError:  # another thread is about to write them
            return 0

    def _write_on(self) -> bool:
        now = self._clock()
        if now - self._failed_at < RETRY_S:
            return False
        try:
            self._look(now)
            while self._waiting:
                self._write_first(now)
                if self._lost and not self._waiting:
                    self._waiting.append(self._lines_lost())
        except OSError as error:
            self._fail(now, error)
            return False
        self._recover()
        return True

    def _write_first(self, now: float) -> None:
        first = self._waiting[0]
        if len(first) > _CHUNK_BYTES:
            end = first.rfind(b"\n", 0, _CHUNK_BYTES) + 1 or first.find(b"\n") + 1
            first = first[:end]
        if not self._fitting(first):
            self._rotate(now)
        # a line longer than a file may be is alone in one
        chunk = first[: self._fitting(first) or first.find(b"\n") + 1]
        written = 0
        try:
            while written < len(chunk):  # less than all on a disk that is nearly full
                written += os.write(self._fd, chunk[written:])
        finally:
            whole = chunk.rfind(b"\n", 0, written) + 1
            rest = self._waiting[0][whole:]
            if rest:
                self._waiting[0] = rest
            else:
                self._waiting.popleft()
            self._size += whole
            if whole < written:
                os.ftruncate(self._fd, os.fstat(self._fd).st_size - (written - whole))

    def _fitting(self, lines: bytes) -> int:
        """Return how many bytes of *lines*, whole ones, go into the file as it is."""
        if not self._is_regular or not self.max_bytes or self._unrotated_at != _NEVER:
            return len(lines)
        room = self.max_bytes - self._size
        if room >= len(lines):
            return len(lines)
        return lines.rfind(b"\n", 0, max(0, room)) + 1

    def _rotate(self, now: float) -> None:
        if not self._size:
            return
        if self._is_in_place():
            try:
                rotate(self.path, self.backup_count)
            except OSError as error:
                # better a file that is too long than lines that are missing
                self._unrotated_at = now
                self._note(logging.ERROR, "log_not_rotated", reason=reason(error))
                return
        self._let_go()
        self._open()

    def _look(self, now: float) -> None:
        if self._fd >= 0 and now - self._looked_at >= RETRY_S:
            if self._is_in_place():
                self._size = os.fstat(self._fd).st_size  # somebody may have truncated it
            else:
                self._let_go()
            if now - self._unrotated_at >= _QUIET_S:
                self._unrotated_at = _NEVER
            self._looked_at = now
        if self._fd < 0:
            self._open()
            self._looked_at = now

    def _is_in_place(self) -> bool:
        with suppress(OSError):
            found = os.lstat(self.path)
            return self._identity == (found.st_dev, found.st_ino)
        return False

    def _open(self) -> None:
        try:
            self._fd = os.open(self.path, _FLAGS)
        except FileNotFoundError:
            self._make_folder()
            self._fd = os.open(self.path, _FLAGS | os.O_CREAT | os.O_EXCL, _FILE_MODE)
            os.fchmod(self._fd, _FILE_MODE)  # whatever the umask
        found = os.fstat(self._fd)
        self._is_regular = stat.S_ISREG(found.st_mode)
        self._size, self._identity = found.st_size, (found.st_dev, found.st_ino)
        if not self._is_regular and (not stat.S_ISCHR(found.st_mode) or os.isatty(self._fd)):
            raise OSError(0, "it is no file; move it away")
        if self._is_regular and self._size and os.pread(self._fd, 1, self._size - 1) != b"\n":
            self._size += os.write(self._fd, b"\n")  # what was torn here ends here

    def _make_folder(self) -> None:
        folder = Path(self.path).parent
        with suppress(FileExistsError):
            folder.mkdir(_FOLDER_MODE)
            folder.chmod(_FOLDER_MODE)

    def _let_go(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _fail(self, now: float, error: OSError) -> None:
        with suppress(OSError):
            self._let_go()
        self._failed_at = now
        if not self._is_out and now - self._said_at >= _QUIET_S:
            self._said_at, self._outage_said = now, True
            self._note(logging.ERROR, "log_unwritable", reason=reason(error))
        self._is_out = True
        if not self._will_retry:
            with suppress(RuntimeError):  # no loop: the next line tries
                loop = asyncio.get_running_loop()
                loop.call_later(RETRY_S, _retry, ref(self))
                self._will_retry = True

    def _recover(self) -> None:
        if self._outage_said:
            self._note(logging.WARNING, "log_writable_again")
        self._is_out = self._outage_said = False

    def _lines_lost(self) -> bytes:
        lost, self._lost = self._lost, 0
        return event_line(
            "warning", "log_lines_lost", logger=__name__, log_format=self.log_format, lost=lost
        )

    def _note(self, level: int, event: str, **fields: Any) -> None:
        self._unsaid.insert(0, (level, event, {"path": self.path, **fields}))


def _retry(reference: "ref[LogFile]") -> None:
    file = reference()
    if file is not None:
        file._will_retry = False  # noqa: SLF001 - its own module
        file.write()


def _place(path: str) -> str:
    """Return where *path* leads now: its folder may be a link, and another one tomorrow."""
    return os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))  # noqa: PTH118, PTH119, PTH120 - texts


_SHARED: WeakValueDictionary[str, LogFile] = WeakValueDictionary()


def shared(
    path: str | Path, max_bytes: int = 0, backup_count: int = 0, *, log_format: str = "json"
) -> LogFile:
    """Return the one ``LogFile`` of this process for *path*, with the limits as given last.

    Standard output and error of a watcher write the same file; so do, for a moment, a watcher
    and the one that takes its place when circusd reads its configuration again.
    """
    made = LogFile(path)
    place = _place(made.path)
    file = _SHARED.get(made.path) or next(
        (each for each in _SHARED.values() if _place(each.path) == place), made
    )
    _SHARED[file.path] = file
    file.max_bytes, file.backup_count, file.log_format = max_bytes, backup_count, log_format
    return file
