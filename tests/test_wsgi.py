"""The WSGI applications: one built with arguments, one that the environment describes."""

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest

from hospital.errors import SettingError
from hospital.logs import get_logger
from hospital.model import Outcome, Report, Status
from hospital.running.executor import Catalog, Selection
from hospital.wsgi import HealthCheckApp, application

PREDICTABLE = "hospital.healthchecks.predictable"
CHECKS = '''
    from hospital import healthcheck

    @healthcheck(tags="fast")
    def holds():
        """It holds."""
        print("said by a check")

    @healthcheck(tags="slow")
    def does_not_hold():
        """It does not hold."""
        assert False, "cannot reach postgresql://u:s3cret@h/db"
'''
PATCHED = """
    from gevent import monkey; monkey.patch_all()
    import json, gevent
    from hospital.model import Outcome, Report, Status
    from hospital.wsgi import HealthCheckApp

    class Slow:
        runs = 0
        def run(self, selection, on_outcome=None):
            self.runs += 1
            gevent.sleep(0.2)
            return Report((Outcome(id="a", title="a", status=Status.PASS),))
        def close(self):
            pass

    executor = Slow()
    app = HealthCheckApp("checks", executor=executor, cache_ttl=60)
    told = []
    def ask():
        return app({"REQUEST_METHOD": "GET", "PATH_INFO": "/"}, lambda *told_: told.append(told_))
    asked = [gevent.spawn(ask) for _ in range(500)]
    gevent.joinall(asked, timeout=20)
    app.close()
    print(json.dumps([executor.runs, len(told), sorted({status for status, _ in told})]))
"""


class FakeExecutor:
    """Says what it was asked to run, and how it went."""

    def __init__(self, status: Status = Status.PASS) -> None:
        self.status = status
        self.selections: list[Selection] = []
        self.closed = 0

    def run(
        self,
        selection: Selection,
        on_outcome: Callable[[Outcome], None] | None = None,  # noqa: ARG002 - an Executor's
        on_catalog: Callable[[Catalog], None] | None = None,  # noqa: ARG002 - an Executor's
    ) -> Report:
        self.selections.append(selection)
        return Report((Outcome(id="a", title="a", status=self.status, reason="because"),))

    def collect(self, selection: Selection) -> Catalog:  # noqa: ARG002 - an Executor's
        return Catalog((), ())

    def close(self) -> None:
        self.closed += 1


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take what concerns hospital out of the environment."""
    for name in [name for name in os.environ if name.startswith(("HOSPITAL_", "HEALTHCHECKS"))]:
        monkeypatch.delenv(name)


def ask(app: Callable[..., Any], **environ: str) -> tuple[str, Any]:
    """Return status and document of a GET of the root."""
    root = {"REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "PATH_INFO": "/", "QUERY_STRING": ""}
    asked: dict[str, Any] = {**root, **environ}
    setup_testing_defaults(asked)
    told: list[str] = []

    def start_response(status: str, _headers: list[tuple[str, str]], _exc: object = None) -> Any:
        told.append(status)
        return lambda _data: None

    answered = validator(app)(asked, start_response)
    try:
        return told[0], json.loads(b"".join(answered))
    finally:
        answered.close()  # type: ignore[attr-defined]


def run_python(code: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run *code* in a Python of its own, with *environ* and PATH as its environment."""
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={"PATH": os.environ["PATH"], **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_names_are_taken_as_they_come(tmp_path: Path) -> None:
    """A list, a single text, a path; each name once."""
    executor = FakeExecutor()

    ask(HealthCheckApp("a.b", names=["c", tmp_path, "a.b"], executor=executor))
    ask(HealthCheckApp(discover=iter(["d"]), tags="fast", exclude=["slow"], executor=executor))

    assert [
        Selection(("a.b", "c", str(tmp_path))),
        Selection(("d",), ("fast",), ("slow",)),
    ] == executor.selections


def test_without_arguments_the_environment_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """HEALTHCHECKS names the checks, and HOSPITAL_* says the rest."""
    monkeypatch.setenv("HEALTHCHECKS", " a  b ")
    monkeypatch.setenv("HOSPITAL_FAIL_STATUS", "503")
    monkeypatch.setenv("HOSPITAL_REASONS", "everyone")
    executor = FakeExecutor(Status.FAIL)

    status, document = ask(HealthCheckApp(executor=executor))

    assert [Selection(("a", "b"))] == executor.selections
    assert "503 Service Unavailable" == status
    assert "because" == document["details"][0]["context"]


def test_arguments_count_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is said nearer is meant."""
    monkeypatch.setenv("HEALTHCHECKS", "a")
    monkeypatch.setenv("HOSPITAL_FAIL_STATUS", "503")
    monkeypatch.setenv("HOSPITAL_CACHE_TTL", "60")
    executor = FakeExecutor(Status.FAIL)
    app = HealthCheckApp(
        "b",
        executor=executor,
        fail_status=418,
        cache_ttl=0,
        reasons="token",
        token="s3cret",  # noqa: S106 - a test's own
    )

    answers = [ask(app), ask(app, HTTP_AUTHORIZATION="Bearer s3cret")]

    assert [Selection(("b",))] * 2 == executor.selections
    assert ["418 I'm a Teapot"] * 2 == [status for status, _ in answers]
    assert [None, "because"] == [doc["details"][0].get("context") for _, doc in answers]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "no health checks are named; set HEALTHCHECKS, or"),
        ({"discover": []}, "no health checks are named; set HEALTHCHECKS, or"),
        ({"discover": 3}, "discover holds no names: 3; give a list of texts"),
        ({"names": ["a", ""]}, "names holds no names: ['a', '']; give a list of texts"),
        ({"names": [b"a"]}, "names holds no names: [b'a']; give a list of texts"),
        ({"tags": [1]}, "tags holds no names: [1]; give a list of texts"),
        ({"timeout": "soon"}, "timeout is no duration: 'soon'; write a number of seconds"),
        ({"timeout": 0}, "timeout must be above 0 and finite, not 0; write"),
        ({"cache_ttl": -1}, "cache_ttl must be 0 or more and finite, not -1; write"),
        ({"request_timeout": True}, "request_timeout is no duration: True; write"),
        ({"executor": "wards"}, "executor is unknown: 'wards'; did you mean 'ward'?"),
        ({"executor": 3}, "executor cannot run checks: 3; use one of auto, ward, thread"),
        ({"reasons": "all"}, "reasons is unknown: 'all'; choose from token, loopback, everyone"),
        ({"token": ""}, "token cannot be a bearer token; use 1 to 512 visible ASCII characters"),
        ({"fail_status": 200}, "fail_status is no HTTP status of failure: 200; write 400 to 599"),
        ({"fail_status": "500"}, "fail_status is no HTTP status of failure: '500'; write 400"),
    ],
)
def test_an_argument_that_cannot_be_used_is_an_error(
    arguments: dict[str, Any], message: str
) -> None:
    """The error names the argument, its value, and what to do."""
    named = (
        arguments if not arguments or "discover" in arguments else {"discover": "a", **arguments}
    )

    with pytest.raises(SettingError) as caught:
        HealthCheckApp(**named)

    assert str(caught.value).startswith(message)


def test_close_ends_the_executor() -> None:
    """Who asks afterwards gets a 503."""
    executor = FakeExecutor()
    app = HealthCheckApp("a", executor=executor)
    ask(app)

    app.close()

    assert 1 == executor.closed
    assert "503 Service Unavailable" == ask(app)[0]


@pytest.mark.parametrize("kind", ["thread", "ward"])
def test_real_checks_are_run_and_nothing_secret_gets_out(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both executors: statuses agree, prints are in the log, the password nowhere."""
    path = tmp_path / "checks_of_wsgi.py"
    path.write_text(textwrap.dedent(CHECKS), encoding="utf-8")
    app = HealthCheckApp([path], executor=kind, timeout=20, reasons="everyone")

    try:
        status, document = ask(app)
    finally:
        app.close()

    logged = capsys.readouterr().err
    events = [json.loads(line) for line in logged.splitlines()]
    assert "500 Internal Server Error" == status
    assert {"It holds.": "pass", "It does not hold.": "fail"} == {
        detail["test"]: detail["status"] for detail in document["details"]
    }
    assert ["said by a check"] == [e["line"] for e in events if e["event"] == "check_output"]
    assert "s3cret" not in json.dumps(document) + logged


def test_tags_choose_among_real_checks(tmp_path: Path) -> None:
    """What is left out is not in the report."""
    path = tmp_path / "tagged_checks_of_wsgi.py"
    path.write_text(textwrap.dedent(CHECKS), encoding="utf-8")
    app = HealthCheckApp([path], executor="thread", tags=["fast"])

    try:
        status, document = ask(app)
    finally:
        app.close()

    assert "200 OK" == status
    assert ["It holds."] == [detail["test"] for detail in document["details"]]


def test_under_gevent_500_who_ask_at_once_share_one_run() -> None:
    """Nobody blocks the hub, and everybody is answered."""
    found = run_python(PATCHED)

    assert "" == found.stderr
    assert [1, 500, ["200 OK"]] == json.loads(found.stdout)


def test_the_application_serves_what_the_environment_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It reads the environment with the first request, so that a server may set it."""
    monkeypatch.setenv("HEALTHCHECKS", PREDICTABLE)
    monkeypatch.setenv("HOSPITAL_EXECUTOR", "thread")

    try:
        status, document = ask(application)
    finally:
        application.close()

    assert "200 OK" == status
    assert ["Health checks are collected."] == [each["test"] for each in document["details"]]


def test_an_application_can_be_prepared(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says in one line why it will be of no use; the first request finds it as it is."""
    monkeypatch.setenv("HEALTHCHECKS", "no_such_checks")
    monkeypatch.setenv("HOSPITAL_EXECUTOR", "thread")

    try:
        unloadable = application.prepare(20)
        status, _ = ask(application)
    finally:
        application.close()
    monkeypatch.setenv("HOSPITAL_TYPO", "1")
    try:
        unusable = application.prepare(20)
    finally:
        application.close()

    assert "no module named 'no_such_checks'" == unloadable
    assert "500 Internal Server Error" == status
    assert "unknown variable 'HOSPITAL_TYPO'" in unusable


def test_what_is_logged_for_a_request_names_it(capsys: pytest.CaptureFixture[str]) -> None:
    """By the id that its answer carries; afterwards it is nobody's any more."""
    app = HealthCheckApp("checks", executor=FakeExecutor())
    app._app._source = None  # type: ignore[assignment]  # a bug of ours

    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "HTTP_X_REQUEST_ID": "8c1f-12"}
    app(environ, lambda *_told: lambda _data: None)
    get_logger("test").info("afterwards")

    first, second = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert ("request_failed", "8c1f-12") == (first["event"], first["request_id"])
    assert "request_id" not in second


ASK_TWICE = """
    import json
    from hospital.wsgi import application
    told = []
    for _ in range(2):
        body = application({"REQUEST_METHOD": "GET", "PATH_INFO": "/"}, lambda *it: told.append(it))
    print(json.dumps([[status for status, _ in told], json.loads(b"".join(body))]))
"""


@pytest.mark.parametrize(
    ("environ", "id_", "reason"),
    [
        ({}, "HEALTHCHECKS", "no health checks are named; set HEALTHCHECKS, or"),
        ({"HEALTHCHECKS": " "}, "HEALTHCHECKS", "no health checks are named"),
        (
            {"HEALTHCHECKS": "a", "HOSPITAL_CHECK_TIMEOUT": "soon", "HOSPITAL_TOKEN": "x"},
            "settings",
            "HOSPITAL_CHECK_TIMEOUT is no duration: 'soon'",
        ),
        ({"HEALTHCHECKS": "a", "HOSPITAL_REASONS": "all"}, "settings", "HOSPITAL_REASONS is"),
    ],
)
def test_a_bad_environment_is_a_500_with_one_line_in_the_log(
    environ: dict[str, str], id_: str, reason: str
) -> None:
    """A stranger gets the incident, the log the reason, and nobody a traceback."""
    found = run_python(ASK_TWICE, **environ)

    (line,) = found.stderr.splitlines()
    event = json.loads(line)
    statuses, document = json.loads(found.stdout)
    (detail,) = document["details"]
    assert ["500 Internal Server Error"] * 2 == statuses
    assert (id_, "error", event["incident"]) == (
        detail["id"],
        detail["status"],
        detail["incident"],
    )
    assert "context" not in detail
    assert (id_, "check_not_green") == (event["check"], event["event"])
    assert event["reason"].startswith(reason)


def test_who_may_see_reasons_sees_those_of_a_bad_environment_too() -> None:
    """HOSPITAL_REASONS counts where another variable is at fault."""
    found = run_python(ASK_TWICE, HOSPITAL_REASONS="everyone", HOSPITAL_TYPO="1")

    _, document = json.loads(found.stdout)
    assert "unknown variable 'HOSPITAL_TYPO'" in document["details"][0]["context"]


def test_the_import_is_light_and_makes_nothing() -> None:
    """No thread, no lock and nothing heavy is there before the first request."""
    found = run_python(
        """
        import sys, threading
        import hospital.wsgi
        heavy = {"structlog", "json", "gevent", "psutil", "unittest", "subprocess", "logging"}
        print(sorted(heavy & set(sys.modules)), threading.active_count(),
              hospital.wsgi.application.__dict__)
        """
    )

    assert "[] 1 {}\n" == found.stdout
