"""--wait: again and again until green, and not much longer than asked."""

import io
import json
import signal
import threading
import time

import pytest

from hospital.cli import execute
from hospital.model import Check, Outcome, Status
from tests.cli.conftest import Cli, FakeExecutor, WriteChecks

HELD = Outcome(id="app.fine", title="All is well.", status=Status.PASS)
FAILED = Outcome(id="app.db", title="It answers.", status=Status.FAIL, reason="refused")
ANSWERS = Outcome(id="app.db", title="It answers.", status=Status.PASS)
CHECKS = tuple(Check(id=each.id, title=each.title, unit=each.id) for each in (HELD, FAILED))


def wait(executor: FakeExecutor, *arguments: str) -> tuple[int, str, float]:
    """Return exit code, report and seconds of a run with *arguments*."""
    stream = io.StringIO()
    began = time.monotonic()
    code = execute(None, ["app", *arguments], stream, executor.make)
    return code, stream.getvalue(), time.monotonic() - began


def test_a_gate_opens_as_soon_as_all_is_green(capsys: pytest.CaptureFixture[str]) -> None:
    """Only the last try is reported; a line says meanwhile what is not green."""
    executor = FakeExecutor([HELD, FAILED], [HELD, FAILED], [HELD, ANSWERS])

    code, report, took_s = wait(executor, "--wait", "1m")

    assert 0 == code
    assert report.startswith("..\n---")
    assert 1 == report.count("Ran 2 tests")
    assert 0.6 <= took_s < 5  # pauses of 0.2 and 0.4 s
    said = capsys.readouterr().err
    assert said.startswith("hospital-cli: not green yet: app.db (fail); trying for another ")
    assert 1 == said.count("\n")


def test_a_gate_that_is_green_at_once_does_not_wait(capsys: pytest.CaptureFixture[str]) -> None:
    """The first try may be the last."""
    code, _report, took_s = wait(FakeExecutor([HELD]), "--wait", "1m")

    assert 0 == code
    assert took_s < 1
    assert not capsys.readouterr().err


def test_a_gate_that_never_opens_ends_in_time() -> None:
    """At the deadline there is a last try, and its report counts."""
    executor = FakeExecutor([HELD, FAILED])

    code, report, took_s = wait(executor, "--wait", "500ms", "--format", "json")

    assert 1 == code
    assert "fail" == json.loads(report)["status"]
    assert 0.5 <= took_s < 2
    assert 3 == len(executor.selections)  # at 0, 0.2 and 0.5 s


def test_a_try_outlasts_the_deadline_by_one_timeout_at_most(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A try that is too long is cut short; what it did not reach is an error."""

    class Slow(FakeExecutor):
        def run(self, *arguments: object) -> object:  # type: ignore[override]
            super().run(*arguments)  # type: ignore[arg-type]
            time.sleep(30)
            pytest.fail("it was not cut short")

    before = signal.getsignal(signal.SIGALRM)

    code, report, took_s = wait(Slow([HELD], checks=CHECKS), "--wait", "100ms", "--timeout", "0.4")

    assert 1 == code
    assert 0.5 <= took_s < 3
    assert report.startswith(".E\n")
    cause = "the time to wait is over: 1 check had not finished: app.db"
    assert cause in report
    assert f"hospital-cli: {cause}\n" == capsys.readouterr().err
    assert before == signal.getsignal(signal.SIGALRM)
    assert (0.0, 0.0) == signal.getitimer(signal.ITIMER_REAL)


def test_an_interrupted_try_is_completed_by_the_one_before(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What is known of a check counts, even if this try had not come to it."""
    executor = FakeExecutor([HELD, FAILED], [HELD, KeyboardInterrupt("SIGINT")], checks=CHECKS)

    code, report, _took_s = wait(executor, "--wait", "1m")

    assert 1 == code
    assert report.startswith("F.E\n")
    assert "refused" in report
    assert "interrupted by SIGINT: 1 check had not finished: app.db" in capsys.readouterr().err


def test_a_pause_can_be_interrupted(capsys: pytest.CaptureFixture[str]) -> None:
    """Between two tries the last report is what is known."""

    class Impatient(FakeExecutor):
        def run(self, *arguments: object) -> object:  # type: ignore[override]
            threading.Timer(0.1, signal.raise_signal, [signal.SIGINT]).start()
            return super().run(*arguments)  # type: ignore[arg-type]

    code, report, took_s = wait(Impatient([FAILED]), "--wait", "1m")

    assert 1 == code
    assert took_s < 5
    assert report.startswith("FE\n")
    assert "interrupted between two tries" in capsys.readouterr().err


def test_a_gate_can_be_used_outside_of_the_main_thread() -> None:
    """There no alarm can be set, and none is."""
    results = []
    executor = FakeExecutor([FAILED], [ANSWERS])
    thread = threading.Thread(target=lambda: results.append(wait(executor, "--wait", "1m")))

    thread.start()
    thread.join(20)

    assert [0] == [code for code, _report, _took_s in results]


@pytest.mark.parametrize("where", [(), ("--in-process",)])
def test_a_gate_waits_for_the_world_to_change(
    cli: Cli, write_checks: WriteChecks, where: tuple[str, ...]
) -> None:
    """The real command tries again until a check finds what it looks for."""
    write_checks(
        """
        import time
        from pathlib import Path

        from hospital import healthcheck

        began = Path("began")
        if not began.exists():
            began.write_text(str(time.time()))

        @healthcheck
        def is_deployed():
            assert time.time() - float(began.read_text()) > 0.7, "not yet"
        """
    )

    result = cli("--wait", "15s", *where, "checks")

    assert 0 == result.returncode
    assert result.stdout.startswith(".\n---")
    assert "not green yet: checks.is_deployed (fail)" in result.stderr
