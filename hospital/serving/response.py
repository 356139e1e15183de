"""The head of a response: what an application said, checked, and what HTTP adds to it.

Rules: no I/O here; nothing that an application says can end a line, and so begin a header or a
response of its own.
"""

import re
from collections.abc import Sequence
from email.utils import formatdate
from time import time

from hospital.serving.heads import Refusal

REQUEST_ID = "X-Request-Id"

_STATUS = re.compile(r"[2-9][0-9]{2} [^\x00-\x1f\x7f]*")
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")
_NO_CONTENT = 204
_RESET_CONTENT = 205
_WITHOUT_BODY = (_NO_CONTENT, _RESET_CONTENT, 304)
_MOST_KNOWN = 256
_known: dict[tuple[str, str], str] = {}
_REPEATED = frozenset(
    {
        *("Allow", "Cache-Control", "Content-Type", "Retry-After", "Vary"),
        *("X-Content-Type-Options", "X-Frame-Options", "Content-Security-Policy"),
    }
)
_SET_HERE = frozenset({"connection", "keep-alive", "proxy-connection", "transfer-encoding"})


class ResponseHead:
    """What an application gave to ``start_response``.

    Args:
        status: Code and phrase.
        headers: Names and values.

    Attributes:
        status: Code and phrase.
        code: The number alone.
        has_body: Whether a response with this status has a body at all.
        length: The value of Content-Length, or None where the application gave none.

    Raises:
        ValueError: If the status or a header cannot be sent.
    """

    __slots__ = (
        *("_date", "_has_id", "_kind", "_rest", "_server"),
        *("code", "has_body", "length", "status"),
    )

    def __init__(self, status: str, headers: Sequence[tuple[str, str]]) -> None:
        if not _STATUS.fullmatch(status):
            raise ValueError(f"the application gave no final status: {status!r:.80}")
        self.status = status
        self.code = int(status[:3])
        self.has_body = self.code not in _WITHOUT_BODY
        self.length: int | None = None
        self._date = ""
        self._server = "Server: hospital\r\n"
        self._kind = ""
        self._rest: list[str] = []
        self._has_id = False
        for pair in headers:
            name = pair[0]
            if name == "Content-Length":  # no line: who frames the body writes it
                self._read_length(pair[1])
                continue
            line = _known.get(pair) or _line(pair)
            if name == "Content-Type":
                self._kind = line
            else:
                self._add(name.lower(), pair[1], line)

    def _add(self, name: str, value: str, line: str) -> None:
        match name:
            case "content-type":
                self._kind = line
            case "content-length":
                self._read_length(value)
            case "date":
                self._date = line
            case "server":
                self._server = line
            case _ if name not in _SET_HERE:
                self._rest.append(line)
                self._has_id = self._has_id or name == "x-request-id"

    def _read_length(self, value: str) -> None:
        if not (value.isascii() and value.isdigit()):
            raise ValueError(f"the application gave no Content-Length: {value!r:.80}")
        self.length = int(value)

    @property
    def length_line(self) -> str:
        """The Content-Length of a response without a body: RFC 9110, 8.6 and 15.3.6."""
        if self.code == _RESET_CONTENT:
            return "Content-Length: 0\r\n"
        if self.code == _NO_CONTENT or self.length is None:
            return ""
        return f"Content-Length: {self.length}\r\n"

    def to_bytes(self, framing: str, connection: str, request_id: str) -> bytes:
        """Return the head as it is sent.

        Args:
            framing: The line that says where the body ends; empty for none.
            connection: The line that says whether another request may follow; likewise.
            request_id: Told to the client where something is not as it should be.
        """
        if self.code != 200 and not self._has_id:  # noqa: PLR2004 - the one that nobody asks about
            self._rest.append(f"{REQUEST_ID}: {request_id}\r\n")
        return (
            f"HTTP/1.1 {self.status}\r\n{self._date or date_line()}{self._server}{self._kind}"
            f"{framing}{''.join(self._rest)}{connection}\r\n"
        ).encode("latin-1")


def _line(pair: tuple[str, str]) -> str:
    """Return the line of a header; those that each response repeats are remembered."""
    name, value = pair
    if not (_NAME.fullmatch(name) and _VALUE.fullmatch(value)):
        raise ValueError(f"the application gave a header that cannot be sent: {pair!r:.80}")
    line = f"{name}: {value}\r\n"
    if name in _REPEATED:
        if len(_known) >= _MOST_KNOWN:  # values may differ each time: the memory is bounded
            _known.clear()
        _known[pair] = line
    return line


def refusal_bytes(refusal: Refusal, request_id: str, *, with_body: bool = True) -> bytes:
    """Return a whole response with a status and one line of text, after which the server closes."""
    body = f"{refusal.status}: {refusal.reason}\n"
    head = ResponseHead(refusal.status, [("Content-Type", "text/plain; charset=utf-8")])
    framing = f"Content-Length: {len(body)}\r\n"
    sent = head.to_bytes(framing, "Connection: close\r\n", request_id)
    return sent + body.encode() if with_body else sent


_date: tuple[int, str] = (0, "")


def date_line() -> str:
    """Return the Date header of now, made once a second."""
    global _date  # noqa: PLW0603 - a memory of one value
    now = int(time())
    if now != _date[0]:
        _date = (now, f"Date: {formatdate(now, usegmt=True)}\r\n")
    return _date[1]
