"""Say why a log cannot be written, and what to do: in circusd's own log and on standard error."""

import errno
import logging
from collections.abc import Mapping
from typing import Any

_RIGHTS = "give circusd's user the right to write there"
_REMEDIES = {
    errno.ENOSPC: "make room",
    errno.EDQUOT: "make room, or raise the quota",
    errno.EACCES: _RIGHTS,
    errno.EPERM: _RIGHTS,
    errno.ENOENT: "make the folder above it",
    errno.ENOTDIR: "one of its folders is none",
    errno.EISDIR: "there is a folder of that name; move it away",
    errno.ELOOP: "it is a symbolic link; link its folder instead",
}


def reason(error: OSError) -> str:
    """Return what *error* says, and what to do.

    >>> reason(OSError(errno.ENOSPC, "No space left on device"))
    'No space left on device; make room'
    """
    remedy = _REMEDIES.get(error.errno or 0)
    said = error.strerror or str(error)
    return f"{said}; {remedy}" if remedy else said


def tell(level: int, event: str, fields: Mapping[str, Any]) -> None:
    """Log *event*; also where circusd's logging is not that of circusd_logs.py."""
    sentence = f"{event}: {': '.join(map(str, fields.values()))}"
    told = {"event": event, "fields": fields}
    logging.getLogger("hospital.supervision.log_files").log(level, sentence, extra=told)
