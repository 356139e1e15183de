"""Read the head of an HTTP request strictly: what is doubtful is refused, not guessed at.

Rule: no I/O here; bytes go in, a ``Head`` comes out or a ``Refusal`` is raised. Where two
programs could read the same bytes differently (a proxy before us, and us), none of the readings
is accepted.

Source: RFC 9110 and RFC 9112, 2022.
"""

import re
from collections.abc import Mapping, Sequence
from urllib.parse import unquote_to_bytes

LONGEST_LINE_BYTES = 8192
MOST_FIELDS = 100
LONGEST_HEAD_BYTES = 32_768

_REQUEST_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([\x21-\x7e]+) HTTP/(\d)\.(\d)")
_FIELD = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):([^\x00-\x08\x0a-\x1f\x7f]*)")
_ABSOLUTE = re.compile(r"https?://([^/?#@]+)([/?].*)?", re.IGNORECASE)
_DIGITS = re.compile(r"[0-9]{1,15}")
_HOST = re.compile(r"(?:\[[\dA-Fa-f:.]+\]|[\w.\-~%!$&'()*+;=]*)(?::\d{0,5})?", re.ASCII)
_ONCE = frozenset({"CONTENT_LENGTH", "CONTENT_TYPE", "HTTP_HOST", "HTTP_TRANSFER_ENCODING"})
_KEPT_APART = {"CONTENT_LENGTH": "CONTENT_LENGTH", "CONTENT_TYPE": "CONTENT_TYPE"}
_known_keys: dict[bytes, str] = {}
_MOST_KNOWN_KEYS = 500
_CARRIAGE_RETURN = 0x0D
_NO_BEGINNING = re.compile(rb"[^!#$%&'*+\-.^_`|~0-9A-Za-z\r]")
_SECRETS = frozenset({"HTTP_AUTHORIZATION", "HTTP_COOKIE", "HTTP_PROXY_AUTHORIZATION"})
_known_heads: dict[bytes, "Head"] = {}
_MOST_KNOWN_HEADS = 64
_LONGEST_KNOWN_HEAD_BYTES = 512


class Refusal(Exception):  # noqa: N818 - an answer to the client rather than an error of ours
    """A request that is answered with *status* and nothing else."""

    def __init__(self, status: str, reason: str) -> None:
        self.status = status
        self.reason = reason
        super().__init__(f"{status}: {reason}")

    @property
    def code(self) -> int:
        """The number of the status."""
        return int(self.status[:3])


class Head:
    """What the head of a request says.

    Attributes:
        method: The method, as sent.
        target: What is asked for, as sent.
        version: ``HTTP/1.0`` or ``HTTP/1.1``.
        environ: What it adds to a WSGI environment; not to be changed.
        body_bytes: Length of the body.
        keep_alive: Whether the client wants to send another request afterwards.
        expects_continue: Whether the client waits for ``100 Continue`` before the body.
    """

    __slots__ = (
        *("body_bytes", "environ", "expects_continue", "keep_alive"),
        *("method", "target", "version"),
    )

    def __init__(self, method: str, target: str, version: str, environ: Mapping[str, str]) -> None:
        self.method = method
        self.target = target
        self.version = version
        self.environ = environ
        self.body_bytes = _body_bytes(environ)
        newer = version == "HTTP/1.1"
        self.keep_alive = newer
        if "HTTP_CONNECTION" in environ:
            tokens = {each.strip() for each in environ["HTTP_CONNECTION"].lower().split(",")}
            self.keep_alive = (newer or "keep-alive" in tokens) and "close" not in tokens
        self.expects_continue = newer and environ.get("HTTP_EXPECT", "").lower() == "100-continue"


def read_head(head: bytes) -> Head:
    r"""Return what a head says: all that stands before its empty line.

    Whoever probes sends the same bytes each time: short heads without a secret are remembered,
    a few of them, and given again. So nobody may change what is returned.

    Raises:
        Refusal: If the head is malformed, ambiguous, too long or of a version unknown here.

    >>> head = read_head(b"GET /a%20b?c HTTP/1.1\r\nHost: x")
    >>> head.environ["PATH_INFO"], head.environ["QUERY_STRING"], head.keep_alive
    ('/a b', 'c', True)
    """
    known = _known_heads.get(head)
    if known is not None:
        return known
    request_line, *field_lines = head.split(b"\r\n")
    if len(head) > LONGEST_LINE_BYTES:
        BegunHead().check(head)
    elif len(field_lines) > MOST_FIELDS:
        raise _too_many()
    read = _read_lines(request_line, field_lines)
    if len(head) <= _LONGEST_KNOWN_HEAD_BYTES and _SECRETS.isdisjoint(read.environ):
        if len(_known_heads) >= _MOST_KNOWN_HEADS:  # strangers fill it: the memory is bounded
            _known_heads.clear()
        _known_heads[head] = read
    return read


class BegunHead:
    r"""The part of a head that has arrived; each byte is looked at once, however it drips in.

    Attributes:
        last_line: Where the last line begins, with the end of the line before it.

    >>> begun = BegunHead()
    >>> begun.check(b"GET / HTTP/1.1\r\nHo")
    >>> begun.check(b"GET / HTTP/1.1\r\nHost: x\n")
    Traceback (most recent call last):
      ...
    hospital.serving.heads.Refusal: 400 Bad Request: a line does not end in CR LF
    """

    __slots__ = ("_fields", "_lines", "_seen", "last_line")

    def __init__(self) -> None:
        self._seen = 0
        self._fields = 0  # where they begin; 0 while the request line is not whole
        self._lines = 0
        self.last_line = 0

    def check(self, begun: bytes) -> None:
        """Refuse at once what cannot become a good head, however it goes on.

        Args:
            begun: All that has arrived; what was there at the last call is taken as it was.

        Raises:
            Refusal: If it is too long, or malformed already: whoever speaks TLS or sends bare line
                feeds would else wait for an answer until the timeout.
        """
        size, new = len(begun), self._seen
        if new and begun[new - 1] == _CARRIAGE_RETURN:
            new -= 1
        self._seen = size
        if not self._fields:
            self._check_request_line(begun, new)
        if begun.count(b"\n", new) != begun.count(b"\r\n", new):
            raise Refusal("400 Bad Request", "a line does not end in CR LF")
        if self._fields:
            self._check_fields(begun, max(new, self._fields))

    def _check_request_line(self, begun: bytes, new: int) -> None:
        end = begun.find(b"\r\n", new)
        first = len(begun) if end < 0 else end + 2
        if first > LONGEST_LINE_BYTES:
            raise Refusal("414 URI Too Long", "the request line is too long")
        if _NO_BEGINNING.match(begun):
            raise Refusal("400 Bad Request", "the request line is malformed")
        if end >= 0:
            if b"\n" in begun[:end]:
                raise Refusal("400 Bad Request", "a line does not end in CR LF")
            _read_request_line(begun[:end])
            self._fields, self.last_line = first, end

    def _check_fields(self, begun: bytes, new: int) -> None:
        self._lines += begun.count(b"\r\n", new)
        lines = begun[self.last_line + 2 :].split(b"\r\n")
        self.last_line = len(begun) - len(lines[-1]) - 2
        if (
            max(map(len, lines)) + 2 > LONGEST_LINE_BYTES
            or len(begun) - self._fields > LONGEST_HEAD_BYTES
            or self._lines > MOST_FIELDS
        ):
            raise _too_many()


def _too_many() -> Refusal:
    return Refusal("431 Request Header Fields Too Large", "send fewer, shorter headers")


def _read_request_line(line: bytes) -> tuple[bytes, bytes, str]:
    """Return method, target and version."""
    found = _REQUEST_LINE.fullmatch(line)
    if found is None:
        raise Refusal("400 Bad Request", "the request line is malformed")
    method, target, major, minor = found.groups()
    if major != b"1" or minor not in b"01":
        raise Refusal("505 HTTP Version Not Supported", "speak HTTP/1.1")
    return method, target, "HTTP/1.1" if minor == b"1" else "HTTP/1.0"


def _read_lines(request_line: bytes, field_lines: Sequence[bytes]) -> Head:
    method, target, version = _read_request_line(request_line)
    environ = _read_fields(field_lines)
    if version == "HTTP/1.1" and "HTTP_HOST" not in environ:
        raise Refusal("400 Bad Request", "the Host header is missing")
    if not _HOST.fullmatch(environ.get("HTTP_HOST", "")):
        raise Refusal("400 Bad Request", "the Host header is malformed")
    text = target.decode("ascii")
    if text[0] != "/":
        text = _origin_form(method, text, environ)
    path, _, query = text.partition("?")
    if "%" in path:
        path = unquote_to_bytes(path).decode("latin-1")
    environ["PATH_INFO"] = path
    environ["QUERY_STRING"] = query
    environ["SERVER_PROTOCOL"] = version
    environ["REQUEST_METHOD"] = named = method.decode("ascii")
    return Head(named, target.decode("ascii"), version, environ)


def _read_fields(lines: Sequence[bytes]) -> dict[str, str]:
    environ: dict[str, str] = {}
    for line in lines:
        field = _FIELD.fullmatch(line)
        if field is None:
            raise Refusal("400 Bad Request", "a header line is malformed")
        name, value = field.groups()
        key = _known_keys.get(name) or _key(name)
        if not key:
            continue
        text = value.strip(b" \t").decode("latin-1")
        if key not in environ:
            environ[key] = text
        elif key in _ONCE:
            raise Refusal("400 Bad Request", "a header that may stand once stands twice")
        else:
            environ[key] += ("; " if key == "HTTP_COOKIE" else ",") + text
    return environ


def _key(name: bytes) -> str:
    """Return the WSGI key of a header; empty where it could pose as another: an underscore."""
    if b"_" in name:
        return ""
    key = name.decode("ascii").upper().replace("-", "_")
    key = _KEPT_APART.get(key, f"HTTP_{key}")
    if len(_known_keys) < _MOST_KNOWN_KEYS:  # strangers choose the names: the memory is bounded
        _known_keys[name] = key
    return key


def _origin_form(method: bytes, target: str, environ: dict[str, str]) -> str:
    if target == "*" and method == b"OPTIONS":
        return target
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is None:
        raise Refusal("400 Bad Request", "the request target is malformed")
    if absolute[1][0] == ":" or not _HOST.fullmatch(absolute[1]):
        raise Refusal("400 Bad Request", "the host of the request target is malformed")
    environ["HTTP_HOST"] = absolute[1]  # it outranks the Host header: RFC 9112, 3.2.2
    rest = absolute[2] or "/"
    return rest if rest[0] == "/" else f"/{rest}"


def _body_bytes(environ: Mapping[str, str]) -> int:
    if "HTTP_TRANSFER_ENCODING" in environ:
        if "CONTENT_LENGTH" in environ:
            raise Refusal("400 Bad Request", "Transfer-Encoding beside Content-Length")
        if environ["HTTP_TRANSFER_ENCODING"].lower() != "chunked":
            raise Refusal("501 Not Implemented", "the Transfer-Encoding is unknown")
        raise Refusal("411 Length Required", "send the body with a Content-Length")
    length = environ.get("CONTENT_LENGTH")
    if length is None:
        return 0
    if not _DIGITS.fullmatch(length):
        raise Refusal("400 Bad Request", "the Content-Length is malformed")
    return int(length)
