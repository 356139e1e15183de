"""Hangs, crashes and floods in odd places: after a check, in many at once, in what they print."""

import time
from pathlib import Path

import pytest

from hospital.model import Status
from hospital.running.executor import Selection
from hospital.running.threads import ThreadExecutor
from tests.running.running import MakeExecutor, WriteChecks, run

HEAD = "import ctypes, os, subprocess, sys, threading, time\n"
BESIDE = """
@healthcheck(timeout=5)
def beside(): time.sleep(0.6)
@healthcheck(timeout=5)
def beside_too(): time.sleep(0.6)
"""


def test_a_crash_in_tear_down_is_never_lost(
    make_wards: MakeExecutor, write_checks: WriteChecks
) -> None:
    """Though its class has nothing left to run, and others are in flight."""
    name = write_checks(
        HEAD
        + """
class Ends(HealthCheck):
    @classmethod
    def tearDownClass(cls):
        time.sleep(0.2)
        os._exit(0)
    def test_it(self): pass
"""
        + BESIDE
    )

    outcomes = run(make_wards(), name)

    assert outcomes["tearDownClass"].reason == "the check ended its process (exit 0)"
    assert {name: outcome.status for name, outcome in outcomes.items()} == {
        "test_it": "pass",
        "beside": "pass",
        "beside_too": "pass",
        "tearDownClass": "error",
    }


@pytest.mark.parametrize("hang", ["ctypes.PyDLL(None).sleep(60)", "time.sleep(60)"])
def test_a_hang_in_tear_down_is_never_lost(
    hang: str, make_wards: MakeExecutor, write_checks: WriteChecks
) -> None:
    """It is an error at its own deadline."""
    name = write_checks(
        HEAD
        + f"""
class Hangs(HealthCheck):
    @classmethod
    def tearDownClass(cls): {hang}
    def test_it(self): pass
"""
        + BESIDE
    )

    outcomes = run(make_wards(timeout_s=1), name)

    assert "timed out after 1 s in tearDownClass" in outcomes.pop("tearDownClass").reason
    assert {outcome.status for outcome in outcomes.values()} == {Status.PASS}


def test_a_failing_tear_down_beside_a_hang_is_never_lost(
    make_wards: MakeExecutor, write_checks: WriteChecks
) -> None:
    """Its ward is killed for somebody else's sake while it runs."""
    name = write_checks(
        HEAD
        + """
class Fails(HealthCheck):
    @classmethod
    def tearDownClass(cls):
        time.sleep(0.3)
        raise AssertionError("not torn down")
    def test_it(self): pass
@healthcheck(severity="warning", timeout=1)
def holds_the_lock(): ctypes.PyDLL(None).sleep(60)
"""
    )

    outcomes = run(make_wards(), name)

    assert outcomes["tearDownClass"].status == "error"
    assert "not torn down" in outcomes["tearDownClass"].reason
    assert outcomes["holds_the_lock"].status == "warn"


def test_a_tear_down_that_succeeded_is_forgotten(
    make_executor: MakeExecutor, write_checks: WriteChecks
) -> None:
    """A run that lasts longer than the timeout does not turn it into an error."""
    name = write_checks(
        HEAD
        + """
def tearDownModule(): pass
class Done(HealthCheck):
    @classmethod
    def tearDownClass(cls): pass
    def test_it(self): pass
@healthcheck(timeout=10)
def lasts(): time.sleep(1.5)
"""
    )

    report = make_executor(timeout_s=0.5).run(Selection((name,)))

    assert [outcome.status for outcome in report.outcomes] == [Status.PASS, Status.PASS]


def test_many_checks_that_hold_the_lock_all_end(
    make_wards: MakeExecutor, write_checks: WriteChecks
) -> None:
    """Twenty of them, beside twenty innocents that they interrupt."""
    name = write_checks(
        HEAD
        + """
def make(body, timeout):
    def check(): body()
    return healthcheck(timeout=timeout)(check)
def hog():
    time.sleep(0.3)
    ctypes.PyDLL(None).sleep(60)
for number in range(20):
    globals()[f"hog_{number}"] = make(hog, 2)
    globals()[f"innocent_{number}"] = make(lambda: time.sleep(0.35), 3)
"""
    )

    began = time.monotonic()
    outcomes = run(make_wards(), name)

    assert time.monotonic() - began < 20
    for check, outcome in outcomes.items():
        expected = "error" if check.startswith("hog") else "pass"
        assert (check, outcome.status) == (check, expected)


def test_an_innocent_is_not_charged_for_a_slow_import(
    make_wards: MakeExecutor, write_checks: WriteChecks
) -> None:
    """To run it again, its module is imported again; that time is not its own."""
    name = write_checks(
        HEAD
        + """
time.sleep(1.2)
@healthcheck(timeout=1)
def innocent(): time.sleep(0.3)
@healthcheck(timeout=1)
def holds_the_lock():
    time.sleep(0.1)
    ctypes.PyDLL(None).sleep(60)
"""
    )

    outcomes = run(make_wards(), name)

    assert outcomes["innocent"].status == "pass"
    assert outcomes["holds_the_lock"].status == "error"


def test_what_comes_after_a_late_check_is_not_there_twice(
    make_wards: MakeExecutor, write_checks: WriteChecks, tmp_path: Path
) -> None:
    """The first test of a class returns too late, in a ward that an innocent keeps alive."""
    log = tmp_path / "log"
    name = write_checks(
        HEAD
        + f"""
def note(word):
    with open({str(log)!r}, "a") as file:
        file.write(word + "\\n")
class Late(HealthCheck):
    @healthcheck(timeout=0.5)
    def test_a(self): time.sleep(0.8)
    def test_b(self):
        note("begin"); time.sleep(0.8); note("end")
@healthcheck
def keeps_the_ward(): time.sleep(2.5)
"""
    )

    outcomes = run(make_wards(), name)

    assert {name: outcome.status for name, outcome in outcomes.items()} == {
        "test_a": "error",
        "test_b": "pass",
        "keeps_the_ward": "pass",
    }
    assert log.read_text().split() == ["begin", "end"]


def test_a_flood_from_a_descriptor_delays_nobody(
    make_wards: MakeExecutor, write_checks: WriteChecks
) -> None:
    """A program that never stops writing costs neither memory nor anybody's deadline."""
    name = write_checks(
        HEAD
        + """
@healthcheck(timeout=1)
def floods(): subprocess.run(["yes"])
@healthcheck(timeout=1.5)
def hangs(): time.sleep(60)
@healthcheck
def beside(): time.sleep(0.2)
"""
    )
    printed: list[str] = []

    outcomes = run(make_wards(on_output=lambda _id, text: printed.append(text)), name)

    assert abs(outcomes["floods"].duration_s - 1) < 0.3
    assert abs(outcomes["hangs"].duration_s - 1.5) < 0.3
    assert outcomes["beside"].status == "pass"
    assert sum(map(len, printed)) < 300_000
    assert "is cut" in "".join(printed)


def test_a_check_that_replaces_the_clock_moves_no_deadline(
    make_wards: MakeExecutor, write_checks: WriteChecks
) -> None:
    """A mock of time.monotonic in one check is no concern of the others."""
    name = write_checks(
        HEAD
        + """
from unittest import mock
@healthcheck
def mocks():
    with mock.patch("time.monotonic", return_value=1e12), mock.patch("time.sleep"):
        threading.Event().wait(0.5)
def make():
    def check(): threading.Event().wait(60)
    return healthcheck(timeout=1)(check)
for number in range(3):
    globals()[f"hangs_{number}"] = make()
"""
    )

    began = time.monotonic()
    outcomes = run(make_wards(), name)

    assert time.monotonic() - began < 4
    assert outcomes.pop("mocks").status == "pass"
    assert all("timed out after 1 s" in outcome.reason for outcome in outcomes.values())


def test_a_module_that_patches_itself_with_gevent_runs(
    make_wards: MakeExecutor, write_checks: WriteChecks
) -> None:
    """Its checks become greenlets of their ward: slower beside each other, and right."""
    name = write_checks(
        """
        from gevent import monkey
        monkey.patch_all()
        import time
        @healthcheck
        def sleeps(): time.sleep(0.2)
        @healthcheck
        def passes(): pass
        @healthcheck
        def fails(): assert False, "as it should"
        """
    )

    outcomes = run(make_wards(timeout_s=3), name)

    assert {name: outcome.status for name, outcome in outcomes.items()} == {
        "sleeps": "pass",
        "passes": "pass",
        "fails": "fail",
    }


def test_jobs_count_isolated_checks_too(
    make_wards: MakeExecutor, write_checks: WriteChecks, tmp_path: Path
) -> None:
    """One job is one check at a time, in whatever process."""
    name = write_checks(
        HEAD
        + f"""
import fcntl
def only():
    with open({str(tmp_path / "lock")!r}, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        time.sleep(0.2)
for number in range(2):
    globals()[f"apart_{{number}}"] = healthcheck(isolated=True)(lambda: only())
    globals()[f"plain_{{number}}"] = healthcheck(lambda: only())
"""
    )

    outcomes = run(make_wards(jobs=1), name)

    assert len(outcomes) == 4
    assert {outcome.status for outcome in outcomes.values()} == {Status.PASS}


def test_a_thread_that_has_come_back_does_not_hang_any_more(write_checks: WriteChecks) -> None:
    """The next run is told so, however long nobody has asked."""
    name = write_checks(
        """
        import threading
        release, returned = threading.Event(), threading.Event()
        @healthcheck(timeout=0.2)
        def late():
            release.wait(30)
            returned.set()
        """
    )
    executor = ThreadExecutor(timeout_s=5)
    assert run(executor, name)["late"].reason.startswith("timed out")

    module = __import__("sys").modules[Path(name).stem]
    module.release.set()
    assert module.returned.wait(10)
    deadline = time.monotonic() + 10
    while executor.hanging:  # the thread tells it a moment after the check has returned
        assert time.monotonic() < deadline

    assert run(executor, name)["late"].status == "pass"
