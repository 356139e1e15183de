"""One request and its answer: from the WSGI environment to the last byte.

Rules: head and body leave in one send where the application returns a list; a HEAD is never
answered with a body; whatever the application raises, the client gets a short text, the log gets
the traceback, and the process lives on.
"""

import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from io import BytesIO
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Any

import gevent

from hospital.serving.heads import Head, Refusal
from hospital.serving.response import ResponseHead, refusal_bytes

if TYPE_CHECKING:
    from hospital.serving.backend import Server
    from hospital.serving.connection import Connection

ExcInfo = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]

_ID_KEY = "HTTP_X_REQUEST_ID"
_USABLE_ID = re.compile(r"[A-Za-z0-9._\-]{1,64}", re.ASCII)
_BROKEN = Refusal("500 Internal Server Error", "the cause stands in the server's log")


class Exchange:
    """A request that has arrived whole, and its answer.

    Args:
        connection: Where the answer goes.
        server: Whose application answers.
        head: The head of the request.
        body: Its body.
    """

    __slots__ = (
        *("_body", "_broken", "_chunked", "_connection", "_done", "_head", "_keep", "_lost"),
        *("_request_id", "_response", "_result", "_sent_bytes", "_sent_head_bytes", "_server"),
    )

    def __init__(self, connection: "Connection", server: "Server", head: Head, body: bytes) -> None:
        self._connection = connection
        self._server = server
        self._head = head
        self._body = body
        self._keep = head.keep_alive
        self._response: ResponseHead | None = None
        self._result: Any = None
        self._chunked = False
        self._done = False  # nothing more of the body may come
        self._broken = False  # the body ends early, and only the connection can tell
        self._lost = False
        self._sent_bytes = 0
        self._sent_head_bytes = 0  # 0 while no head has left
        self._request_id = ""

    def run(self) -> None:
        """Answer, and hand the connection on; raises nothing."""
        began = monotonic()
        server, head = self._server, self._head
        environ = self._make_environ()
        try:
            self._result = server.application(environ, self._start_response)
            try:
                self._send_result()
            finally:
                self._done = True
                close = getattr(self._result, "close", None)
                if close is not None:
                    close()
        except BaseException as error:  # noqa: BLE001 - whatever it is, it ends this request alone
            self._report(error)
        response = self._response
        server.count()
        if response is not None and self._sent_head_bytes:
            server.recorder.record(
                response.code,
                head.method,
                head.target,
                self._connection.address,
                monotonic() - began,
                self._sent_bytes,
                self._request_id,
            )
        if self._lost:
            self._connection.close()
        elif self._broken:
            self._connection.reset()
        else:
            self._connection.answered(keep=self._keep, asked=not head.keep_alive)

    def _make_environ(self) -> dict[str, Any]:
        environ: dict[str, Any] = {**self._server.environ, **self._head.environ}
        address = self._connection.address
        if isinstance(address, tuple):
            environ["REMOTE_ADDR"] = address[0]
            environ["REMOTE_PORT"] = str(address[1])
        else:
            environ["REMOTE_ADDR"] = ""  # the peer of a unix socket has none
        given = environ.get(_ID_KEY)
        if given is None or not _USABLE_ID.fullmatch(given):
            given = environ[_ID_KEY] = self._server.next_id()
        self._request_id = given
        environ["wsgi.input"] = BytesIO(self._body)
        return environ

    def _start_response(
        self,
        status: str,
        headers: list[tuple[str, str]],
        exc_info: ExcInfo | None = None,
    ) -> Callable[[bytes], None]:
        """Note status and headers, as PEP 3333 says."""
        if exc_info is not None:
            try:
                if self._sent_head_bytes and exc_info[1] is not None:
                    raise exc_info[1]
            finally:
                exc_info = None
        elif self._response is not None:
            raise RuntimeError("the application called start_response twice")
        self._response = ResponseHead(status, headers)
        return self._write

    def _send_result(self) -> None:
        result = self._result
        if type(result) in {list, tuple}:
            self._write(result[0] if len(result) == 1 else b"".join(result))
        else:
            self._send_parts(result)
        if self._head.method == "HEAD":
            return
        if self._chunked:
            self._send(b"0\r\n\r\n")
        elif self._response is not None and self._response.length is not None:
            sent = self._sent_bytes - self._sent_head_bytes
            if sent != self._response.length and self._response.has_body:
                raise _other_length(self._response.length, sent)

    def _ends_with_connection(self) -> bool:
        """Tell whether nothing else says where the body that is being sent ends."""
        response = self._response
        has_length = self._chunked or (response is not None and response.length is not None)
        return self._has_body() and not has_length

    def _send_parts(self, parts: Iterable[bytes]) -> None:
        for part in parts:
            if part:
                self._write(part)
        if not self._sent_head_bytes:
            self._write(b"")

    def _write(self, data: bytes) -> None:
        """Send a part of the body, the head before the first one."""
        if self._done:
            raise RuntimeError("the answer has ended")
        if not self._sent_head_bytes:
            self._send_first(data)
        elif data and self._has_body():
            if self._chunked:
                self._send(b"%x\r\n%b\r\n" % (len(data), data))
            else:
                self._send_no_more_than_announced(data)

    def _send_no_more_than_announced(self, data: bytes) -> None:
        """Send a part; a byte too many would be taken for the beginning of another answer."""
        response = self._response
        if response is None or response.length is None:
            self._send(data)
            return
        sent = self._sent_bytes - self._sent_head_bytes
        allowed = data[: response.length - sent]
        if allowed:
            self._send(allowed)
        if len(allowed) < len(data):
            raise _other_length(response.length, sent + len(data))

    def _has_body(self) -> bool:
        return (
            self._head.method != "HEAD" and self._response is not None and self._response.has_body
        )

    def _send_first(self, data: bytes) -> None:
        response = self._response
        if response is None:
            raise RuntimeError("the application did not call start_response")
        has_body = self._has_body()
        framing = self._framing(response, data if has_body else None)
        if self._server.draining:
            self._keep = False
        if not self._keep:
            connection = "Connection: close\r\n"
        elif self._head.version == "HTTP/1.0":
            connection = "Connection: keep-alive\r\n"
        else:
            connection = ""
        head = response.to_bytes(framing, connection, self._request_id)
        first = head
        if data and has_body:
            first += b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data
        self._sent_head_bytes = len(head)
        self._send(first)

    def _framing(self, response: ResponseHead, first: bytes | None) -> str:
        """Return the header that says where the body ends.

        Args:
            response: What the application said.
            first: All of the body where the application returned a list, else the first part;
                None where no body is sent.

        Raises:
            ValueError: If that is not what the application announced.
        """
        if not response.has_body:
            return response.length_line
        length = response.length
        is_whole = type(self._result) in {list, tuple}
        if length is not None:
            if first is not None and (len(first) > length or (is_whole and len(first) != length)):
                raise _other_length(length, len(first))
        else:
            if not is_whole:
                if self._head.version == "HTTP/1.0":
                    self._keep = False
                    return ""
                self._chunked = True
                return "Transfer-Encoding: chunked\r\n"
            length = sum(map(len, self._result))
            if not length and self._head.method == "HEAD":
                return ""  # the application did not make the body whose length GET would tell
        return f"Content-Length: {length}\r\n"

    def _send(self, data: bytes) -> None:
        try:
            self._connection.send(data)
        except OSError:
            self._lost = True
            raise
        self._sent_bytes += len(data)

    def _report(self, error: BaseException) -> None:
        self._keep = False
        if self._lost:
            return  # the client went away
        self._done = True
        if self._server.ended and isinstance(error, gevent.GreenletExit):
            return  # it was cut; the interpreter clears up
        self._server.log_exception(error, self._head, self._request_id)
        if self._sent_head_bytes:  # the answer breaks off, so that the client knows
            self._broken = self._ends_with_connection()
            return
        self._response = ResponseHead(_BROKEN.status, ())
        answer = refusal_bytes(_BROKEN, self._request_id, with_body=self._head.method != "HEAD")
        self._sent_head_bytes = 1
        with suppress(OSError):  # the client went away
            self._send(answer)


def _other_length(announced: int, sent: int) -> ValueError:
    return ValueError(f"the application announced {announced} bytes, sent {sent}")
