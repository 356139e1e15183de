"""ICMP echo: the bytes of a request, and which bytes are its reply. No input or output.

Source: RFC 792 (ICMP), RFC 4443 (ICMPv6), RFC 1071 (checksum).
"""

import socket
import struct
from dataclasses import dataclass

_HEADER = struct.Struct("!BBHHH")
_REQUEST = {socket.AF_INET: 8, socket.AF_INET6: 128}
_REPLY = {socket.AF_INET: 0, socket.AF_INET6: 129}
_LEAST_IP_HEADER_BYTES = 20


@dataclass(frozen=True, slots=True)
class Echo:
    """What marks the requests of one ping, and their replies.

    Attributes:
        family: ``AF_INET`` or ``AF_INET6``.
        ident: Identifier, 16 bits.
        payload: Bytes that come back; random, so that nobody else's reply is taken.
    """

    family: socket.AddressFamily
    ident: int
    payload: bytes

    def request(self, sequence: int) -> bytes:
        """Return the request number *sequence*; for IPv6 the kernel adds the checksum."""
        kind = _REQUEST[self.family]
        blank = _HEADER.pack(kind, 0, 0, self.ident, sequence) + self.payload
        if self.family == socket.AF_INET6:
            return blank
        return _HEADER.pack(kind, 0, checksum(blank), self.ident, sequence) + self.payload

    def is_reply(self, packet: bytes, sent: int) -> bool:
        """Return whether *packet* is the reply to one of the requests 1 to *sent*."""
        message = _without_ip_header(packet) if self.family == socket.AF_INET else packet
        if len(message) < _HEADER.size:
            return False
        if self.family == socket.AF_INET and checksum(message) != 0:
            return False  # a raw socket gets to see what the kernel would drop
        kind, code, _, ident, sequence = _HEADER.unpack_from(message)
        return (
            (kind, code, ident) == (_REPLY[self.family], 0, self.ident)
            and 1 <= sequence <= sent
            and message[_HEADER.size :] == self.payload
        )


def checksum(data: bytes) -> int:
    """Return the Internet checksum of *data*; 0 where *data* holds the right one already.

    >>> hex(checksum(bytes.fromhex("0001f203f4f5f6f7")))
    '0x220d'
    """
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _without_ip_header(packet: bytes) -> bytes:
    """Return the ICMP message: a raw socket gives the IP header with it, as macOS always does.

    The first byte of an IPv4 header is at least 0x45, that of an echo reply is 0.
    """
    if len(packet) < _LEAST_IP_HEADER_BYTES or packet[0] >> 4 != 4:  # noqa: PLR2004 - version 4
        return packet
    return packet[(packet[0] & 0x0F) * 4 :]
