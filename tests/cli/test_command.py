"""The command line around an executor that says what it is told to say."""

import io
import json
from collections.abc import Sequence

import pytest

from hospital.cli import execute, main
from hospital.errors import HospitalError, SettingError
from hospital.model import Check, Outcome, Status
from tests.cli.conftest import FakeExecutor

HELD = Outcome(id="app.fine", title="All is well.", status=Status.PASS)
FAILED = Outcome(id="app.db", title="It answers.", status=Status.FAIL, reason="refused")
CHECKS = (
    Check(
        id="app.fine",
        title="All is well.",
        unit="app.fine",
        tags=("db", "fast"),
        owner="team a",
        timeout_s=2.5,
        requires=("app.db",),
    ),
    Check(id="app.db", title="app.db", unit="app.db", severity="warning"),
)
BROKEN = Outcome(
    id="app.typo", title="app.typo", status=Status.ERROR, reason="no module\nnamed typo"
)


def run(executor: FakeExecutor, *arguments: str) -> tuple[int, str]:
    """Return exit code and report of the command line *arguments*, run with *executor*."""
    stream = io.StringIO()
    code = execute(None, arguments or ["app"], stream, executor.make)
    return code, stream.getvalue()


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no setting of this machine into the tests."""
    import os

    for name in list(os.environ):
        if name.startswith(("HOSPITAL_", "HEALTHCHECKS", "NO_COLOR", "FORCE_COLOR")):
            monkeypatch.delenv(name)


def test_main_writes_to_the_stream_it_is_given(capsys: pytest.CaptureFixture[str]) -> None:
    """The report goes to *stream*, standard output stays empty."""
    stream = io.StringIO()

    code = main(args=["--in-process", "hospital.healthchecks.predictable"], stream=stream)

    assert 0 == code
    assert stream.getvalue().endswith("\n\nOK\n")
    assert ("", "") == capsys.readouterr()


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [((HELD,), 0), ((HELD, FAILED), 1), ((), 1)],
)
def test_the_exit_code_is_the_verdict(outcomes: Sequence[Outcome], expected: int) -> None:
    """Green is 0; a failure, and a run of nothing, is 1."""
    code, _report = run(FakeExecutor(outcomes))

    assert expected == code


def test_the_executor_gets_what_the_command_line_says() -> None:
    """Names, tags, exclusions, timeout and jobs reach it; it is closed in the end."""
    executor = FakeExecutor([HELD])

    run(executor, "a", "./b", "--tag", "t", "--exclude", "x", "--timeout", "3", "--jobs", "7")

    selection = executor.selections[-1]
    assert (("a", "./b"), ("t",), ("x",)) == (selection.names, selection.tags, selection.exclude)
    assert (3.0, 7) == (executor.how["timeout_s"], executor.how["jobs"])
    assert 1 == executor.closed


@pytest.mark.parametrize(
    ("arguments", "setting", "expected"),
    [
        ((), "auto", "ward"),
        ((), "ward", "ward"),
        ((), "thread", "thread"),
        (("--in-process",), "ward", "thread"),
    ],
)
def test_checks_run_in_wards_unless_asked_otherwise(
    monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], setting: str, expected: str
) -> None:
    """HOSPITAL_EXECUTOR is respected, --in-process counts more."""
    monkeypatch.setenv("HOSPITAL_EXECUTOR", setting)
    executor = FakeExecutor([HELD])

    run(executor, "app", *arguments)

    assert expected == executor.how["kind"]


def test_names_come_from_the_environment_where_none_are_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """HEALTHCHECKS counts as long as the command line names nothing."""
    monkeypatch.setenv("HEALTHCHECKS", "app.a app.b")
    executor = FakeExecutor([HELD])

    run(executor, "-v")
    run(executor, "app.c")

    assert [("app.a", "app.b"), ("app.c",)] == [each.names for each in executor.selections]


@pytest.mark.parametrize(
    ("arguments", "environ", "said"),
    [
        (["--tga", "x"], {}, "unknown option '--tga'; did you mean '--tag'?; see it --help"),
        ([], {}, "nothing to check: no NAME is given, and HEALTHCHECKS is empty or not set; name"),
        (["app"], {"HOSPITAL_EXECUTR": "ward"}, "unknown variable 'HOSPITAL_EXECUTR'; did you"),
    ],
)
def test_a_mistake_in_the_command_is_one_line_and_exit_2(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    environ: dict[str, str],
    said: str,
) -> None:
    """What makes no sense is told on standard error, and nothing runs."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    executor = FakeExecutor([HELD])

    code = execute("it", arguments, None, executor.make)

    out, err = capsys.readouterr()
    assert (2, "", 1) == (code, out, err.count("\n"))
    assert err.startswith(f"it: error: {said}")
    assert not executor.how


@pytest.mark.parametrize(
    ("error", "expected", "said"),
    [
        (HospitalError("cannot start a ward"), 1, "error: cannot start a ward\n"),
        (SettingError("it is odd:", "5"), 2, "error: it is odd: 5\n"),
        (
            KeyError("k\n://u:s3cret@h"),
            1,
            (
                r"error: KeyError: 'k\n://u:***@h'; a fault of hospital; "
                "HOSPITAL_LOG_LEVEL=debug shows where\n"
            ),
        ),
    ],
)
def test_a_fault_of_our_own_is_one_line_without_traceback(
    capsys: pytest.CaptureFixture[str], error: Exception, expected: int, said: str
) -> None:
    """Whatever goes wrong, the executor is closed and the reader is not buried."""
    executor = FakeExecutor([error])

    code, _report = run(executor)

    assert (expected, f"hospital-cli: {said}") == (code, capsys.readouterr().err)
    assert 1 == executor.closed


def test_the_traceback_of_a_fault_can_be_had(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """HOSPITAL_LOG_LEVEL=debug shows where it happened."""
    monkeypatch.setenv("HOSPITAL_LOG_LEVEL", "debug")

    code, _report = run(FakeExecutor([KeyError("k")]))

    assert 1 == code
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def test_what_checks_print_is_told_apart_and_kept_out_of_the_report(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each line goes to standard error with the id of its check, secrets masked."""

    class Printing(FakeExecutor):
        def run(self, *arguments: object) -> object:  # type: ignore[override]
            self.how["on_output"]("app.fine", "one\n\x1b[2Jtwo password=s3cret")  # type: ignore[operator]
            return super().run(*arguments)  # type: ignore[arg-type]

    code, report = run(Printing([HELD]))

    assert 0 == code
    assert report.startswith(".\n---")
    assert "app.fine: one\napp.fine: [2Jtwo password=***\n" == capsys.readouterr().err


def test_json_is_one_strict_document() -> None:
    """--format json writes nothing but the document, with reasons."""
    code, report = run(FakeExecutor([HELD, FAILED]), "app", "--format", "json", "-v")

    document = json.loads(report, parse_constant=pytest.fail)
    assert 1 == code
    assert ["pass", "fail"] == [detail["status"] for detail in document["details"]]
    assert "refused" == document["details"][1]["context"]


def test_outcomes_that_were_not_announced_are_shown_all_the_same() -> None:
    """A symbol stands there for each outcome of the report."""

    class Silent(FakeExecutor):
        def run(self, *arguments: object) -> object:  # type: ignore[override]
            return super().run(arguments[0])  # type: ignore[arg-type]

    _code, report = run(Silent([HELD, FAILED]))

    assert report.startswith(".F\n")


def test_an_interrupted_run_reports_what_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    """The outcomes so far are there, the run is not green, and the missing are named."""
    executor = FakeExecutor([HELD, KeyboardInterrupt("SIGINT")], checks=CHECKS)

    code, report = run(executor)

    cause = "interrupted by SIGINT: 1 check had not finished: app.db"
    assert 1 == code
    assert report.startswith(".E\n")
    assert "FAILED (errors=1)" in report
    assert cause in report
    assert f"hospital-cli: {cause}\n" == capsys.readouterr().err
    assert 1 == executor.closed


def test_an_interrupted_run_is_one_strict_document_too() -> None:
    """With --format json nothing half written is left, and it does not say pass."""
    executor = FakeExecutor([HELD, KeyboardInterrupt("SIGTERM")], checks=CHECKS)

    code, report = run(executor, "app", "--format", "json")

    document = json.loads(report)
    assert (1, "fail") == (code, document["status"])
    assert ["app.fine", "hospital.cli"] == [detail["id"] for detail in document["details"]]


def test_the_list_shows_ids_one_a_line() -> None:
    """--list runs nothing."""
    executor = FakeExecutor([FAILED], checks=CHECKS)

    code, report = run(executor, "app", "--list")

    assert (0, "app.fine\napp.db\n") == (code, report)
    assert 1 == executor.closed


def test_the_verbose_list_tells_what_is_known_of_each() -> None:
    """Title, tags, owner, and the timeout that will count."""
    _code, report = run(FakeExecutor(checks=CHECKS), "app", "--list", "-v", "--timeout", "4")

    assert [
        "app.fine",
        "    title: All is well.",
        "    tags: db, fast",
        "    owner: team a",
        "    requires: app.db",
        "    timeout: 2.5 s",
        "app.db",
        "    severity: warning",
        "    timeout: 4 s",
    ] == report.splitlines()


def test_the_list_for_programs_has_the_same_keys_for_each() -> None:
    """--format json gives a list of objects."""
    _code, report = run(FakeExecutor(checks=CHECKS), "app", "--list", "--format", "json")

    first, second = json.loads(report)
    assert first.keys() == second.keys()
    assert {
        "id": "app.fine",
        "title": "All is well.",
        "tags": ["db", "fast"],
        "owner": "team a",
        "fix": "",
        "severity": "critical",
        "requires": ["app.db"],
        "timeout_s": 2.5,
    } == first


@pytest.mark.parametrize(
    ("checks", "problems", "said"),
    [
        (CHECKS, [BROKEN], "hospital-cli: app.typo: no module\n  named typo\n"),
        ([], [], "hospital-cli: no health check is selected\n"),
    ],
)
def test_a_list_with_faults_is_not_green(
    capsys: pytest.CaptureFixture[str],
    checks: Sequence[Check],
    problems: Sequence[Outcome],
    said: str,
) -> None:
    """What cannot be loaded stands on standard error, what can in the list; exit 1."""
    code, report = run(FakeExecutor(checks=checks, problems=problems), "app", "--list")

    assert (1, said) == (code, capsys.readouterr().err)
    assert [check.id for check in checks] == report.split()


def test_ten_thousand_checks_cost_few_writes() -> None:
    """Symbols are gathered, whatever reads them."""

    class Counting(io.StringIO):
        writes = 0

        def write(self, text: str, /) -> int:
            self.writes += 1
            return super().write(text)

    stream = Counting()

    code = execute(None, ["app"], stream, FakeExecutor([HELD] * 10_000).make)

    assert 0 == code
    assert stream.getvalue().startswith("." * 10_000 + "\n")
    assert stream.writes < 100


def test_a_poor_encoding_shows_escapes() -> None:
    """A report with an umlaut reaches an ASCII stream, and JSON stays what it is."""
    outcome = Outcome(id="app.ü", title="Es läuft.", status=Status.FAIL, reason="café")
    text, document = io.BytesIO(), io.BytesIO()

    with io.TextIOWrapper(text, encoding="ascii", write_through=True) as stream:
        execute(None, ["app"], stream, FakeExecutor([outcome]).make)
        shown = text.getvalue().decode()
    with io.TextIOWrapper(document, encoding="ascii") as stream:
        execute(None, ["app", "--format", "json"], stream, FakeExecutor([outcome]).make)
        parsed = json.loads(document.getvalue())

    assert r"FAIL: Es l\xe4uft. (app.\xfc)" in shown
    assert "Es läuft." == parsed["details"][0]["test"]
