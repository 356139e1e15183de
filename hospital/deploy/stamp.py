"""The stamp in each rendered file, by which an edited one is told from an older rendering.

Rule: the stamp is the SHA-256 of the file with zeros in its place, so that it needs no list
beside the files, and goes with them when they are copied.
"""

import re
from hashlib import sha256

_LOOKED_AT = 400  # characters; the stamp stands at the beginning
_EMPTY = "0" * 64
MARK = f"hospital-deploy, sha256 {_EMPTY}"
"""What a template holds where the stamp goes."""

_STAMP = re.compile(r"hospital-deploy, sha256 ([0-9a-f]{64})\b")


def stamped(text: str) -> str:
    """Return *text*, which holds ``MARK``, with its stamp."""
    return text.replace(_EMPTY, _digest(text), 1)


def is_stamped(text: str) -> bool:
    """Tell whether *text* has a stamp, whether it is the right one or not."""
    return _STAMP.search(text, 0, _LOOKED_AT) is not None


def is_untouched(text: str) -> bool:
    r"""Tell whether *text* is as hospital-deploy wrote it, whichever version and site.

    >>> is_untouched(stamped(f"# {MARK}\nport = 1\n"))
    True
    >>> is_untouched(stamped(f"# {MARK}\nport = 1\n").replace("1", "2"))
    False
    """
    match = _STAMP.search(text, 0, _LOOKED_AT)
    if match is None:
        return False
    blank = f"{text[: match.start(1)]}{_EMPTY}{text[match.end(1) :]}"
    return match[1] == _digest(blank)


def _digest(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
