"""Which answers assert_http_response takes for answers."""

import socket
import threading
from typing import Any

import pytest

from hospital import assert_http_response
from hospital.assertions.exchange import MOST_BODY_BYTES
from tests.assertions.answers import OK, failure


def test_interim_answers_are_no_answers(serve: Any) -> None:
    """100 and 103 announce the answer that counts."""
    server = serve.answer(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK
    )

    assert_http_response(server.url())


@pytest.mark.parametrize(
    "answer",
    [
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "HTTP/1.0 200 OK\r\n\r\nuntil the end of the connection",
        "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_every_kind_of_body_is_understood(serve: Any, answer: str) -> None:
    """Chunked, of a length, or to the end of the connection."""
    assert_http_response(serve.answer(answer).url())


@pytest.mark.parametrize(
    "answer",
    [
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nok",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nok",
    ],
)
def test_a_body_that_breaks_off_fails(serve: Any, answer: str) -> None:
    """An answer that is not whole is none."""
    assert "broke off its body" in failure(serve.answer(answer).url())


def test_of_an_endless_body_a_part_is_read(serve: Any) -> None:
    """At most 1 MiB of a body is read; then the answer counts, and the connection is closed."""
    sent = [0]

    def flood(conn: socket.socket, closing: threading.Event) -> None:
        conn.recv(65_536)
        conn.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while not closing.is_set():
            sent[0] += conn.send(b"x" * 65_536)

    server = serve.script(flood)
    assert_http_response(server.url(), timeout=10)
    server.close()  # what was read may not have been counted yet by the one who sent it

    assert sent[0] >= MOST_BODY_BYTES


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", "answered something that is not HTTP: 'SSH-2.0-OpenSSH_9.2'"),
        (b"", "closed the connection without an answer"),
        (b"\x15\x03\x01\x00\x02\x02\x28", "answered something that is not HTTP"),
        (b"HTTP/1.1 abc OK\r\n\r\n", "answered something that is not HTTP: 'HTTP/1.1 abc OK'"),
        (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200 + b"\r\n", "not HTTP: 'got more than 100"),
        (b"HTTP/1.1 200 OK\r\nA: " + b"b" * 70_000, "not HTTP: 'got more than 65536"),
    ],
)
def test_what_is_not_http_fails(serve: Any, answer: bytes, message: str) -> None:
    """A port that speaks something else is told apart, in one line."""
    assert message in failure(serve.answer(answer).url())


def test_a_reset_connection_fails(serve: Any) -> None:
    """A server that resets the connection is told apart from one that closes it."""

    def reset(conn: socket.socket, closing: threading.Event) -> None:
        conn.recv(10)
        conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")

    assert "broke the connection" in failure(serve.script(reset).url())
