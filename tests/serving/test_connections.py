"""Room for a healthy probe, whoever else is connected."""

import resource
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

import pytest

from hospital.serving.crowd import SILENT_S

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.serving.conftest import Worker

REQUEST = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"


@pytest.fixture
def crowded(
    start_worker: "Callable[..., Worker]", environment: dict[str, str]
) -> "Callable[[int], Worker]":
    """Start a worker with so many places."""

    def start(places: int) -> "Worker":
        environment["HOSPITAL_MAX_CONNECTIONS"] = str(places)
        worker = start_worker()
        assert b"hello world" in worker.get("/")
        return worker

    return start


@pytest.fixture
def clients() -> "Iterator[ExitStack]":
    """Connections that are closed at the end."""
    with ExitStack() as stack:
        yield stack


def connect(worker: "Worker", clients: ExitStack, sent: bytes = b"") -> socket.socket:
    connection = clients.enter_context(closing(worker.connect()))
    connection.sendall(sent)
    return connection


def is_open(connection: socket.socket) -> bool:
    connection.settimeout(0)
    try:
        return connection.recv(1) != b""
    except BlockingIOError:
        return True
    except ConnectionResetError:
        return False
    finally:
        connection.settimeout(15)


def test_who_never_said_a_word_makes_room(
    crowded: "Callable[[int], Worker]", clients: ExitStack
) -> None:
    """The oldest of the silent goes, though another client has been kept for longer."""
    worker = crowded(3)
    kept = connect(worker, clients, REQUEST)
    worker.read_response(kept)
    older = connect(worker, clients)
    silent_until = time.monotonic() + 2 * SILENT_S
    worker.wait_for(lambda: time.monotonic() > silent_until)
    newer = connect(worker, clients)

    assert b"hello world" in worker.get("/")

    worker.wait_for(lambda: not is_open(older))
    assert is_open(newer)
    kept.sendall(REQUEST)
    assert b"hello world" in worker.read_response(kept)


def test_who_is_kept_for_longest_makes_room(
    crowded: "Callable[[int], Worker]", clients: ExitStack
) -> None:
    """Where nobody is silent, an idle connection goes: its client opens another one."""
    worker = crowded(2)
    first, second = (connect(worker, clients, REQUEST) for _ in range(2))
    for each in (second, first):  # the first one is the one that was busy last
        worker.read_response(each)
    first.sendall(REQUEST)
    worker.read_response(first)

    assert b"hello world" in worker.get("/")

    worker.wait_for(lambda: not is_open(second))
    assert is_open(first)


def test_a_slow_head_makes_room(crowded: "Callable[[int], Worker]", clients: ExitStack) -> None:
    """After a moment: until then it may be an ordinary request on a long line."""
    worker = crowded(1)
    slow = connect(worker, clients, b"GET / HTTP/1.1\r\nHo")

    assert b"hello world" in worker.get("/")

    assert not is_open(slow)


def test_who_is_being_answered_stays_and_the_next_one_waits(
    crowded: "Callable[[int], Worker]",
) -> None:
    """No request is lost for the sake of another."""
    worker = crowded(2)
    with ThreadPoolExecutor() as threads:
        answers = [threads.submit(worker.get, f"/slow?0.{number}") for number in (6, 7)]
        worker.wait_for_request()
        worker.wait_for(lambda: (worker.folder / "arrived").stat().st_size == len(answers))
        answers += [threads.submit(worker.get, "/") for _ in range(5)]

        assert all(b"hello world" in answer.result() for answer in answers)


def test_a_probe_is_answered_behind_any_number_of_idle_connections(
    start_worker: "Callable[..., Worker]", clients: ExitStack
) -> None:
    """Few handles, many who hold on to them: it costs a probe no time and the worker no work."""
    worker = start_worker()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.prlimit(worker.process.pid, resource.RLIMIT_NOFILE, (64, hard))
    assert b"hello world" in worker.get("/")

    for _ in range(120):
        connect(worker, clients)
    began, used_s = time.monotonic(), worker.cpu_s()
    assert b"hello world" in worker.get("/")
    assert time.monotonic() - began < 0.5

    worker.wait_for(lambda: time.monotonic() - began > 1)
    assert worker.cpu_s() - used_s < 0.3
    clients.close()
    assert b"hello world" in worker.get("/")
    assert "Traceback" not in worker.output()
    said = [line["event"] for line in worker.lines() if line["logger"] != "hospital.access"]
    assert ["connections_full"] == said


def test_no_handle_left_is_no_reason_to_spin(worker: "Worker", clients: ExitStack) -> None:
    """Who asks waits until there is one, and is answered then; it is said once."""
    hoarding = connect(worker, clients, b"GET /hoard?1 HTTP/1.1\r\nHost: t\r\n\r\n")
    worker.wait_for_request()
    used_s = worker.cpu_s()
    waiting = [connect(worker, clients, REQUEST) for _ in range(5)]

    assert b"hello world" in worker.read_response(hoarding)

    assert worker.cpu_s() - used_s < 0.5
    for each in waiting:
        assert b"hello world" in worker.read_response(each)
    assert "Traceback" not in worker.output()
    assert ["handles_exhausted"] == [
        line["event"] for line in worker.lines() if line["logger"] != "hospital.access"
    ]


def test_a_silent_connection_costs_little(worker: "Worker", clients: ExitStack) -> None:
    """No greenlet, and a few KB of memory, which are used again."""
    before, memory_kb = worker.counts(), worker.resident_kb()

    for _ in range(800):
        connect(worker, clients)
    during = worker.wait_for(
        lambda: (now := worker.counts())["handles"] >= before["handles"] + 800 and now
    )
    grown_kb = worker.resident_kb() - memory_kb
    clients.close()

    assert before["greenlets"] + 1 >= during["greenlets"]
    assert grown_kb < 800 * 6
    worker.wait_for(lambda: worker.counts()["handles"] <= before["handles"])


def test_a_wave_of_connections_does_not_starve_who_is_served(
    worker: "Worker", clients: ExitStack
) -> None:
    """Between two handfuls of new ones those that are there already have their turn."""
    kept = connect(worker, clients)
    slowest_s = 0.0

    for _ in range(20):
        for _ in range(40):
            connect(worker, clients)
        began = time.monotonic()
        kept.sendall(REQUEST)
        assert b"hello world" in worker.read_response(kept)
        slowest_s = max(slowest_s, time.monotonic() - began)

    assert slowest_s < 0.5


def test_spawn_limits_connections_too(start_worker: "Callable[..., Worker]") -> None:
    """It is chaussette's own word for it."""
    worker = start_worker("--spawn", "1")
    with ThreadPoolExecutor() as threads:
        began = time.monotonic()
        answers = [threads.submit(worker.get, "/slow?0.3") for _ in range(2)]

        assert all(b"hello world" in answer.result() for answer in answers)
    assert time.monotonic() - began > 0.55


def test_a_request_that_waits_for_its_turn_is_not_late(
    start_worker: "Callable[..., Worker]", environment: dict[str, str], clients: ExitStack
) -> None:
    """It has arrived whole, so it is answered, however long those before it take."""
    environment["HOSPITAL_HEAD_TIMEOUT"] = "200ms"
    worker = start_worker()
    assert b"hello world" in worker.get("/")
    slow = b"GET /block?0.3 HTTP/1.1\r\nHost: t\r\n"
    sent = (slow + b"\r\n") * 2 + slow + b"Connection: close\r\n\r\n"
    pipelines = [connect(worker, clients, sent) for _ in range(2)]

    answers = [worker.read_to_end(each).count(b"200 OK") for each in pipelines]

    assert [3, 3] == answers
