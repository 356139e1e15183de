"""What every executor does: each of these runs in wards and in threads."""

import threading
import time
from pathlib import Path

import pytest

from hospital.model import Outcome, Status
from hospital.running.executor import Selection
from tests.running.running import MakeExecutor, WriteChecks, run

MIXED = """
    import asyncio, time, unittest

    @healthcheck
    def holds(): "It holds."

    @healthcheck(fix="restart it", owner="ops", tags="db")
    def fails():
        assert 1 == 2, "one is not two"

    @healthcheck
    def errs():
        raise RuntimeError("no idea")

    @healthcheck
    def warns():
        hospital.warn("first")
        hospital.warn("second")

    @healthcheck
    def measures():
        hospital.measure("used", 0.9, unit="1", warn="0.8", fail="0.95")

    @healthcheck
    def exits():
        raise SystemExit(0)

    @healthcheck
    def interrupts():
        raise KeyboardInterrupt

    @healthcheck
    def bare():
        raise BaseException("bare")

    @healthcheck(severity="warning")
    def soft():
        raise ValueError("postgresql://u:s3cret@h/db")

    @healthcheck
    async def awaits():
        await asyncio.sleep(0.01)

    @healthcheck(requires="fails")
    def depends(): pass

    @healthcheck(requires=depends)
    def depends_on_that(): pass

    @healthcheck(timeout=0.3)
    def slow():
        time.sleep(3)

    class Fixture(HealthCheck):
        @classmethod
        def setUpClass(cls):
            raise OSError("no fixture")

        def test_one(self): pass
        def test_two(self): pass

    class Many(HealthCheck):
        def test_sub(self):
            for number in range(3):
                with self.subTest(number=number):
                    self.assertNotEqual(1, number)

        @unittest.expectedFailure
        def test_expected(self):
            self.fail("as known")

        @unittest.expectedFailure
        def test_unexpected(self): pass

        @unittest.skip("not today")
        def test_skipped(self): pass

        async def test_async(self):
            await asyncio.sleep(0)
            self.fail("awaited")
"""

EXPECTED = {
    "holds": "pass",
    "fails": "fail",
    "errs": "error",
    "warns": "warn",
    "measures": "warn",
    "exits": "error",
    "interrupts": "error",
    "bare": "error",
    "soft": "warn",
    "awaits": "pass",
    "depends": "skip",
    "depends_on_that": "skip",
    "slow": "error",
    "test_one": "error",
    "test_two": "error",
    "test_sub": "fail",
    "test_expected": "expected_failure",
    "test_unexpected": "unexpected_success",
    "test_skipped": "skip",
    "test_async": "fail",
}


def test_every_kind_of_check_gets_the_status_that_the_words_give_it(
    make_executor: MakeExecutor, write_checks: WriteChecks
) -> None:
    """Whatever a check does, it has one outcome, with the same status in every executor."""
    outcomes = run(make_executor(), write_checks(MIXED))

    assert {name: outcome.status for name, outcome in outcomes.items()} == EXPECTED


def test_reasons_name_the_cause_and_the_place_and_no_secret(
    make_executor: MakeExecutor, write_checks: WriteChecks
) -> None:
    """A reason says what happened where, and a password never stands in it."""
    outcomes = run(make_executor(), write_checks(MIXED))

    assert "one is not two" in outcomes["fails"].reason
    assert " in fails" in outcomes["fails"].reason
    assert outcomes["errs"].reason.startswith("RuntimeError: no idea")
    assert outcomes["warns"].reason == "first\nsecond"
    assert outcomes["measures"].reason == "used is 0.9, above 0.8"
    assert outcomes["exits"].reason.startswith("SystemExit: 0")
    assert "postgresql://u:***@h/db" in outcomes["soft"].reason
    assert not any("s3cret" in outcome.reason for outcome in outcomes.values())
    assert "timed out after 300 ms" in outcomes["slow"].reason
    assert " in slow" in outcomes["slow"].reason
    assert "setUpClass: OSError: no fixture" in outcomes["test_one"].reason
    assert "number=1" in outcomes["test_sub"].reason


def test_a_dependent_names_the_first_cause(
    make_executor: MakeExecutor, write_checks: WriteChecks
) -> None:
    """However long the chain, a skip names the check that failed."""
    name = write_checks(MIXED)

    outcomes = run(make_executor(), name)

    cause = f"requires {Path(name).stem}.fails, which is fail"
    assert outcomes["depends"].reason == cause
    assert outcomes["depends_on_that"].reason == cause


def test_an_outcome_carries_what_the_check_says_of_itself(
    make_executor: MakeExecutor, write_checks: WriteChecks
) -> None:
    """Title, remedy, owner, tags and measurements reach the outcome."""
    outcomes = run(make_executor(), write_checks(MIXED))

    assert outcomes["holds"].title == "It holds."
    assert outcomes["fails"].fix == "restart it"
    assert outcomes["fails"].owner == "ops"
    assert outcomes["fails"].tags == ("db",)
    (used,) = outcomes["measures"].measurements
    assert (used.name, used.value, used.unit, used.status) == ("used", 0.9, "1", Status.WARN)


def test_a_deadline_costs_only_the_check_that_missed_it(
    make_executor: MakeExecutor, write_checks: WriteChecks
) -> None:
    """The outcome arrives at the deadline, and a slower neighbour with more time still passes."""
    name = write_checks(
        """
        import time
        @healthcheck(timeout=0.4)
        def hangs(): time.sleep(30)
        @healthcheck(timeout=3)
        def is_slow(): time.sleep(1.2)
        """
    )

    began = time.monotonic()
    outcomes = run(make_executor(), name)
    took = time.monotonic() - began

    assert outcomes["is_slow"].status == "pass"
    assert outcomes["hangs"].status == "error"
    assert abs(outcomes["hangs"].duration_s - 0.4) < 0.2
    assert took < 2.5


def test_what_checks_print_is_told_apart(
    make_executor: MakeExecutor, write_checks: WriteChecks, capfd: pytest.CaptureFixture[str]
) -> None:
    """Printed text arrives with the id of its check, and nowhere else."""
    name = write_checks(
        """
        import sys, time
        @healthcheck
        def one():
            print("from one"); time.sleep(0.1); print("again", end="")
        @healthcheck
        def two():
            print("from two", file=sys.stderr); time.sleep(0.1)
        """
    )
    printed: list[tuple[str, str]] = []

    executor = make_executor(on_output=lambda check_id, text: printed.append((check_id, text)))
    outcomes = run(executor, name)

    assert {outcome.status for outcome in outcomes.values()} == {Status.PASS}
    module = Path(name).stem
    assert sorted(printed) == [
        (f"{module}.one", "again"),
        (f"{module}.one", "from one"),
        (f"{module}.two", "from two"),
    ]
    assert capfd.readouterr() == ("", "")


def test_a_flood_of_text_is_cut_and_stays_text(
    make_executor: MakeExecutor, write_checks: WriteChecks
) -> None:
    """50 MB, control characters and lone surrogates become at most 4 KB that can be encoded."""
    name = write_checks(
        r"""
        @healthcheck
        def floods(): raise ValueError("x" * 50_000_000)
        @healthcheck
        def strange(): raise ValueError("a\ud800b\x1b[31m\0\u2028c")
        @healthcheck
        def no_text():
            class Mute(Exception):
                def __str__(self): raise KeyError("mute")
            raise Mute
        """
    )

    outcomes = run(make_executor(timeout_s=20), name)

    assert len(outcomes["floods"].reason) <= 4096
    strange = outcomes["strange"].reason
    assert strange.encode()
    assert all(character >= " " for character in strange)
    assert "Mute" in outcomes["no_text"].reason


def test_numbers_that_json_cannot_hold_arrive(
    make_executor: MakeExecutor, write_checks: WriteChecks
) -> None:
    """NaN cannot be held against a limit, so the check could not tell; infinity is judged."""
    name = write_checks(
        """
        @healthcheck
        def not_a_number(): hospital.measure("n", float("nan"), fail="5")
        @healthcheck
        def infinite(): hospital.measure("i", float("inf"), fail="5")
        @healthcheck
        def unlimited(): hospital.measure("u", float("nan"))
        """
    )

    outcomes = run(make_executor(), name)

    assert {name: outcome.status for name, outcome in outcomes.items()} == {
        "not_a_number": "error",
        "infinite": "fail",
        "unlimited": "pass",
    }


def test_notes_reach_their_own_check_however_many_run_at_once(
    make_executor: MakeExecutor, write_checks: WriteChecks
) -> None:
    """Warnings and measurements of 40 concurrent checks, async ones too, are never mixed up."""
    name = write_checks(
        """
        import asyncio, time
        def make(number):
            @healthcheck
            def check():
                time.sleep(0.05)
                hospital.warn(f"warning {number}")
                hospital.measure("number", number)
            return check
        def make_async(number):
            @healthcheck
            async def check():
                await asyncio.sleep(0.05)
                hospital.warn(f"warning {number}")
                hospital.measure("number", number)
            return check
        for number in range(20):
            globals()[f"check_{number}"] = make(number)
            globals()[f"check_{number + 20}"] = make_async(number + 20)
        """
    )

    outcomes = run(make_executor(), name)

    assert len(outcomes) == 40
    for name, outcome in outcomes.items():
        number = int(name.removeprefix("check_"))
        assert outcome.reason == f"warning {number}"
        assert [each.value for each in outcome.measurements] == [number]


def test_checks_run_beside_each_other_and_a_class_in_order(
    make_executor: MakeExecutor, write_checks: WriteChecks
) -> None:
    """Twenty waits of 0.2 s take well under four seconds; a class keeps its order and fixtures."""
    name = write_checks(
        """
        import time
        for number in range(20):
            def check(): time.sleep(0.2)
            globals()[f"check_{number}"] = healthcheck(check)

        class Ordered(HealthCheck):
            seen = []
            @classmethod
            def setUpClass(cls): cls.seen.append("up")
            def test_a(self): self.seen.append("a")
            def test_b(self): self.assertEqual(["up", "a"], self.seen)
        """
    )

    began = time.monotonic()
    outcomes = run(make_executor(), name)

    assert {outcome.status for outcome in outcomes.values()} == {Status.PASS}
    assert time.monotonic() - began < 2


def test_jobs_bound_how_many_run_at_once(
    make_executor: MakeExecutor, write_checks: WriteChecks
) -> None:
    """With two jobs no more than two checks are ever under way."""
    name = write_checks(
        """
        import threading, time
        lock, now, most = threading.Lock(), [0], [0]
        def check():
            with lock:
                now[0] += 1
                most[0] = max(most[0], now[0])
            time.sleep(0.02)
            with lock:
                now[0] -= 1
            assert most[0] <= 2, most
        for number in range(12):
            globals()[f"check_{number}"] = healthcheck(lambda: check())
        """
    )

    outcomes = run(make_executor(jobs=2), name)

    assert len(outcomes) == 12
    assert {outcome.status for outcome in outcomes.values()} == {Status.PASS}


def test_fixtures_that_fail_after_their_checks_are_not_silent(
    make_executor: MakeExecutor, write_checks: WriteChecks
) -> None:
    """A tearDownClass that raises, and a cleanup that does, are outcomes of their own."""
    name = write_checks(
        """
        class Torn(HealthCheck):
            @classmethod
            def tearDownClass(cls): raise OSError("cannot tear down")
            def test_it(self): pass
        class Cleaned(HealthCheck):
            @classmethod
            def setUpClass(cls): cls.addClassCleanup(lambda: 1 / 0)
            def test_it(self): pass
        """
    )

    report = make_executor().run(Selection((name,)))

    statuses = {outcome.id.partition(".")[2]: outcome.status for outcome in report.outcomes}
    assert statuses == {
        "Torn.test_it": "pass",
        "Cleaned.test_it": "pass",
        "Torn.tearDownClass": "error",
        "Cleaned.doClassCleanups": "error",
    }


def test_module_fixtures_run_once_around_their_module(
    make_executor: MakeExecutor, write_checks: WriteChecks
) -> None:
    """The fixture runs before the first class, once, and tearDownModule after the last."""
    name = write_checks(
        """
        events = []
        def setUpModule(): events.append("up")
        def tearDownModule(): assert events == ["up", "a", "b"], events
        class A(HealthCheck):
            def test_a(self): events.append("a")
        class B(HealthCheck):
            def test_b(self): events.append("b")
        """
    )

    outcomes = run(make_executor(), name)

    assert {name: outcome.status for name, outcome in outcomes.items()} == {
        "test_a": "pass",
        "test_b": "pass",
    }


def test_a_fixture_that_hangs_costs_its_class_one_deadline(
    make_executor: MakeExecutor, write_checks: WriteChecks
) -> None:
    """All checks of the class get the reason at once; they do not each wait again."""
    name = write_checks(
        """
        import time
        class Hangs(HealthCheck):
            @classmethod
            def setUpClass(cls): time.sleep(30)
            def test_a(self): pass
            def test_b(self): pass
            def test_c(self): pass
        @healthcheck
        def beside(): pass
        """
    )

    began = time.monotonic()
    outcomes = run(make_executor(timeout_s=0.5), name)

    assert time.monotonic() - began < 1.5
    assert outcomes.pop("beside").status == "pass"
    assert {outcome.status for outcome in outcomes.values()} == {Status.ERROR}
    assert all("timed out after 500 ms in setUpClass" in o.reason for o in outcomes.values())


def test_outcomes_are_told_as_they_arrive(
    make_executor: MakeExecutor, write_checks: WriteChecks
) -> None:
    """A quick outcome is told long before the slow one, in the caller's thread."""
    name = write_checks(
        """
        import time
        @healthcheck
        def quick(): pass
        @healthcheck
        def slow(): time.sleep(0.6)
        """
    )
    told: dict[str, tuple[float, int]] = {}

    def on_outcome(outcome: Outcome) -> None:
        told[outcome.id.partition(".")[2]] = (time.monotonic(), threading.get_ident())

    make_executor().run(Selection((name,)), on_outcome)

    assert told["slow"][0] - told["quick"][0] > 0.3
    assert {ident for _at, ident in told.values()} == {threading.get_ident()}


def test_an_executor_runs_again_and_again(
    make_executor: MakeExecutor, write_checks: WriteChecks
) -> None:
    """Each run is a run of its own, with outcomes of its own."""
    executor = make_executor()
    name = write_checks(MIXED.replace("time.sleep(3)", "assert False, 'slow'"))

    first, second = run(executor, name), run(executor, name)

    assert {name: o.status for name, o in first.items()} == EXPECTED | {"slow": "fail"}
    assert {name: o.status for name, o in second.items()} == EXPECTED | {"slow": "fail"}


def test_runs_from_several_threads_wait_for_each_other(
    make_executor: MakeExecutor, write_checks: WriteChecks
) -> None:
    """Concurrent calls each get a whole report."""
    name = write_checks(
        """
        import time
        running = []
        @healthcheck
        def alone():
            assert not running
            running.append(1); time.sleep(0.05); running.pop()
        """
    )
    executor = make_executor()
    statuses: list[Status] = []

    def one() -> None:
        statuses.append(run(executor, name)["alone"].status)

    threads = [threading.Thread(target=one) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert statuses == [Status.PASS] * 5


def test_names_that_cannot_be_loaded_are_errors_beside_the_others(
    make_executor: MakeExecutor, write_checks: WriteChecks
) -> None:
    """A broken module is one error; the good one beside it runs."""
    good = write_checks("@healthcheck\ndef good(): pass")
    bad = write_checks("import no_such_module_anywhere")

    report = make_executor().run(Selection((good, bad)))

    assert [outcome.status for outcome in report.outcomes] == [Status.ERROR, Status.PASS]
    assert "no_such_module_anywhere" in report.outcomes[0].reason
    assert ":3" in report.outcomes[0].reason
