"""The timeout of assert_http_response is a deadline for all, however the server spends it."""

import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from hospital import assert_http_response

TIMEOUT_S = 0.5
LATE_S = 0.4
"""How late an answer may be on a machine that is busy with other things."""

Script = Callable[[socket.socket, threading.Event], None]


def dripping(at_once: bytes, slowly: bytes) -> Script:
    """Return a script that sends *at_once*, and then *slowly* again and again, byte by byte."""

    def script(conn: socket.socket, closing: threading.Event) -> None:
        conn.recv(65_536)
        conn.sendall(at_once)
        while True:
            for byte in slowly:
                if closing.wait(0.1):
                    return
                conn.sendall(bytes([byte]))

    return script


def silent(conn: socket.socket, closing: threading.Event) -> None:
    """Accept, and say nothing."""
    closing.wait(30)


def failure_in_time(url: str, **options: Any) -> str:
    """Return the message of the failure, which has to come at the deadline."""
    started = time.monotonic()
    with pytest.raises(AssertionError) as caught:
        assert_http_response(url, timeout=TIMEOUT_S, **options)
    elapsed = time.monotonic() - started
    assert TIMEOUT_S <= elapsed + 0.01
    assert elapsed <= TIMEOUT_S + LATE_S
    return str(caught.value)


@pytest.mark.parametrize(
    ("script", "doing"),
    [
        (silent, "waiting for the answer"),
        (dripping(b"", b"HTTP/1.1 200 OK"), "waiting for the answer"),
        (dripping(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"), "waiting for the answer"),
        (dripping(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), "waiting for the answer"),
        (dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n", b"x"), "reading the body"),
        (dripping(b"HTTP/1.1 200 OK\r\n\r\n", b"x"), "reading the body"),
        (
            dripping(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
            "reading the body",
        ),
    ],
    ids=["silent", "status", "headers", "interim", "body", "endless body", "chunks"],
)
def test_a_server_that_drips_gains_no_time(serve: Any, script: Script, doing: str) -> None:
    """A byte now and then does not move the deadline; the message says what was waited for."""
    url = serve.script(script).url()

    message = failure_in_time(url)

    wanted = f"{url} gave no whole answer within 500 ms, timed out {doing}; expected 200 OK"
    assert wanted == message


def test_a_slow_body_of_another_status_is_not_waited_for(serve: Any) -> None:
    """The status decides already; the body would only hide it behind a timeout."""
    head = b"HTTP/1.1 500 No\r\nContent-Length: 999\r\n\r\n"
    server = serve.script(dripping(head, b"x"))

    with pytest.raises(AssertionError, match="answered 500"):
        assert_http_response(server.url(), timeout=5)


def test_all_redirects_share_the_deadline(serve: Any) -> None:
    """Ten answers of 0.2 s each are not within 0.5 s."""

    def script(conn: socket.socket, closing: threading.Event) -> None:
        conn.recv(65_536)
        closing.wait(0.2)
        conn.sendall(b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n")

    failure_in_time(serve.script(script).url(), follow_redirects=True)


def test_a_full_backlog_is_a_connection_that_times_out() -> None:
    """A listener that nobody serves takes no connection, in time."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = []
        for _ in range(3):  # Linux takes one more than the backlog, then drops
            sock = socket.socket()
            sock.settimeout(0)
            sock.connect_ex(listener.getsockname())
            waiting.append(sock)
        try:
            message = failure_in_time(f"http://127.0.0.1:{listener.getsockname()[1]}/")
        finally:
            for sock in waiting:
                sock.close()

    assert "timed out connecting to 127.0.0.1" in message


def test_a_tls_handshake_that_hangs_is_ended(serve: Any) -> None:
    """A server that takes the connection and never speaks TLS costs the timeout, no more."""
    message = failure_in_time(serve.script(silent).url(scheme="https"))

    assert "timed out agreeing on TLS" in message


def test_a_tls_handshake_that_drips_is_ended(
    serve: Any, tls_server_context: ssl.SSLContext
) -> None:
    """Nor does a handshake gain time that comes in single bytes."""

    def script(conn: socket.socket, closing: threading.Event) -> None:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        server = tls_server_context.wrap_bio(incoming, outgoing, server_side=True)
        incoming.write(conn.recv(65_536))
        with pytest.raises(ssl.SSLWantReadError):
            server.do_handshake()
        for byte in outgoing.read():
            if closing.wait(0.1):
                return
            conn.sendall(bytes([byte]))

    message = failure_in_time(serve.script(script).url(scheme="https"))

    assert "timed out agreeing on TLS" in message


def test_the_deadline_holds_in_threads(serve: Any) -> None:
    """No signal is needed: eight threads at once come back at their deadlines."""
    url = serve.script(silent).url()
    started = time.monotonic()

    with ThreadPoolExecutor(8) as pool:
        messages = list(pool.map(lambda _: failure_in_time(url), range(8)))

    assert 8 == len(messages)
    assert time.monotonic() - started < 2 * TIMEOUT_S + LATE_S


def test_it_gives_way_to_other_greenlets() -> None:
    """In a process that gevent has patched, waiting for one server does not stop the others."""
    program = """
from gevent import monkey; monkey.patch_all()
import gevent, socket, ssl, threading, time
from hospital import assert_http_response

listener = socket.create_server(("127.0.0.1", 0), backlog=50)
held = []
def accept():
    while True:
        held.append(listener.accept()[0])
gevent.spawn(accept)
port = listener.getsockname()[1]
def ask(scheme, host):
    try:
        assert_http_response(f"{scheme}://{host}:{port}/", timeout=0.5)
    except AssertionError as error:
        return "timed out" in str(error) or str(error)
started = time.monotonic()
asked = [gevent.spawn(ask, s, h) for s in ("http", "https") for h in ("127.0.0.1", "localhost")]
gevent.joinall(asked)
print([each.value for each in asked], time.monotonic() - started < 1.4)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True
    )

    assert "[True, True, True, True] True\n" == done.stdout
