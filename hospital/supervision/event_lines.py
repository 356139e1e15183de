"""The lines of the logs that circusd writes: which pass as they are, and what others become.

Rule: a line of a log is one JSON object in the format ``json``; in both formats no control
character stands in it, but for tabs in the format ``console``.
"""

import json
import re
from codecs import getincrementaldecoder
from typing import Any

from hospital.log_lines import OWN_FIELDS, encode, harmless, stamped, to_console, to_json
from hospital.redaction import clean

LONGEST_TEXT = 8000
"""Characters in the text of one ``output`` event."""

_CONTROL = re.compile(rb"[\x00-\x1f]")
_CONTROL_BUT_TAB = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_OF_OUR_CONSOLE = re.compile(rb"\d\d:\d\d:\d\d\.\d{3} (?:debug|info|warning|error)\b")


def event_line(
    level: str, event: str, *, logger: str, log_format: str = "json", **fields: Any
) -> bytes:
    r"""Return the line that says *event*, with the fields that each event of hospital has.

    >>> event_line("info", "tea_ready", logger="kitchen", cups=2).endswith(b', "cups": 2}\n')
    True
    """
    said = harmless(
        None, level, stamped(None, level, {"event": event, "logger": logger, "fields": fields})
    )
    return encode((to_console if log_format == "console" else to_json)(None, level, said))


def is_event(line: bytes, log_format: str = "json") -> bool:
    """Return whether *line* (without its line feed) is of hospital's own form, and may pass.

    Parses it wholly: 7 µs for 2 KB, and nothing else would find what only begins like one.

    >>> is_event(b'{"event": "of somebody else"}'), is_event(b"12:00:01.123 info    up", "console")
    (False, True)
    """
    if log_format == "console":
        return bool(_OF_OUR_CONSOLE.match(line)) and not _CONTROL_BUT_TAB.search(line)
    if not line.startswith(b"{") or _CONTROL.search(line):
        return False
    try:
        value = json.loads(line.decode(), parse_constant=_refuse)
    except (ValueError, RecursionError):
        return False
    return bool(value.keys() >= _OWN)


def output_line(  # noqa: PLR0913 - what a line consists of
    text: bytes,
    *,
    level: str,
    logger: str,
    pid: int,
    log_format: str = "json",
    is_cut: bool = False,
) -> bytes:
    """Return the line that carries *text*, which a process printed; empty where it shows nothing.

    Secrets are masked in it, as in everything that hospital shows.

    Args:
        text: What was printed, of any encoding.
        level: Level of the event.
        logger: Logger of the event.
        pid: Who printed it.
        log_format: ``json``, or ``console`` for the text alone.
        is_cut: Whether its end is missing, which the field ``cut`` says then.
    """
    # the decoder keeps back a character that was cut in two
    whole = getincrementaldecoder("utf-8")("replace").decode(text, final=not is_cut)
    shown = clean(whole, LONGEST_TEXT)
    if not shown.strip():
        return b""
    if log_format == "console":
        return encode(shown)
    own = stamped(None, level, {"event": "output", "logger": logger, "fields": {}})
    own |= {"pid": pid, "text": shown}
    return encode(json.dumps(own | ({"cut": True} if is_cut else {}), ensure_ascii=False))


def _refuse(constant: str) -> None:
    raise ValueError(constant)


_OWN = frozenset(OWN_FIELDS)
