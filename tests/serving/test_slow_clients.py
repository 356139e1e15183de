"""Clients that send slowly, read slowly or not at all, or go away."""

import signal
import socket
import time
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.serving.conftest import Worker

CLOSE = b"Host: t\r\nConnection: close\r\n\r\n"
RESET_AT_CLOSE = b"\1\0\0\0\0\0\0\0"
MANY = 40


@pytest.fixture
def strict(start_worker: "Callable[..., Worker]") -> "Worker":
    """A server that allows a second for heads and bodies, and a second for reading an answer."""
    server = start_worker(limits="head_timeout_s=1.0, stall_timeout_s=1.0")
    assert b"hello world" in server.get("/")
    return server


def settle(worker: "Worker", handles: int) -> dict[str, int]:
    """Return the counts once no more handles are open than there were."""

    def settled() -> dict[str, int] | None:
        now = worker.counts()
        return now if now["handles"] <= handles else None

    counts: dict[str, int] = worker.wait_for(settled)
    return counts


@pytest.mark.parametrize("path", [b"/large?9", b"/whole?9"])
def test_clients_that_never_read_are_given_up(strict: "Worker", path: bytes) -> None:
    """Their handles and greenlets are free again, the application has let go, nothing is said."""
    before = strict.counts()
    with ExitStack() as clients:
        for _ in range(MANY):
            deaf = clients.enter_context(closing(strict.connect()))
            deaf.sendall(b"GET %b HTTP/1.1\r\n" % path + CLOSE)

        after = settle(strict, before["handles"])

    assert before["greenlets"] + 32 >= after["greenlets"]
    if path.startswith(b"/large"):
        assert MANY == after["closed"]
    assert "" == strict.complaints()


def test_reading_a_little_now_and_then_gains_no_time(strict: "Worker") -> None:
    """The time is for the whole answer."""
    with closing(strict.connect()) as miser:
        miser.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        miser.sendall(b"GET /whole?20 HTTP/1.1\r\n" + CLOSE)
        began, before = time.monotonic(), strict.counts()
        strict.wait_for(
            lambda: (miser.recv(1000), strict.counts()["handles"] < before["handles"])[1]
        )

    assert time.monotonic() - began < 6


def test_who_reads_all_the_time_gets_all_of_it(strict: "Worker") -> None:
    """A large answer is no fault."""
    answer = strict.get("/whole?5")

    assert 5_000_000 == len(answer.partition(b"\r\n\r\n")[2])


def test_time_in_which_the_application_works_does_not_count(strict: "Worker") -> None:
    """Only the client's own is short."""
    assert b"hello world" in strict.get("/slow?1.5")


def test_a_body_that_drips_in_gains_no_time(strict: "Worker") -> None:
    """The limit is for the whole body, as it is for the whole head."""
    begin = b"POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 1000\r\n\r\n"

    assert strict.is_cut_while_dripping(begin, b"x", timeout_s=6)


def test_probes_are_answered_beside_slow_heads(strict: "Worker") -> None:
    """However many clients send a byte now and then."""
    with ExitStack() as clients:
        dripping = [clients.enter_context(closing(strict.connect())) for _ in range(200)]
        slowest_s = 0.0
        for byte in b"GET / HT":
            for each in dripping:
                each.sendall(bytes([byte]))
            began = time.monotonic()
            assert b"hello world" in strict.get("/")
            slowest_s = max(slowest_s, time.monotonic() - began)

    assert slowest_s < 0.5
    assert "" == strict.complaints()


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET / HT",
        b"POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 9\r\n\r\nx",
        b"GET /large?5 HTTP/1.1\r\nHost: t\r\n\r\n",
        b"GET /slow?0.2 HTTP/1.1\r\nHost: t\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: t\r\n\r\n" * 50,
        b"nonsense\r\n\r\n",
    ],
    ids=["silent", "head", "body", "large", "slow", "pipeline", "refused"],
)
def test_clients_that_reset_leave_nothing_behind(strict: "Worker", sent: bytes) -> None:
    """Whatever they were in the middle of."""
    before = strict.counts()
    for _ in range(MANY):
        leaving = strict.connect()
        leaving.sendall(sent)
        leaving.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_CLOSE)
        leaving.close()

    after = settle(strict, before["handles"])

    assert before["greenlets"] + 32 >= after["greenlets"]
    assert "" == strict.complaints()


def test_who_sends_requests_without_end_is_read_as_he_is_answered(strict: "Worker") -> None:
    """What waits stays with the system: memory is bounded, and others are served."""
    memory_kb = strict.resident_kb()
    many = b"GET / HTTP/1.1\r\nHost: t\r\n\r\n" * 2000
    with closing(strict.connect()) as greedy:
        greedy.settimeout(0.3)
        try:
            for _ in range(400):  # 20 MB, if it were all taken
                greedy.sendall(many)
        except TimeoutError:
            pass
        began = time.monotonic()
        assert b"hello world" in strict.get("/")
        took_s = time.monotonic() - began

    assert took_s < 0.5
    assert strict.resident_kb() - memory_kb < 10_000
    assert "" == strict.complaints()


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\n" + CLOSE,
        b"POST / HTTP/1.1\r\nContent-Length: 60000\r\n" + CLOSE + b"x" * 60_000,
    ],
    ids=["head", "body"],
)
def test_a_request_that_came_in_time_is_answered_however_late_it_is_read(
    start_worker: "Callable[..., Worker]", environment: dict[str, str], sent: bytes
) -> None:
    """A worker that stood still looks at what has arrived before it hangs up."""
    environment["HOSPITAL_HEAD_TIMEOUT"] = "500ms"
    worker = start_worker()
    assert b"hello world" in worker.get("/")
    with closing(worker.connect()) as client:
        client.sendall(sent[:25])
        worker.get("/")  # it came later, so the beginning has been read
        worker.terminate(signal.SIGSTOP)
        client.sendall(sent[25:])
        continue_at = time.monotonic() + 1.0
        worker.wait_for(lambda: time.monotonic() > continue_at)
        worker.terminate(signal.SIGCONT)

        assert b"hello world" in worker.read_to_end(client)


def test_who_sends_an_empty_line_and_no_more_is_idle(strict: "Worker") -> None:
    """Sent along with a request, it waits for no turn."""
    with closing(strict.connect()) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n\r\n")
        assert b"hello world" in strict.read_response(client)
        strict.get("/")
        client.sendall(b"GET / HTTP/1.1\r\n" + CLOSE)

        assert b"hello world" in strict.read_to_end(client)


def test_half_a_request_behind_a_whole_one_has_its_time(strict: "Worker") -> None:
    """And no more than that."""
    with closing(strict.connect()) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: t\r\n\r\nGET / HT")
        began = time.monotonic()
        received = strict.read_to_end(client)

    assert 1 == received.count(b"200 OK")
    assert 0.9 < time.monotonic() - began < 6
