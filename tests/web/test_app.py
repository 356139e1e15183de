"""From a request to a response: methods, paths, headers, audiences, speed."""

import json
import timeit
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest

from hospital.model import Outcome, Report, Status
from hospital.web.access import Policy
from hospital.web.answers import Answer
from hospital.web.app import WebApp
from hospital.web.sources import FixedSource
from hospital.web.tokens import TokenFile

Events = Callable[[], list[dict[str, Any]]]
Headers = dict[str, str]

GREEN = Report((Outcome(id="a.b", title="It holds.", status=Status.PASS),))
RED = Report((Outcome(id="a.b", title="It holds.", status=Status.FAIL, reason="it is 3"),))
HOME = {"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "localhost:2014"}
METHODS = ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "get", "BREW"]


class AgeingSource:
    """An answer whose run began at 100 on the clock."""

    def get(self) -> Answer:
        return Answer(GREEN, 200, incidents={}, began_at=100.0, ended_at=101.0)

    def prepare(self, timeout_s: float) -> str:  # noqa: ARG002 - a Source's
        return ""

    def close(self) -> None:
        pass


class BrokenSource:
    """A source with a bug."""

    def get(self) -> Answer:
        raise RuntimeError("password=s3cret")

    def prepare(self, timeout_s: float) -> str:  # noqa: ARG002 - a Source's
        return ""

    def close(self) -> None:
        pass


def app_of(report: Report, code: int, policy: Policy = Policy("everyone")) -> WebApp:  # noqa: B008 - it is frozen
    return WebApp(FixedSource(report, code), policy)


def ask(
    app: Callable[..., Any], method: str = "GET", path: str = "/", **environ: str
) -> tuple[str, Headers, bytes]:
    """Return status, headers and body of a request, made as the WSGI validator wants it."""
    asked: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "QUERY_STRING": "",
        **environ,
    }
    asked["wsgi.input"] = BytesIO()
    setup_testing_defaults(asked)
    asked["SCRIPT_NAME"] = environ.get("SCRIPT_NAME", "")
    told: list[Any] = []

    def start_response(status: str, headers: list[tuple[str, str]], _exc: object = None) -> Any:
        told[:] = [status, dict(headers)]
        return lambda _data: None

    checked = validator(app)
    answered = checked(asked, start_response)
    try:
        body = b"".join(answered)
    finally:
        answered.close()  # type: ignore[attr-defined]
    return told[0], told[1], body


def test_a_green_report_is_a_200() -> None:
    """Status, headers and body are those of the documentation."""
    status, headers, body = ask(app_of(GREEN, 200))

    assert "200 OK" == status
    assert {
        "Content-Type": "application/json; charset=utf-8",
        "Content-Length": str(len(body)),
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
    } == headers
    assert "pass" == json.loads(body)["status"]


def test_a_status_without_a_name_gets_one() -> None:
    """A server needs a phrase with each code."""
    status, _, _ = ask(app_of(RED, 599))

    assert "599 Not Green" == status


def test_head_is_get_without_the_body() -> None:
    """The same headers, its length included, and nothing more."""
    app = app_of(GREEN, 200)

    status, headers, body = ask(app)
    head = ask(app, "HEAD")

    assert (status, headers, b"") == head
    assert b"" != body


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.filterwarnings("ignore:Unknown REQUEST_METHOD")
def test_other_methods_are_not_allowed(method: str) -> None:
    """The answer names those that are."""
    status, headers, body = ask(app_of(GREEN, 200), method)

    assert "405 Method Not Allowed" == status
    assert "GET, HEAD" == headers["Allow"]
    assert str(len(body)) == headers["Content-Length"]


def test_the_root_is_wherever_the_application_is_mounted() -> None:
    """The path may be empty or a slash, below whatever SCRIPT_NAME."""
    app = app_of(GREEN, 200)

    found = [
        ask(app, path="", SCRIPT_NAME="/healthchecks")[0],
        ask(app, path="/", SCRIPT_NAME="/healthchecks")[0],
        ask(app, path="/", QUERY_STRING="a=b")[0],
    ]

    assert ["200 OK"] * 3 == found


@pytest.mark.parametrize("path", ["/x", "//", "/favicon.ico", "/\r\nX-Evil: 1", "/../"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_an_unknown_path_is_not_found(path: str, method: str) -> None:
    """The answer repeats nothing of what was asked."""
    status, headers, body = ask(app_of(GREEN, 200), method, path)

    assert "404 Not Found" == status
    assert "no-store" == headers["Cache-Control"]
    assert b"" == body if method == "HEAD" else b"Evil" not in body
    assert not any(ord(letter) < 32 for value in headers.values() for letter in value)


def test_strangers_get_names_and_an_incident_and_others_the_reason(events: Events) -> None:
    """One report serves two audiences; the log holds what the stranger's id stands for."""
    app = app_of(RED, 500, Policy("loopback"))

    _, _, for_strangers = ask(app, REMOTE_ADDR="10.1.1.1", HTTP_HOST="localhost")
    status, _, at_home = ask(app, **HOME)

    (withheld,) = json.loads(for_strangers)["details"]
    (shown,) = json.loads(at_home)["details"]
    (event,) = events()
    assert "500 Internal Server Error" == status
    assert ["test", "status", "id", "incident"] == list(withheld)
    assert ("it is 3", None) == (shown["context"], shown.get("incident"))
    assert (withheld["incident"], "it is 3") == (event["incident"], event["reason"])
    assert b"it is 3" not in for_strangers


def test_a_token_that_is_changed_in_its_file_counts_at_once(tmp_path: Path) -> None:
    """The old one opens nothing any more, the new one does."""
    path = tmp_path / "token"
    path.touch(0o600)
    path.write_text("old", encoding="ascii")
    app = WebApp(FixedSource(RED), Policy("token"), TokenFile(path))

    before = ask(app, HTTP_AUTHORIZATION="Bearer old")[2]
    path.write_text("newer", encoding="ascii")
    after = [ask(app, HTTP_AUTHORIZATION=f"Bearer {token}")[2] for token in ("old", "newer")]

    assert [True, False, True] == [b"it is 3" in body for body in (before, *after)]


def test_the_age_of_a_report_is_told() -> None:
    """It counts from the beginning of the run, in whole seconds, rounded up."""
    app = WebApp(AgeingSource(), Policy("everyone"), clock=lambda: 103.2)

    _, headers, _ = ask(app)

    assert "4" == headers["Age"]


def test_a_bug_of_ours_is_a_500_without_a_traceback(events: Events) -> None:
    """The client learns nothing of it; the log does, redacted."""
    status, _, body = ask(WebApp(BrokenSource(), Policy("everyone")))

    (event,) = events()
    assert "500 Internal Server Error" == status
    assert b"internal error; the log tells more\n" == body
    assert "RuntimeError" == event["exception"][0]["type"]
    assert "s3cret" not in json.dumps(event)


def test_servers_may_add_to_the_headers() -> None:
    """What a server does to its list of headers is not in the next answer."""
    app = app_of(GREEN, 200)
    lists: list[list[tuple[str, str]]] = []

    def start_response(_status: str, headers: list[tuple[str, str]]) -> None:
        lists.append([*headers])
        headers.append(("Server", "x"))

    for _ in range(2):
        app({"REQUEST_METHOD": "GET", "PATH_INFO": "/"}, start_response)  # type: ignore[arg-type]

    assert lists[0] == lists[1]


@pytest.mark.parametrize("mode", ["everyone", "loopback", "token"])
def test_an_answer_from_the_cache_takes_20_microseconds(mode: str, tmp_path: Path) -> None:
    """Best of ten rounds of 500 calls, with the headers that browsers send."""
    path = tmp_path / "token"
    path.touch(0o600)
    path.write_text("s3cret", encoding="ascii")
    environ: dict[str, Any] = {f"HTTP_X_{number}": "x" for number in range(20)}
    setup_testing_defaults(environ)
    environ |= HOME | {"HTTP_AUTHORIZATION": "Bearer s3cret"}
    app = WebApp(AgeingSourceOnce(), Policy(mode), TokenFile(path))

    def start_response(_status: str, _headers: list[tuple[str, str]]) -> None:
        pass

    rounds = timeit.repeat(lambda: app(environ, start_response), number=500, repeat=10)  # type: ignore[arg-type]

    assert min(rounds) / 500 <= 20e-6


class AgeingSourceOnce(AgeingSource):
    """The same answer each time, as from a cache."""

    def __init__(self) -> None:
        self.answer = super().get()

    def get(self) -> Answer:
        return self.answer
