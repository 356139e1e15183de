"""What a person sees of a change: a unified diff in which no secret stands.

Rule: whatever an old file holds, its secrets are not shown; rather too much is hidden.
"""

import re
from collections.abc import Iterable, Iterator
from difflib import unified_diff

from hospital.deploy.present import Change
from hospital.redaction import clean

HIDDEN = "(hidden)"
_ASSIGNMENT = re.compile(r"^([A-Za-z_]\w*)\s*[=:]")
_PLAIN = re.compile(r"^(?:#|\[|\s*$)")
_DIGEST = re.compile(r"\b[0-9a-f]{64}\b")  # by the stamp a weak secret could be guessed
_LEAST_SECRET = 4  # a shorter one would hide half of every file


def diff_of(change: Change, secrets: Iterable[str]) -> Iterator[str]:
    """Yield the lines of the difference that *change* makes, without line ends."""
    is_secret = change.is_secret
    new = change.new.text if change.new else ""
    old = change.old or ""
    secrets = [each for each in secrets if len(each) >= _LEAST_SECRET]
    before, after = (
        [_shown(line, secrets, is_secret=is_secret) for line in text.splitlines()]
        for text in (old, new)
    )
    names = (
        f"{change.path} (as it is)" if change.old is not None else "/dev/null",
        f"{change.path} (as rendered)" if change.new else "/dev/null",
    )
    lines = list(unified_diff(before, after, names[0], names[1], lineterm=""))
    if lines:
        yield from lines
    elif old != new:
        yield f"--- {names[0]}"
        yield f"+++ {names[1]}"
        yield f" {HIDDEN}: what differs is not shown"
    else:
        yield f"--- {names[0]}"
        yield f" others may do more with it than they should; it gets the mode {change.mode:04o}"


def secrets_in(change: Change) -> Iterator[str]:
    """Yield the secrets that stood in the file that *change* replaces."""
    if change.is_secret:
        for line in (change.old or "").splitlines():
            if not _PLAIN.match(line):
                yield _ASSIGNMENT.sub("", line).strip()


def _shown(line: str, secrets: Iterable[str], *, is_secret: bool) -> str:
    if is_secret and not _PLAIN.match(line):
        match = _ASSIGNMENT.match(line)
        return f"{match[1]} = {HIDDEN}" if match else HIDDEN
    if is_secret:
        line = _DIGEST.sub(HIDDEN, line)
    for each in secrets:
        line = line.replace(each, HIDDEN)
    return clean(line)
