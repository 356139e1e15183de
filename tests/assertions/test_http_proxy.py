"""Proxies are used where they are asked for, and nowhere else."""

import os
import socket
import ssl
import threading
from pathlib import Path
from typing import Any

import pytest

from hospital import assert_http_response
from tests.assertions.answers import OK


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Give an environment without proxies."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    return monkeypatch


def test_proxies_of_the_environment_are_not_used(
    serve: Any, environment: pytest.MonkeyPatch
) -> None:
    """A check asks the server it names, whatever the environment says."""
    environment.setenv("http_proxy", "http://127.0.0.1:9")

    assert_http_response(serve.answer(OK).url())


def test_a_proxy_is_asked_for_the_whole_url(serve: Any) -> None:
    """A plain request goes to the proxy, with its credentials, which nobody else gets."""
    proxy = serve.answer(OK)

    assert_http_response(
        "http://hospital.invalid:81/x?y=1", proxy=f"http://me:s3cret@127.0.0.1:{proxy.port}"
    )

    assert proxy.heads[0].startswith("GET http://hospital.invalid:81/x?y=1 HTTP/1.1\r\n")
    assert "Host: hospital.invalid:81\r\n" in proxy.heads[0]
    assert "Proxy-Authorization: Basic bWU6czNjcmV0\r\n" in proxy.heads[0]


def test_proxies_of_the_environment_are_used_when_asked(
    serve: Any, environment: pytest.MonkeyPatch
) -> None:
    """With no_proxy respected."""
    proxy, server = serve.answer(OK), serve.answer("HTTP/1.1 204 No\r\n\r\n")
    environment.setenv("http_proxy", f"127.0.0.1:{proxy.port}")
    environment.setenv("no_proxy", "127.0.0.1")

    assert_http_response("http://hospital.invalid/", proxy="environment")
    assert_http_response(server.url(), 204, proxy="environment")

    assert 1 == len(proxy.heads)
    assert 1 == len(server.heads)


def test_https_goes_through_a_tunnel(
    serve: Any, certificate: Path, tls_server_context: ssl.SSLContext
) -> None:
    """The proxy sees a CONNECT with its own credentials, the server all the rest."""
    connects: list[bytes] = []

    def script(conn: socket.socket, closing: threading.Event) -> None:
        connects.append(conn.recv(65_536))
        conn.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        with tls_server_context.wrap_socket(conn, server_side=True) as tls:
            tls.recv(65_536)
            tls.sendall(OK.encode())

    proxy = serve.script(script)

    assert_http_response(
        "https://u:p@localhost:444/x",
        timeout=5,
        proxy=f"http://me:s3cret@127.0.0.1:{proxy.port}/",
        ssl_context=ssl.create_default_context(cafile=str(certificate)),
    )

    wanted = (
        b"CONNECT localhost:444 HTTP/1.1\r\nHost: localhost:444\r\n"
        b"Proxy-Authorization: Basic bWU6czNjcmV0\r\n\r\n"
    )
    assert [wanted] == connects


def test_a_proxy_that_refuses_is_named(serve: Any) -> None:
    """It is the proxy that said no, and the message holds no credentials of it."""
    proxy = serve.answer("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")

    with pytest.raises(AssertionError) as caught:
        assert_http_response("https://h/x", proxy=f"http://me:s3cret@127.0.0.1:{proxy.port}")

    wanted = f"the proxy 127.0.0.1:{proxy.port} answered 407 Proxy Authentication Required"
    assert wanted in str(caught.value)
    assert "s3cret" not in str(caught.value)
