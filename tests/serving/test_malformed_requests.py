"""Raw bytes that are no request, sent to a real worker."""

import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.serving.conftest import Worker

GOOD = b"GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize(
    "request_bytes",
    [
        pytest.param(b"GET /\r\n\r\n", id="HTTP/0.9"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", id="TLS"),
        pytest.param(b"GET / HTTP/1.1\nHost: t\n\n" + b"x" * 9000, id="bare line feeds"),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"0\r\n\r\n" + GOOD,
            id="two lengths",
        ),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n" + GOOD,
            id="bad chunk",
        ),
        pytest.param(b"GET / HTTP/1.1\r\nHost: t\r\nX : y\r\n\r\n" + GOOD, id="space before colon"),
        pytest.param(b"GET / HTTP/1.1\r\n\r\n" + GOOD, id="no host"),
        pytest.param(b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n" + GOOD, id="long line"),
        pytest.param(
            b"GET / HTTP/1.1\r\nHost: t\r\n" + b"X: y\r\n" * 200 + b"\r\n" + GOOD, id="many fields"
        ),
        pytest.param(
            b"GET / HTTP/1.1\r\nX: " + b"y" * 9000 + b"\r\n\r\n" + GOOD, id="a long field"
        ),
    ],
)
def test_a_malformed_request_is_refused_and_nothing_after_it_is_read(
    worker: "Worker", request_bytes: bytes
) -> None:
    """One refusal, no second answer, no traceback; the worker serves on."""
    response = worker.exchange(request_bytes)

    assert response.startswith((b"HTTP/1.1 4", b"HTTP/1.1 5"))
    assert 1 == response.count(b"HTTP/1.1 ")
    assert "" == worker.complaints()
    assert b"hello world" in worker.get("/")


def test_a_refusal_comes_whole_after_a_head_request(worker: "Worker") -> None:
    """The method of the last request has no say in the answer to the next."""
    with closing(worker.connect()) as connection:
        connection.sendall(b"HEAD / HTTP/1.1\r\nHost: t\r\n\r\nnonsense\r\n\r\n")
        received = worker.read_to_end(connection)

    assert received.endswith(b"400 Bad Request: the request line is malformed\n")


@pytest.mark.parametrize(
    ("fields", "status"),
    [(b"Host: t\r\nContent-Length: 70000\r\n", b"413"), (b"Host: t\r\nX : y\r\n", b"400")],
)
def test_a_refused_head_request_gets_no_body(
    worker: "Worker", fields: bytes, status: bytes
) -> None:
    """Whoever asked with HEAD would take the text for the beginning of another answer."""
    response = worker.exchange(b"HEAD / HTTP/1.1\r\n" + fields + b"\r\n")

    assert response.startswith(b"HTTP/1.1 " + status)
    assert response.endswith(b"\r\n\r\n")


def test_a_line_feed_too_many_between_requests_is_forgiven(worker: "Worker") -> None:
    """Some clients end a body with one."""
    assert b"hello world" in worker.exchange(b"\r\n" + GOOD)


@pytest.fixture
def impatient(start_worker: "Callable[..., Worker]", environment: dict[str, str]) -> "Worker":
    """A worker that waits half a second for a head and one for another request."""
    environment["HOSPITAL_HEAD_TIMEOUT"] = "500ms"
    environment["HOSPITAL_IDLE_TIMEOUT"] = "1s"
    started = start_worker()
    assert b"hello world" in started.get("/")
    return started


@pytest.mark.parametrize("begun", [b"", b"GET / HTTP/1.1\r\nHost: t\r\n"])
def test_who_sends_no_whole_head_is_hung_up_on(impatient: "Worker", begun: bytes) -> None:
    """Connections that say nothing, or not enough, end at the timeout for heads."""
    began = time.monotonic()

    with closing(impatient.connect()) as connection:
        connection.sendall(begun)
        received = impatient.read_to_end(connection)

    assert b"" == received
    assert time.monotonic() - began < 5


def test_bytes_that_drip_in_do_not_extend_the_time(impatient: "Worker") -> None:
    """The limit is for the whole head: a slow-loris gets no more of it by sending on."""
    assert impatient.is_cut_while_dripping(b"GET / HTTP/1.1\r\n", b"X: y\r\n", timeout_s=5)


def test_an_idle_connection_is_closed(impatient: "Worker") -> None:
    """Kept alive for a while, not for ever."""
    with closing(impatient.connect()) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n")
        impatient.read_response(connection)

        assert b"" == impatient.read_to_end(connection)
