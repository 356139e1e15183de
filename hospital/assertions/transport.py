"""Connections of which every single wait is bounded by one deadline.

Rule: a server that sends a byte now and then gains no time by it, so the socket's timeout is set
anew from the deadline before each call. TLS runs over memory buffers for the same reason: the
handshake of a TLS socket would wait by rules of its own.
"""

import errno
import io
import socket
import ssl
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol, TypeVar, cast

from hospital.assertions.deadline import Deadline
from hospital.assertions.resolving import Address

T = TypeVar("T")

OWN_FAULTS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""What says nothing about a server: this process or this machine has run out of something."""

_PIECE_BYTES = 16_384


class Transport(Protocol):
    """What HTTP is spoken over: bytes out, and a raw stream of bytes in."""

    def send_all(self, data: bytes) -> None:
        """Send all of *data*."""

    def readinto(self, buffer: Any, /) -> int:
        """Fill *buffer* with what there is, at least one byte; 0 at the end."""

    def close(self) -> None:
        """Close the socket."""


class UnconnectedError(OSError):
    """No address of a host took the connection; the text says which said what."""


class TcpTransport(io.RawIOBase):
    """A connected socket under a deadline."""

    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        super().__init__()
        self._sock = sock
        self._deadline = deadline

    def readable(self) -> bool:
        """Return True: it can be read."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Fill *buffer* with what there is; 0 at the end."""
        self._sock.settimeout(self._deadline.left_s())
        return self._sock.recv_into(buffer)

    def send_all(self, data: bytes) -> None:
        """Send all of *data*."""
        rest = memoryview(data)
        while rest:
            self._sock.settimeout(self._deadline.left_s())
            rest = rest[self._sock.send(rest) :]

    def close(self) -> None:
        """Close the socket."""
        self._sock.close()
        super().close()


class TlsTransport(io.RawIOBase):
    """TLS over another transport, which it closes with itself."""

    def __init__(self, below: Transport, context: ssl.SSLContext, host: str) -> None:
        super().__init__()
        self._below = below
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        name = host.partition("%")[0].removesuffix(".")
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=name)

    def handshake(self) -> None:
        """Agree on a key, and verify the server as the context asks.

        Raises:
            ssl.SSLError: If that comes to nothing.
        """
        self._pump(self._tls.do_handshake)

    def readable(self) -> bool:
        """Return True: it can be read."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Fill *buffer* with what there is; 0 at the end."""
        try:
            return self._pump(partial(self._read_into, buffer))
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return 0

    def send_all(self, data: bytes) -> None:
        """Send all of *data*."""
        rest = memoryview(data)
        while rest:
            rest = rest[self._pump(partial(self._tls.write, rest)) :]

    def close(self) -> None:
        """Close the socket; without the farewell of TLS, which nobody waits for."""
        self._below.close()
        super().close()

    def _read_into(self, buffer: Any) -> int:
        return cast("int", self._tls.read(len(buffer), buffer))

    def _pump(self, step: Callable[[], T]) -> T:
        while True:
            try:
                result = step()
            except ssl.SSLWantReadError:
                self._flush()
                self._fill()
            else:
                self._flush()
                return result

    def _flush(self) -> None:
        if self._outgoing.pending:
            self._below.send_all(self._outgoing.read())

    def _fill(self) -> None:
        piece = bytearray(_PIECE_BYTES)
        count = self._below.readinto(piece)
        if count:
            self._incoming.write(piece[:count])
        else:
            self._incoming.write_eof()


def connect(addresses: Sequence[Address], deadline: Deadline) -> TcpTransport:
    """Return a connection to the first of *addresses* that takes one.

    Raises:
        TimeoutError: If the *deadline* has passed.
        UnconnectedError: If no address took the connection.
        OSError: If it is none of the server's fault, see ``OWN_FAULTS``.
    """
    faults = []
    for index, address in enumerate(addresses, 1):
        turn_s = deadline.turn_s(last=index == len(addresses))
        try:
            return TcpTransport(_connected(address, turn_s), deadline)
        except OSError as error:
            if error.errno in OWN_FAULTS:
                raise
            faults.append(f"{address.sockaddr[0]}: {why(error)}")
    deadline.left_s()
    raise UnconnectedError(", ".join(faults))


def _connected(address: Address, timeout_s: float) -> socket.socket:
    sock = socket.socket(address.family, socket.SOCK_STREAM)
    try:
        sock.settimeout(timeout_s)
        sock.connect(address.sockaddr)
    except BaseException:
        sock.close()
        raise
    return sock


def why(error: OSError) -> str:
    """Return the system's words for *error*, as they stand in a sentence.

    >>> why(ConnectionRefusedError(111, "Connection refused"))
    'connection refused'
    """
    words = error.strerror or str(error) or type(error).__name__
    return words[:1].lower() + words[1:]
