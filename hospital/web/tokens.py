"""The bearer token of a file, as it stands there now."""

import os
import stat
from pathlib import Path

from hospital.errors import SettingError
from hospital.logs import get_logger
from hospital.web.access import require_token

_LONGEST = 4096
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class TokenFile:
    """Reads the token of *path*, again whenever the file has changed.

    A file that is missing, empty or holds what cannot be a token gives ``""``: nobody has that.
    One that others may read is used, with a warning in the log: in containers secrets are
    mounted that way.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read: tuple[object, str] = (object(), "")
        self._logger = get_logger("hospital.web.tokens")

    def read(self) -> str:
        """Return the token, or ``""`` where there is none."""
        try:
            found = self._path.stat()
        except OSError as error:
            return self._remember(str(error), error=error)
        seen = (found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_size)
        if self._read[0] == seen:
            return self._read[1]
        try:
            return self._remember(seen, self._open(), mode=found.st_mode)
        except (OSError, SettingError, UnicodeDecodeError) as error:
            return self._remember(seen, error=error)

    def _open(self) -> str:
        # Without O_NONBLOCK a named pipe would keep the request waiting.
        fd = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(fd, "rb") as file:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise SettingError("the token file is no file:", repr(str(self._path)))
            return require_token(file.read(_LONGEST).decode("ascii").strip(), str(self._path))

    def _remember(
        self, seen: object, token: str = "", mode: int = 0, error: Exception | None = None
    ) -> str:
        if self._read[0] != seen:
            self._read = (seen, token)
            path = str(self._path)
            if error is not None:
                reason = f"{type(error).__name__}: {error}"
                self._logger.warning("token_file_unusable", path=path, reason=reason)
            elif mode & _OTHERS:
                shown = oct(stat.S_IMODE(mode))
                self._logger.warning("token_file_open_to_others", path=path, mode=shown)
        return token
