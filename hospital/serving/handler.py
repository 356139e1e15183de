"""Answer the requests of one connection.

Rules: head and body leave in one send; a HEAD is never answered with a body; whatever the
application raises, the client gets a short text, the log gets the traceback, and the process
lives on; after each request every other connection has its turn.
"""

import socket
from contextlib import suppress
from email.utils import formatdate
from io import BytesIO
from time import monotonic, time
from typing import TYPE_CHECKING, Any

import gevent
from gevent.pywsgi import WSGIHandler

from hospital.serving import heads
from hospital.serving.heads import Head, Refusal

if TYPE_CHECKING:
    from hospital.serving.backend import Server

LONGEST_BODY_BYTES = 65_536
NEVER = float("inf")
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_EMPTY = b"\r\n"
_WITHOUT_BODY = (204, 304)


class Handler(WSGIHandler):
    """One connection: reads a request, answers it, and so on until either side is done.

    Attributes:
        idle: Whether it waits for the first line of a request.
        answered: How many requests it has answered.
        deadline: When the server hangs up on it, in seconds of ``time.monotonic()``.
    """

    server: "Server"
    # What the type stubs of gevent call text is bytes on Python 3, so these go unchecked.
    client_address: Any
    environ: Any
    response_headers: Any
    result: Any
    socket: Any
    status: Any

    def __init__(self, sock: Any, address: Any, server: "Server") -> None:
        super().__init__(sock, address, server)
        self.idle = True
        self.answered = 0
        self.deadline = monotonic() + server.head_timeout_s
        self.lost = False
        self.head_length = 0
        sock.settimeout(server.stall_timeout_s)
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def handle(self) -> None:
        """Answer one request after the other."""
        self.server.handlers.add(self)
        try:
            while self._answer_one():
                gevent.sleep(0)  # fairness: else one busy connection starves the others
        except OSError:
            pass  # the client went away, or stalled: nobody is left to be told
        finally:
            self.server.handlers.discard(self)
            self._close()

    def hang_up(self) -> None:
        """End the waiting for more; what has arrived already is still read and answered."""
        self.deadline = NEVER
        with suppress(OSError):  # the client was faster
            self.socket._sock.shutdown(socket.SHUT_RD)  # noqa: SLF001 - gevent's would raise in the reader

    def _answer_one(self) -> bool:
        """Read and answer one request, and return whether another may follow."""
        self.command = ""  # a refusal of this request must not mind the method of the last one
        try:
            head = self._read_head()
            if head is None:
                return False
            self.command = head.method
            self.request_version = head.version
            body = self._read_body(head)
        except Refusal as refusal:
            self._refuse(refusal)
            return False
        self.deadline = NEVER
        self.environ = self._make_environ(head, body)
        self.close_connection = not head.keep_alive
        self._respond()
        self.answered += 1
        return not self.close_connection

    def _read_head(self) -> Head | None:
        readline = self.rfile.readline
        self.idle = True
        if self.answered:
            self.deadline = monotonic() + self.server.keep_alive_s
        line = readline(heads.LONGEST_LINE_BYTES + 1)
        if line == _EMPTY:  # some clients end a body with one more: RFC 9112, 2.2
            line = readline(heads.LONGEST_LINE_BYTES + 1)
        if not line:
            return None
        self.idle = False
        if self.answered:
            self.deadline = monotonic() + self.server.head_timeout_s
        if len(line) > heads.LONGEST_LINE_BYTES:
            raise Refusal("414 URI Too Long", "the request line is too long")
        lines: list[bytes] = []
        left = heads.LONGEST_HEAD_BYTES
        while (field := readline(heads.LONGEST_LINE_BYTES + 1)) != _EMPTY:
            if not field.endswith(b"\n") and len(field) <= heads.LONGEST_LINE_BYTES:
                return None  # the client went away, or was too slow
            left -= len(field)
            if left < 0 or len(field) > heads.LONGEST_LINE_BYTES or len(lines) >= heads.MOST_FIELDS:
                raise Refusal("431 Request Header Fields Too Large", "send fewer, shorter headers")
            lines.append(field)
        return heads.read_head(line, lines)

    def _read_body(self, head: Head) -> bytes:
        if not head.body_bytes:
            return b""
        if head.body_bytes > LONGEST_BODY_BYTES:
            raise Refusal("413 Content Too Large", f"send at most {LONGEST_BODY_BYTES} bytes")
        if head.expects_continue:
            self.socket.sendall(_CONTINUE)
        body: bytes = self.rfile.read(head.body_bytes)
        if len(body) < head.body_bytes:
            raise ConnectionError("the body ended early")
        return body

    def _make_environ(self, head: Head, body: bytes) -> dict[str, Any]:
        environ = self.server.get_environ()
        environ.update(head.environ)
        address = self.client_address
        if isinstance(address, tuple):
            environ["REMOTE_ADDR"] = address[0]
            environ["REMOTE_PORT"] = str(address[1])
        else:
            environ["REMOTE_ADDR"] = ""  # the peer of a unix socket has none
        environ["wsgi.input"] = BytesIO(body)
        environ["wsgi.input_terminated"] = True
        return environ

    def _respond(self) -> None:
        self.status = None
        self.headers_sent = False
        self.response_use_chunked = False
        self.response_length = 0
        self.result = None
        self.application = self.server.application
        try:
            self.run_application()
        except gevent.GreenletExit:
            self.close_connection = True
        except BaseException as error:  # noqa: BLE001 - SystemExit of a check must end nothing
            self._report(error)

    def _report(self, error: BaseException) -> None:
        self.close_connection = True
        if self.lost:
            return  # the client went away
        self.server.log_exception(error, str(self.command), self.environ["PATH_INFO"])
        if not self.headers_sent:
            self._refuse(
                Refusal("500 Internal Server Error", "the cause stands in the server's log")
            )

    def process_result(self) -> None:
        """Send what the application returned, a list of parts in one send."""
        result = self.result
        if type(result) in {list, tuple}:
            self.write(result[0] if len(result) == 1 else b"".join(result))
        else:
            for part in result:
                if part:
                    self.write(part)
            if not self.headers_sent:
                self.write(b"")
        if self.command == "HEAD":
            return
        if self.response_use_chunked:
            self._sendall(b"0\r\n\r\n")
        elif self.provided_content_length is not None:
            sent = self.response_length - self.head_length
            if sent != int(self.provided_content_length):
                raise ValueError(
                    f"the application announced {self.provided_content_length} bytes, sent {sent}"
                )

    def _write(self, data: bytes) -> None:
        """Send a further part of a body whose head has left."""
        if data and self.command != "HEAD":
            self._sendall(
                b"%x\r\n%b\r\n" % (len(data), data) if self.response_use_chunked else data
            )

    def _write_with_headers(self, data: bytes) -> None:
        self.headers_sent = True
        head = self._make_head()
        self.head_length = len(head)
        if not data or self.command == "HEAD":
            self._sendall(head)
        elif self.response_use_chunked:
            self._sendall(b"%b%x\r\n%b\r\n" % (head, len(data), data))
        else:
            self._sendall(head + data)

    def _make_head(self) -> bytes:
        """Return the head of the response: Date, Server, Content-Type, Content-Length, the rest."""
        date, server, kind, length = http_date(), b"hospital", b"", b""
        rest = []
        for name, value in self.response_headers:
            match name.lower():
                case b"date":
                    date = value
                case b"server":
                    server = value
                case b"content-type":
                    kind = b"Content-Type: %b\r\n" % value
                case b"content-length":
                    length = b"Content-Length: %b\r\n" % value
                case b"connection":
                    pass  # the server decides, just below
                case _:
                    rest.append(b"%b: %b\r\n" % (name, value))
        if not length and self.code not in _WITHOUT_BODY:
            length = self._measure()
        if self.close_connection or self.server.draining:
            self.close_connection = True
            rest.append(b"Connection: close\r\n")
        elif self.request_version == "HTTP/1.0":
            rest.append(b"Connection: keep-alive\r\n")
        first = b"HTTP/1.1 %b\r\nDate: %b\r\nServer: %b\r\n" % (self.status, date, server)
        return b"".join((first, kind, length, *rest, b"\r\n"))

    def _measure(self) -> bytes:
        """Return the header that says where the body ends."""
        if type(self.result) in {list, tuple}:
            total = sum(map(len, self.result))
            if not total and self.command == "HEAD":
                return b""  # the application did not make the body whose length GET would tell
            return b"Content-Length: %d\r\n" % total
        if self.request_version == "HTTP/1.0":
            self.close_connection = True
            return b""
        self.response_use_chunked = True
        return b"Transfer-Encoding: chunked\r\n"

    def _sendall(self, data: bytes) -> None:
        try:
            self.socket.sendall(data)
        except OSError:
            self.lost = True
            raise
        self.response_length += len(data)

    def _refuse(self, refusal: Refusal) -> None:
        """Answer with a status and one line, and close."""
        body = f"{refusal.status}: {refusal.reason}\n".encode()
        self.close_connection = True
        self.status = refusal.status.encode()
        self.code = int(refusal.status[:3])
        self.response_headers = [
            (b"Content-Type", b"text/plain; charset=utf-8"),
            (b"Content-Length", b"%d" % len(body)),
        ]
        with suppress(OSError):  # the client went away
            self._write_with_headers(body)

    def _close(self) -> None:
        """Close the connection so that the client can still read the last answer."""
        raw = self.socket._sock  # noqa: SLF001 - gevent's own would wait
        with suppress(OSError):
            raw.shutdown(socket.SHUT_WR)
            raw.recv(LONGEST_BODY_BYTES)  # what lies unread at a close resets the connection
        self.rfile.close()
        self.socket.close()
        raw.close()


_date: tuple[int, bytes] = (0, b"")


def http_date() -> bytes:
    """Return the date of now as HTTP wants it, made once a second."""
    global _date  # noqa: PLW0603 - a memory of one value
    now = int(time())
    if now != _date[0]:
        _date = (now, formatdate(now, usegmt=True).encode())
    return _date[1]
