"""Rules of assert_http_response; its deadline, redirects, TLS and the rest have their own files."""

import socket
import subprocess
import sys
import time
import unittest
from pathlib import Path
from typing import Any

import pytest

from hospital import assert_http_response
from hospital.errors import SettingError
from tests.assertions.answers import OK, empty, failure

DESCRIPTORS = Path("/proc/self/fd")


@pytest.mark.parametrize("status", [200, 204, 301, 304, 404, 418, 500, 503, 599, 999])
def test_any_status_can_be_asserted(serve: Any, status: int) -> None:
    """A status of 4xx or 5xx is no exception, but an answer like any other."""
    server = serve.answer(empty(f"{status} Whatever"))

    assert_http_response(server.url(), status)


def test_another_status_fails_with_both(serve: Any) -> None:
    """The message says what was asked, what came and what was expected."""
    server = serve.answer(empty("503 Busy"))

    message = failure(server.url("/x"))

    assert f"{server.url('/x')} answered 503 Service Unavailable; expected 200 OK" == message


def test_msg_follows_the_message(serve: Any) -> None:
    """What the caller has to say does not replace what was found, as in unittest."""
    server = serve.answer(empty("404 Not Found"))

    message = failure(server.url(), 599, 1, "is the shop closed?")

    assert message.endswith("answered 404 Not Found; expected 599 : is the shop closed?")


def test_messages_hold_no_secret_of_the_url(serve: Any) -> None:
    """Credentials, query and fragment of a URL stand in no message."""
    server = serve.answer(empty("500 No"))
    url = f"http://user:s3cret@127.0.0.1:{server.port}/x?token=hush#frag"

    message = failure(url)

    assert message.startswith(f"http://127.0.0.1:{server.port}/x answered 500")
    assert not [word for word in ("user", "s3cret", "token", "hush", "frag") if word in message]


def test_the_failure_has_a_cause_without_secrets(serve: Any) -> None:
    """The chain of exceptions is kept for who debugs, and it holds no secret either."""
    server = serve.answer("SSH-2.0-OpenSSH_9.2\r\n")

    with pytest.raises(AssertionError) as caught:
        assert_http_response(f"http://u:s3cret@127.0.0.1:{server.port}/?token=hush")

    assert caught.value.__cause__ is not None
    assert "s3cret" not in repr(caught.value.__cause__)
    assert "hush" not in repr(caught.value.__cause__)


def test_headers_replace_those_of_hospital(serve: Any) -> None:
    """A virtual host is checked by its Host header on the machine's own address."""
    server = serve.answer(OK)

    assert_http_response(server.url(), headers={"host": "example.org", "X-One": "1"})

    assert 1 == server.heads[0].count("Host: ")
    assert "Host: example.org\r\n" in server.heads[0]
    assert "X-One: 1\r\n" in server.heads[0]


def test_head_is_asked_without_a_body(serve: Any) -> None:
    """HEAD waits for no body, whatever length the head announces."""
    server = serve.answer("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")

    assert_http_response(server.url(), method="HEAD")

    assert server.heads[0].startswith("HEAD / HTTP/1.1\r\n")


def test_a_refused_connection_fails_with_address_and_cause() -> None:
    """Nobody listens: the message says where and why."""
    with socket.create_server(("127.0.0.1", 0)) as closed_soon:
        port = closed_soon.getsockname()[1]

    message = failure(f"http://127.0.0.1:{port}/x")

    wanted = f"http://127.0.0.1:{port}/x took no connection: 127.0.0.1: connection refused"
    assert f"{wanted}; expected 200 OK" == message


def test_a_name_without_an_address_fails() -> None:
    """The name of RFC 6761 that never exists cannot be resolved."""
    message = failure("http://hospital.invalid/", timeout=10)

    assert message.startswith("http://hospital.invalid/ ")
    assert "cannot be resolved" in message or "looking up" in message


def test_ipv6_literals_are_understood(serve: Any) -> None:
    """An address in brackets, with its port; the Host header has brackets too."""
    if not socket.has_ipv6 or not _has_ipv6_loopback():
        pytest.skip("no ::1 on this machine: enable IPv6 on the loopback interface")
    server = serve.answer(OK, socket.AF_INET6)

    assert_http_response(server.url(host="[::1]"))

    assert f"Host: [::1]:{server.port}\r\n" in server.heads[0]


def _has_ipv6_loopback() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


@pytest.mark.parametrize(
    "url",
    ["", "127.0.0.1", "//h/", "ftp://h/", "http://", "http:///x", "http://h:0/", "http://h:x/"],
)
def test_an_unusable_url_is_an_error(url: str) -> None:
    """A mistake of the caller is no failed assertion: SettingError, which is a ValueError."""
    with pytest.raises(SettingError):
        assert_http_response(url)


@pytest.mark.parametrize(
    "options",
    [
        {"status_code": 99}, {"status_code": "200"}, {"status_code": True}, {"timeout": 0},
        {"timeout": "soon"}, {"timeout": float("nan")}, {"method": "POST"}, {"method": "get"},
        {"headers": {"a b": "c"}}, {"headers": {"a": "b\r\nc: d"}}, {"headers": ["a"]},
        {"headers": {"a": "\u20ac"}}, {"proxy": "https://p/"}, {"proxy": "p:3128"},
    ],
)  # fmt: skip
def test_an_unusable_argument_is_an_error(options: dict[str, Any]) -> None:
    """Every argument is looked at before anything is sent."""
    with pytest.raises(SettingError):
        assert_http_response("http://127.0.0.1:9/", **options)


@pytest.mark.skipif(not DESCRIPTORS.is_dir(), reason="no /proc: run it on Linux")
def test_no_descriptor_is_left_open(serve: Any) -> None:
    """Whatever became of an exchange, its socket is closed."""
    servers = [
        serve.answer(answer) for answer in (OK, b"", b"garbage\r\n", empty("500 E"), OK[:-1])
    ]
    servers.append(serve.answer(empty("302 F", "Location: /")))
    urls = [server.url() for server in servers] + ["http://127.0.0.1:9/"]
    fault: AssertionError | None = None

    def ask_all() -> None:
        nonlocal fault
        for url in urls:
            try:
                assert_http_response(url, timeout=5, follow_redirects=True)
            except AssertionError as error:
                fault = error  # its frames are held, and nothing in them may hold a socket open

    ask_all()
    before = len(list(DESCRIPTORS.iterdir()))
    for _ in range(3):
        ask_all()

    assert fault is not None
    until = time.monotonic() + 5
    while len(list(DESCRIPTORS.iterdir())) > before and time.monotonic() < until:
        time.sleep(0.01)  # the servers' ends are closed by their own threads
    assert before >= len(list(DESCRIPTORS.iterdir()))


def test_running_out_of_descriptors_is_an_error(serve: Any) -> None:
    """It says nothing about the server, so it must not read as a failure of the server."""
    url = serve.answer(OK).url()
    program = """
import os, sys
from hospital import assert_http_response, assert_ping
assert_http_response(sys.argv[1], timeout=5)
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (20, 20))
try:
    while True:
        os.dup(0)
except OSError:
    pass
for ask in (lambda: assert_http_response(sys.argv[1]), lambda: assert_ping("127.0.0.1")):
    try:
        ask()
    except OSError as error:
        print(error.strerror)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, url], capture_output=True, text=True, timeout=30, check=True
    )

    assert ["Too many open files"] * 2 == done.stdout.splitlines()


def test_it_works_without_plain_asserts() -> None:
    """Under ``python -O``, where assert statements are gone, a failure still fails."""
    program = (
        "from hospital import assert_http_response\n"
        "try: assert_http_response('http://127.0.0.1:9/')\n"
        "except AssertionError: print('failed')"
    )
    done = subprocess.run(
        [sys.executable, "-O", "-c", program],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )

    assert "failed\n" == done.stdout


def test_unittest_shows_the_line_of_the_check(serve: Any) -> None:
    """The traceback under unittest ends where the check called the assertion."""
    server = serve.answer(empty("500 E"))

    class Shop(unittest.TestCase):
        def test_answers(self) -> None:
            assert_http_response(server.url())

    result = unittest.TestResult()
    Shop("test_answers").run(result)

    printed = result.failures[0][1]
    assert "assertions/http.py" not in printed
    assert "answered 500" in printed
