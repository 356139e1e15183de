"""One HTTP request and its answer, within a deadline, over a connection that is always closed."""

import http.client
import io
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, cast

from hospital.assertions.deadline import Deadline
from hospital.assertions.resolving import resolve
from hospital.assertions.transport import (
    OWN_FAULTS,
    TcpTransport,
    TlsTransport,
    Transport,
    UnconnectedError,
    connect,
    why,
)
from hospital.assertions.url import Url
from hospital.durations import format_duration
from hospital.redaction import clean_line

MOST_BODY_BYTES = 1_048_576
_PIECE_BYTES = 65_536
_LONGEST_QUOTE = 60
_INTERIM = range(102, 200)


class ExchangeError(Exception):
    """An exchange came to nothing; the text is the rest of a sentence about the server."""


@dataclass(frozen=True, slots=True)
class Request:
    """What to ask for, and how.

    Attributes:
        url: Whom and what to ask.
        method: ``GET`` or ``HEAD``.
        headers: Headers to send, names in lower case; may hold secrets.
        proxy: The HTTP proxy to ask instead; None for none.
        context: How TLS is spoken; None for the defaults of Python, which verify.
    """

    url: Url
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    proxy: Url | None = None
    context: ssl.SSLContext | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server answered.

    Attributes:
        status: The status code.
        location: The ``Location`` header, may be empty; as the server sent it.
    """

    status: int
    location: str = field(default="", repr=False)


def exchange(request: Request, deadline: Deadline, *, whole_if: int) -> Answer:
    """Return the answer to *request*.

    Args:
        request: What to ask for.
        deadline: When all has to be done.
        whole_if: The status whose body is read to its end, or to its first
            ``MOST_BODY_BYTES``; of an answer of any other status only the head is read.

    Raises:
        ExchangeError: If no answer came, in time and in HTTP.
    """
    with closing(_open(request, deadline)) as transport:
        with _told(deadline, "sending the request"):
            transport.send_all(_head(request))
        with _told(deadline, "waiting for the answer"):
            response = _read_head(transport, request.method)
        with closing(response):
            if response.status == whole_if:
                with _told(deadline, "reading the body"):
                    _read_body(response)
            return Answer(response.status, response.headers.get("location", ""))


def phrase(status: int) -> str:
    """Return *status* with its name, where it has one.

    >>> phrase(503), phrase(599)
    ('503 Service Unavailable', '599')
    """
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _open(request: Request, deadline: Deadline) -> Transport:
    url, proxy = request.url, request.proxy
    peer = proxy or url
    with _told(deadline, f"looking up {peer.host}"):
        addresses = resolve(peer.host, peer.port, deadline)
    with _told(deadline, f"connecting to {peer.authority}"):
        below = connect(addresses, deadline)
    if url.scheme == "http":
        return below
    try:
        if proxy is not None:
            _tunnel(below, url, proxy, deadline)
        with _told(deadline, "agreeing on TLS"):
            transport = TlsTransport(
                below, request.context or ssl.create_default_context(), url.host
            )
            transport.handshake()
    except BaseException:
        below.close()
        raise
    return transport


def _tunnel(below: TcpTransport, url: Url, proxy: Url, deadline: Deadline) -> None:
    lines = [f"CONNECT {url.authority} HTTP/1.1", f"Host: {url.authority}"]
    if proxy.authorization:
        lines.append(f"Proxy-Authorization: {proxy.authorization}")
    with _told(deadline, f"asking the proxy {proxy.authority} for a tunnel"):
        below.send_all(_lines(lines))
        response = _read_head(below, "CONNECT")
    # Else the buffer would close the connection with itself. It holds nothing: in TLS the client
    # speaks first.
    response.fp.detach()
    response.fp = cast("Any", None)
    if response.status != HTTPStatus.OK:
        raise ExchangeError(f"the proxy {proxy.authority} answered {phrase(response.status)}")


def _head(request: Request) -> bytes:
    url, proxy = request.url, request.proxy
    plain_proxy = proxy is not None and url.scheme == "http"
    target = f"http://{url.netloc}{url.target}" if plain_proxy else url.target
    headers = {
        "host": url.netloc,
        "user-agent": "hospital",
        "accept": "*/*",
        "accept-encoding": "identity",
        "connection": "close",
    }
    if url.authorization:
        headers["authorization"] = url.authorization
    if plain_proxy and proxy is not None and proxy.authorization:
        headers["proxy-authorization"] = proxy.authorization
    headers.update(request.headers)
    fields = [f"{name.title()}: {value}" for name, value in headers.items()]
    return _lines([f"{request.method} {target} HTTP/1.1", *fields])


def _lines(lines: list[str]) -> bytes:
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode("latin-1")


class _Stream:
    """What ``http.client`` takes for a socket: one buffer over a transport."""

    def __init__(self, transport: Transport) -> None:
        self._reader = io.BufferedReader(cast("io.RawIOBase", transport))

    def makefile(self, _mode: str) -> Any:
        return self._reader


def _read_head(transport: Transport, method: str) -> http.client.HTTPResponse:
    stream = cast("socket.socket", _Stream(transport))
    while True:
        response = http.client.HTTPResponse(stream, method=method)
        try:
            response.begin()
        except BaseException:
            response.close()  # now: later it would trip over the closed connection
            raise
        if response.status not in _INTERIM:
            return response
        response.fp = cast("Any", None)  # the final answer follows in the same buffer


def _read_body(response: http.client.HTTPResponse) -> None:
    count = 0
    while count < MOST_BODY_BYTES and (piece := response.read(_PIECE_BYTES)):
        count += len(piece)
    if response.length and count < MOST_BODY_BYTES:
        raise ExchangeError(f"broke off its body, {response.length} bytes before the end")


@contextmanager
def _told(deadline: Deadline, doing: str) -> Iterator[None]:
    """Turn what goes wrong inside into an ExchangeError that says what was being done."""
    try:
        yield
    except http.client.HTTPException as error:
        raise ExchangeError(_http_fault(error)) from error
    except ssl.SSLError as error:
        raise ExchangeError(_tls_fault(error)) from error
    except TimeoutError as error:
        limit = format_duration(deadline.timeout_s)
        raise ExchangeError(f"gave no whole answer within {limit}, timed out {doing}") from error
    except socket.gaierror as error:
        raise ExchangeError(f"cannot be resolved: {why(error)}") from error
    except UnconnectedError as error:
        raise ExchangeError(f"took no connection: {error}") from error
    except OSError as error:
        if error.errno in OWN_FAULTS:
            raise
        raise ExchangeError(f"broke the connection {doing}: {why(error)}") from error


def _tls_fault(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"has no valid certificate: {error.verify_message}"
    fault = error.reason or error.strerror or "unknown fault"
    return f"does not speak TLS as it should: {clean_line(fault, 80)}"


def _http_fault(error: http.client.HTTPException) -> str:
    if isinstance(error, http.client.RemoteDisconnected):
        return "closed the connection without an answer"
    if isinstance(error, http.client.IncompleteRead):
        return "broke off its body before the end"
    said = str(error.args[0] if error.args else error).strip()
    return f"answered something that is not HTTP: {clean_line(said, _LONGEST_QUOTE)!a}"
