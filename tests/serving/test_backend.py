"""What the gevent backend puts on the wire."""

import json
import re
import socket
import stat
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.serving.conftest import Worker

if TYPE_CHECKING:
    from collections.abc import Callable

REQUEST = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"


def head_of(response: bytes) -> list[str]:
    return response.partition(b"\r\n\r\n")[0].decode().split("\r\n")


def body_of(response: bytes) -> bytes:
    return response.partition(b"\r\n\r\n")[2]


def test_the_head_of_a_response_has_its_order(worker: Worker) -> None:
    """Date, Server, Content-Type and Content-Length come first, then what the application adds."""
    response = worker.get("/")

    lines = head_of(response)
    assert "HTTP/1.1 200 OK" == lines[0]
    names = [line.partition(":")[0] for line in lines[1:]]
    first = ["Date", "Server", "Content-Type", "Content-Length"]
    assert [*first, "Cache-Control", "Connection"] == names
    assert "Server: hospital" == lines[2]
    assert b"hello world" == body_of(response)


def test_head_and_body_leave_in_one_send(worker: Worker) -> None:
    """Two sends without TCP_NODELAY cost 44 ms a request: a single read gets the whole answer."""
    with closing(worker.connect()) as connection:
        sizes = []
        for _ in range(20):
            connection.sendall(REQUEST)
            sizes.append(len(connection.recv(65_536)))

    assert {len(worker.get("/")) - len(b"Connection: close\r\n")} == set(sizes)


def test_keep_alive_answers_without_delay(worker: Worker) -> None:
    """A hundred requests on one connection take no hundred delayed acknowledgements."""
    with closing(worker.connect()) as connection:
        began = time.monotonic()
        for _ in range(100):
            connection.sendall(REQUEST)
            worker.read_response(connection)
        took_s = time.monotonic() - began

    assert took_s < 1.0  # 100 delayed acknowledgements take 4 s


def test_head_gets_the_length_and_no_body(worker: Worker) -> None:
    """A HEAD is answered with the head that GET would get, and the next answer is in place."""
    with closing(worker.connect()) as connection:
        connection.sendall(REQUEST.replace(b"GET", b"HEAD") + REQUEST)
        received = b""
        while not received.endswith(b"hello world"):
            received += connection.recv(65_536)

    first, second = received.split(b"\r\n\r\n", 1)
    assert b"Content-Length: 11" in first
    assert second.startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize(
    "path", ["/stream", "/length?100,list", "/raise?value", "/write", "/nothing"]
)
def test_head_never_gets_a_body(worker: Worker, path: str) -> None:
    """Whatever the application returns or raises, nothing follows the head."""
    assert b"" == body_of(worker.get(path, method="HEAD"))


def test_a_stream_without_length_is_chunked(worker: Worker) -> None:
    """A body of unknown length ends where the chunks end."""
    response = worker.get("/stream")

    assert "Transfer-Encoding: chunked" in head_of(response)
    assert b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n" == body_of(response)


def test_http_1_0_gets_no_chunks(worker: Worker) -> None:
    """A client of HTTP/1.0 reads to the end of the connection."""
    response = worker.exchange(b"GET /stream HTTP/1.0\r\n\r\n")

    assert b"onetwo" == body_of(response)
    assert "Connection: close" in head_of(response)


def test_http_1_0_may_keep_the_connection(worker: Worker) -> None:
    """Who asks for it in HTTP/1.0 can send a second request, as ab does."""
    with closing(worker.connect()) as connection:
        for _ in range(2):
            connection.sendall(b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n")
            response = worker.read_response(connection)

    assert "Connection: keep-alive" in head_of(response)


def test_the_write_callable_works(worker: Worker) -> None:
    """WSGI's older way to send a body is served too."""
    assert b"written " in worker.get("/write")


def test_a_status_without_body_has_no_length(worker: Worker) -> None:
    """A 204 is a head and nothing else, whatever the application says."""
    for path in ("/empty", "/status?204"):
        response = worker.get(path)

        assert "HTTP/1.1 204" == head_of(response)[0][:12]
        assert not [line for line in head_of(response) if line.startswith("Content-Length")]
        assert b"" == body_of(response)


@pytest.mark.parametrize(("status", "length"), [("205", "0"), ("304", "11")])
def test_other_statuses_without_body_say_how_long_it_is(
    worker: Worker, status: str, length: str
) -> None:
    """A 205 has an empty one; a 304 tells the length that a 200 would have."""
    response = worker.get(f"/status?{status}")

    assert f"HTTP/1.1 {status} Said" == head_of(response)[0]
    assert f"Content-Length: {length}" in head_of(response)
    assert b"" == body_of(response)


def test_an_interim_status_is_no_answer(worker: Worker) -> None:
    """The client would wait for the final one."""
    response = worker.get("/status?100")

    assert "HTTP/1.1 500 Internal Server Error" == head_of(response)[0]


def test_requests_sent_at_once_are_answered_in_order(worker: Worker) -> None:
    """Pipelined requests each get their answer."""
    wanted = b"".join(
        b"POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n\r\n%02d" % n for n in range(10)
    )
    with closing(worker.connect()) as connection:
        connection.sendall(wanted + REQUEST.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        received = worker.read_to_end(connection)

    bodies = [part[:2] for part in received.split(b"\r\n\r\n")[1:-1]]
    assert [b"%02d" % n for n in range(10)] == bodies


def test_the_environ_is_complete(worker: Worker) -> None:
    """What WSGI promises is there, decoded as it says, and posing headers are left out."""
    response = worker.exchange(
        b"GET /environ?a=%20b HTTP/1.1\r\nHost: h:1\r\nX-Two: 1\r\nX-Two: 2\r\nX_Two: posing\r\n"
        b"Content-Type: text/x\r\nCookie: a=1\r\nCookie: b=2\r\nConnection: close\r\n\r\n"
    )

    environ = json.loads(body_of(response))
    host, port = worker.address
    expected = {
        "CONTENT_TYPE": "text/x",
        "HTTP_COOKIE": "a=1; b=2",
        "HTTP_HOST": "h:1",
        "HTTP_X_TWO": "1,2",
        "PATH_INFO": "/environ",
        "QUERY_STRING": "a=%20b",
        "REMOTE_ADDR": "127.0.0.1",
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "SERVER_NAME": host,
        "SERVER_PORT": str(port),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.url_scheme": "http",
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
    }
    assert expected == {key: environ[key] for key in expected}


@pytest.mark.parametrize("kind", ["exit", "interrupt", "greenlet", "value"])
def test_what_the_application_raises_ends_only_the_request(worker: Worker, kind: str) -> None:
    """The client gets a short 500, the log the traceback without secrets, the worker lives on."""
    response = worker.get(f"/raise?{kind}")

    assert "HTTP/1.1 500 Internal Server Error" == head_of(response)[0]
    assert b"s3cret" not in response
    assert b"Traceback" not in response
    assert b"hello world" in worker.get("/")
    assert worker.process.poll() is None
    logged = worker.wait_for(lambda: [each for each in worker.lines() if each["level"] == "error"])
    assert "application.py" in json.dumps(logged[0])
    assert "s3cret" not in worker.output()


@pytest.mark.parametrize("kind", ["exit", "interrupt", "value"])
def test_what_a_greenlet_raises_does_not_end_the_worker(worker: Worker, kind: str) -> None:
    """The log says so once; requests are answered as ever."""
    assert b"hello world" in worker.get(f"/spawn?{kind}")

    worker.wait_for(lambda: "greenlet_failed" in worker.output())
    assert b"hello world" in worker.get("/")
    assert worker.process.poll() is None
    said = [line for line in worker.lines() if line["event"] == "greenlet_failed"]
    assert 1 == len(said)
    assert "fail" in said[0]["where"]
    assert "s3cret" not in worker.output()


def test_an_application_that_raises_greenlet_exit_is_told_to_the_access_log(worker: Worker) -> None:
    """As any other failure is."""
    worker.get("/raise?greenlet")

    worker.wait_for(lambda: "request_answered" in worker.output())
    events = {line["event"] for line in worker.lines()}
    assert {"request_failed", "request_answered"} == events


def test_context_variables_of_one_request_do_not_reach_the_next(worker: Worker) -> None:
    """Though the next one is answered in the same greenlet; within a request they stay."""
    seen = [body_of(worker.get(f"/context?client-{number}")) for number in range(3)]

    assert [b"nothingclient-%d" % number for number in range(3)] == seen


def test_greenlets_are_used_again(worker: Worker) -> None:
    """To make one costs more than most answers."""
    seen = {body_of(worker.get("/greenlet")) for _ in range(5)}

    assert 1 == len(seen)


def test_a_timeout_left_behind_does_not_reach_another_request(worker: Worker) -> None:
    """The greenlet that it would go off in is used for nobody else."""
    first = worker.get("/timeout?0.2")
    second = worker.get("/slow?0.5")

    assert b"hello world" in first
    assert b"hello world" in second


def test_a_body_that_breaks_off_is_no_whole_one(worker: Worker) -> None:
    """Where the application fails half way, the last chunk is missing, so the client knows."""
    response = worker.get("/late")

    assert b"first" in response
    assert not response.endswith(b"0\r\n\r\n")
    assert b"hello world" in worker.get("/")


def test_a_body_that_breaks_off_in_http_1_0_is_reset(worker: Worker) -> None:
    """Its end is the end of the connection: an ordinary one would make it look whole."""
    with closing(worker.connect()) as connection:
        connection.sendall(b"GET /late HTTP/1.0\r\n\r\n")

        with pytest.raises(ConnectionResetError):
            list(iter(lambda: connection.recv(65_536), b""))


@pytest.mark.parametrize("length", [10, 12])
def test_a_list_of_another_length_than_announced_is_an_error(worker: Worker, length: int) -> None:
    """It is known before the head leaves, so the client is told."""
    with closing(worker.connect()) as connection:
        connection.sendall(b"GET /length?%d,list HTTP/1.1\r\nHost: t\r\n\r\n" % length)
        received = worker.read_to_end(connection)

    assert "HTTP/1.1 500 Internal Server Error" == head_of(received)[0]
    assert b"hello" not in received


def test_a_body_shorter_than_announced_ends_the_connection(worker: Worker) -> None:
    """Else the client would take the next answer for the rest of this one."""
    with closing(worker.connect()) as connection:
        connection.sendall(b"GET /length?100,stream HTTP/1.1\r\nHost: t\r\n\r\n")
        received = worker.read_to_end(connection)

    assert b"hello world" == body_of(received)


@pytest.mark.parametrize(("length", "body"), [(8, b"hello wo"), (5, b"hello")])
def test_nothing_is_sent_beyond_the_length_announced(
    worker: Worker, length: int, body: bytes
) -> None:
    """A proxy would take the rest for the answer to the next request; the connection ends."""
    with closing(worker.connect()) as connection:
        connection.sendall(b"GET /length?%d,stream HTTP/1.1\r\nHost: t\r\n\r\n" % length)
        received = worker.read_to_end(connection)

    assert body == body_of(received)
    assert worker.wait_for(lambda: "request_failed" in worker.output())


def test_a_first_part_that_is_too_long_is_an_error(worker: Worker) -> None:
    """Nothing has left yet, so the client is told."""
    assert "HTTP/1.1 500 Internal Server Error" == head_of(worker.get("/length?4,stream"))[0]


def test_an_answer_that_has_ended_cannot_be_written_to(worker: Worker) -> None:
    """Not on a connection that is kept, and not while the application closes."""
    with closing(worker.connect()) as connection:
        connection.sendall(REQUEST.replace(b"/ ", b"/keep "))
        assert b"hello world" in worker.read_response(connection)
        connection.sendall(REQUEST.replace(b"/ ", b"/again "))
        second = worker.read_response(connection)
    closed = worker.get("/closing")

    assert b"the answer has ended" == body_of(second)
    assert body_of(closed).endswith(b"0\r\n\r\n")
    assert b"too late" not in closed


def test_wsgi_errors_is_a_stream(worker: Worker) -> None:
    """What the application prints there is in the worker's output."""
    worker.get("/errors")

    assert worker.wait_for(lambda: "said to wsgi.errors" in worker.output())


def test_healthy_requests_are_not_logged(worker: Worker) -> None:
    """An access-log line a request would halve the rate."""
    for _ in range(5):
        worker.get("/")
    worker.get("/empty?last")
    worker.get("/status?404")
    worker.wait_for(lambda: "request_answered" in worker.output())

    assert ["/status"] == [line["path"] for line in worker.lines()]


def test_100_continue_is_sent_before_the_body(worker: Worker) -> None:
    """A client such as curl waits for it with larger bodies."""
    with closing(worker.connect()) as connection:
        connection.sendall(
            b"POST /echo HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\n"
            b"Content-Length: 4\r\nConnection: close\r\n\r\n"
        )
        interim = connection.recv(65_536)
        connection.sendall(b"body")
        final = worker.read_to_end(connection)

    assert b"HTTP/1.1 100 Continue\r\n\r\n" == interim
    assert b"body" == body_of(final)


def test_a_client_that_goes_away_is_no_event(worker: Worker) -> None:
    """Nothing is logged for it, and the next one is served."""
    connection = worker.connect()
    connection.sendall(b"GET /slow?0.2 HTTP/1.1\r\nHost: t\r\n\r\n")
    worker.wait_for_request()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.close()

    with closing(worker.connect()) as other:
        other.sendall(b"GET /slow?0.4 HTTP/1.1\r\nHost: t\r\n\r\n")
        assert b"hello world" in worker.read_response(other)
    assert "" == worker.complaints()


def test_a_busy_connection_does_not_starve_the_others(worker: Worker) -> None:
    """After each request of a pipeline every other connection has its turn."""
    many = 2000
    with closing(worker.connect()) as busy, closing(worker.connect()) as other:
        busy.sendall(REQUEST * many)
        other.sendall(REQUEST)
        worker.read_response(other)

        busy.settimeout(0)
        received = 0
        try:
            while chunk := busy.recv(65_536):
                received += chunk.count(b"HTTP/1.1 200")
        except BlockingIOError:
            pass

    assert received < many


def test_a_unix_socket_is_served(start_worker: "Callable[..., Worker]", tmp_path: Path) -> None:
    """An inherited socket knows its own family; its peer has no address."""
    with closing(socket.socket(socket.AF_UNIX)) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()

        response = start_worker(inherited=listener).get("/environ")

    environ = json.loads(body_of(response))
    assert "" == environ["REMOTE_ADDR"]
    assert "80" == environ["SERVER_PORT"]
    assert "HTTP/1.1 200 OK" == head_of(response)[0]
    assert (tmp_path / "s").exists()


@pytest.mark.parametrize(
    ("length", "status"), [(65_536, "200 OK"), (65_537, "413 Content Too Large")]
)
def test_a_body_has_a_limit(worker: Worker, length: int, status: str) -> None:
    """Memory stays flat: what is longer is refused before it is read."""
    head = (
        f"POST /echo HTTP/1.1\r\nHost: t\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
    )
    response = worker.exchange(head.encode() + b"x" * length)

    assert f"HTTP/1.1 {status}" == head_of(response)[0]


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("probe-1.2_3", True),
        ("x" * 64, True),
        ("x" * 65, False),
        ("", False),
        ("a b", False),
        ("a;b", False),
    ],
)
def test_a_request_has_an_id(
    worker: Worker,
    sent: str,
    kept: bool,  # noqa: FBT001 - a column of the table
) -> None:
    """A sound one of the client is kept, any other is replaced by one of ours."""
    response = worker.exchange(
        b"GET /environ HTTP/1.1\r\nHost: t\r\nConnection: close\r\n"
        b"X-Request-Id: %b\r\n\r\n" % sent.encode()
    )

    seen = json.loads(body_of(response))["HTTP_X_REQUEST_ID"]
    assert kept is (seen == sent)
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,64}", seen)


def test_ids_differ(worker: Worker) -> None:
    """Each request without one gets its own."""
    seen = {json.loads(body_of(worker.get("/environ")))["HTTP_X_REQUEST_ID"] for _ in range(5)}

    assert 5 == len(seen)


@pytest.mark.parametrize(
    ("path", "ids"), [("/", []), ("/raise?value", ["r-1"]), ("/empty", ["r-1"]), ("/id", ["mine"])]
)
def test_the_client_is_told_the_id_of_what_is_not_200(
    worker: Worker, path: str, ids: list[str]
) -> None:
    """So that the line of the log can be found; the application's own word counts before ours."""
    response = worker.exchange(
        b"GET %b HTTP/1.1\r\nHost: t\r\nConnection: close\r\n"
        b"X-Request-Id: r-1\r\n\r\n" % path.encode()
    )

    told = [line.partition(": ")[2] for line in head_of(response) if line.startswith("X-Request")]
    assert ids == told


def test_a_header_cannot_hold_another(worker: Worker) -> None:
    """What an application copies from a request ends no line of the response."""
    response = worker.get("/split")

    assert "HTTP/1.1 500 Internal Server Error" == head_of(response)[0]
    assert b"Injected" not in response
    assert b"hello world" in worker.get("/")


def test_each_answer_is_told_to_the_access_log(
    start_worker: "Callable[..., Worker]", environment: dict[str, str]
) -> None:
    """With what was asked, by whom, and how it ended; a refusal too."""
    environment["HOSPITAL_ACCESS_LOG"] = "all"
    worker = start_worker()
    sent = len(worker.get("/stream?a=b"))
    worker.exchange(b"nonsense\r\n\r\n")

    def told() -> list[dict[str, object]]:
        return [line for line in worker.lines() if line["event"] == "request_answered"]

    good, bad = worker.wait_for(lambda: len(told()) == 2 and told())
    expected = {"method": "GET", "status": 200, "peer": "127.0.0.1", "bytes": sent}
    assert expected == {key: good[key] for key in expected}
    assert good["path"].startswith("/stream")
    expected = {"method": "", "status": 400, "peer": "127.0.0.1"}
    assert expected == {key: bad[key] for key in expected}


def test_an_application_keeps_to_the_protocol(worker: Worker) -> None:
    """start_response comes first, once; with exc_info it may replace what has not left."""
    assert "HTTP/1.1 500 Internal Server Error" == head_of(worker.get("/never"))[0]
    assert "HTTP/1.1 500 Internal Server Error" == head_of(worker.get("/twice"))[0]
    assert "HTTP/1.1 503 Replaced" == head_of(worker.get("/replaced"))[0]
    assert b"hello world" in worker.get("/")


def test_the_socket_of_a_dead_server_is_replaced(
    environment: dict[str, str], start_worker: "Callable[..., Worker]", tmp_path: Path
) -> None:
    """``--host unix:PATH`` listens where one was; the umask sets its mode; in the end it goes."""
    path = str(tmp_path / "s")
    with closing(socket.socket(socket.AF_UNIX)) as dead:
        dead.bind(path)
    start_worker().terminate()  # it has written the application
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "hospital.serving.worker"),
            *("--host", f"unix:{path}", "application.app"),
        ],
        cwd=tmp_path,
        env=environment,
        umask=0o117,
        text=True,
    )
    try:
        worker = Worker(process, path, tmp_path)
        response = worker.wait_for(lambda: answer_of(worker))
        mode = stat.S_IMODE(Path(path).stat().st_mode)
        worker.terminate()
        code = worker.finish()
    finally:
        process.kill()
        process.wait()

    assert "" == json.loads(body_of(response))["REMOTE_ADDR"]
    assert (0o660, 0) == (mode, code)
    assert not Path(path).exists()


def answer_of(worker: Worker) -> bytes:
    """Return its answer, or nothing while it does not listen."""
    try:
        return worker.get("/environ")
    except OSError:
        return b""
