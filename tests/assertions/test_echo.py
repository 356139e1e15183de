"""Rules of ICMP echo, without a network."""

import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hospital.assertions.echo import Echo, checksum

ECHO = Echo(socket.AF_INET, 0x1234, b"payload of ours")
ECHO6 = Echo(socket.AF_INET6, 0x1234, b"payload of ours")


def reply(
    kind: int = 0,
    code: int = 0,
    ident: int = 0x1234,
    sequence: int = 1,
    payload: bytes = ECHO.payload,
) -> bytes:
    """Return an ICMP message with a right checksum."""
    blank = struct.pack("!BBHHH", kind, code, 0, ident, sequence) + payload
    return blank[:2] + struct.pack("!H", checksum(blank)) + blank[4:]


def test_a_request_has_a_right_checksum() -> None:
    """The checksum over a message with its checksum is 0."""
    assert 0 == checksum(ECHO.request(1))
    assert b"\x08\x00" == ECHO.request(1)[:2]
    assert b"\x80\x00\x00\x00" == ECHO6.request(1)[:4]


@given(st.binary(max_size=100))
def test_a_checksum_completes_its_data(data: bytes) -> None:
    """Whatever the data, of even or odd length."""
    even = data + b"\0" * (len(data) % 2)

    assert 0 == checksum(even + struct.pack("!H", checksum(even)))
    assert checksum(even) == checksum(data)


def test_our_reply_is_taken_with_and_without_ip_header() -> None:
    """A raw socket gives the header with it, options included; an ICMP socket does not."""
    header = b"\x45" + bytes(19)
    header_with_options = b"\x46" + bytes(23)

    assert ECHO.is_reply(reply(), 1)
    assert ECHO.is_reply(header + reply(), 1)
    assert ECHO.is_reply(header_with_options + reply(), 1)
    assert ECHO6.is_reply(reply(kind=129), 1)


@pytest.mark.parametrize(
    "packet",
    [
        reply(ident=0x1235),
        reply(sequence=0),
        reply(sequence=3),
        reply(payload=b"payload of another"),
        reply(payload=ECHO.payload[:-1]),
        reply(kind=8),
        reply(kind=3),
        reply(code=1),
        b"\0" + reply()[1:-1] + b"!",
        b"",
        b"\0\0\0",
        b"\x45" + bytes(19),
        b"\x4f" + bytes(30),
    ],
)
def test_what_is_not_our_reply_is_not_taken(packet: bytes) -> None:
    """Another program's, an older one, our own request, a broken or cut one."""
    assert not ECHO.is_reply(packet, 2)


@given(st.binary(max_size=80))
def test_no_bytes_raise(packet: bytes) -> None:
    """The network may send anything."""
    assert not ECHO.is_reply(packet, 65_535)
    assert not ECHO6.is_reply(packet, 65_535)
