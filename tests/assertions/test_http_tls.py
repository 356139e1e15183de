"""TLS is verified by default, and what is wrong with it is said in one line."""

import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hospital import assert_http_response

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def over_tls(
    context: ssl.SSLContext, answer: bytes = OK
) -> Callable[[socket.socket, threading.Event], None]:
    """Return a script that answers over TLS."""

    def script(conn: socket.socket, closing: threading.Event) -> None:
        with context.wrap_socket(conn, server_side=True) as tls:
            tls.recv(65_536)
            tls.sendall(answer)

    return script


@pytest.fixture
def trusting(certificate: Path) -> ssl.SSLContext:
    """Return how a client speaks TLS that trusts the certificate of these tests."""
    return ssl.create_default_context(cafile=str(certificate))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_trusted_server_passes(
    serve: Any, tls_server_context: ssl.SSLContext, trusting: ssl.SSLContext, host: str
) -> None:
    """Names and addresses are verified against the certificate."""
    server = serve.script(over_tls(tls_server_context))

    assert_http_response(server.url(host=host, scheme="https"), timeout=5, ssl_context=trusting)


def test_a_body_over_tls_that_ends_without_farewell_passes(
    serve: Any, tls_server_context: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    """Many servers close without TLS's close_notify; the length tells whether all came."""
    big = b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 100_000
    server = serve.script(over_tls(tls_server_context, big))

    assert_http_response(server.url(scheme="https"), timeout=5, ssl_context=trusting)


def test_an_unknown_authority_fails(serve: Any, tls_server_context: ssl.SSLContext) -> None:
    """By default the server has to be one that this machine trusts."""
    server = serve.script(over_tls(tls_server_context))

    with pytest.raises(AssertionError) as caught:
        assert_http_response(server.url(scheme="https"), timeout=5)

    message = str(caught.value)
    assert message.startswith(f"{server.url(scheme='https')} has no valid certificate: self")
    assert message.endswith("; expected 200 OK")


def test_another_name_fails(
    serve: Any, tls_server_context: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    """A certificate for 127.0.0.1 is none for 127.0.0.2."""
    server = serve.script(over_tls(tls_server_context))

    with pytest.raises(AssertionError, match=r"has no valid certificate: .*mismatch"):
        assert_http_response(
            server.url(host="127.1", scheme="https"), timeout=5, ssl_context=trusting
        )


def test_a_context_that_does_not_verify_is_respected(
    serve: Any, tls_server_context: ssl.SSLContext
) -> None:
    """Who asks for it gets TLS without verification."""
    lax = ssl.create_default_context()
    lax.check_hostname = False
    lax.verify_mode = ssl.CERT_NONE
    server = serve.script(over_tls(tls_server_context))

    assert_http_response(server.url(scheme="https"), timeout=5, ssl_context=lax)


def test_a_server_without_tls_fails(serve: Any) -> None:
    """HTTP on the port of HTTPS is told apart."""
    server = serve.script(lambda conn, _closing: conn.sendall(OK))

    with pytest.raises(AssertionError, match="does not speak TLS as it should"):
        assert_http_response(server.url(scheme="https"), timeout=5)


def test_a_server_that_closes_in_the_handshake_fails(serve: Any) -> None:
    """So is one that hangs up at the first word."""
    server = serve.script(lambda conn, _closing: conn.recv(1000) and None)

    with pytest.raises(AssertionError, match="TLS"):
        assert_http_response(server.url(scheme="https"), timeout=5)
