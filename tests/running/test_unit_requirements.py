"""What requires a check of its own class is not run when that check did not come back."""

from hospital.model import Status
from tests.running.running import MakeExecutor, WriteChecks, run

CLASS = """
    import os, time
    class Case(HealthCheck):
        @healthcheck(timeout=0.3)
        def test_a(self):
            {0}
        def test_b(self): ...
        @healthcheck(requires="test_a")
        def test_c(self): print("ran")
        @healthcheck(requires="test_c")
        def test_d(self): print("ran")
"""


def statuses(
    make_executor: MakeExecutor, name: str
) -> tuple[list[Status], list[tuple[str, str]], set[str]]:
    """Return the statuses, what was printed, and the reasons of skips."""
    printed: list[tuple[str, str]] = []
    outcomes = run(make_executor(on_output=lambda id_, text: printed.append((id_, text))), name)
    ordered = [outcomes[f"test_{letter}"] for letter in "abcd"]
    reasons = {each.reason for each in ordered if each.status is Status.SKIP}
    return [each.status for each in ordered], printed, reasons


def test_dependents_of_what_timed_out_are_skipped(
    make_executor: MakeExecutor, write_checks: WriteChecks
) -> None:
    """The others of the class run; the skips name the first cause."""
    name = write_checks(CLASS.format("time.sleep(2)"))

    found, printed, (reason,) = statuses(make_executor, name)

    assert [Status.ERROR, Status.PASS, Status.SKIP, Status.SKIP] == found
    assert [] == printed
    assert reason.endswith(".Case.test_a, which is error")


def test_dependents_of_what_ended_its_process_are_skipped(
    make_wards: MakeExecutor, write_checks: WriteChecks
) -> None:
    """In wards, where that is survived."""
    name = write_checks(CLASS.format("os._exit(3)"))

    found, printed, _reasons = statuses(make_wards, name)

    assert [Status.ERROR, Status.PASS, Status.SKIP, Status.SKIP] == found
    assert [] == printed


def test_dependents_of_a_failure_before_a_hang_are_skipped(
    make_executor: MakeExecutor, write_checks: WriteChecks
) -> None:
    """What runs on elsewhere after a hang remembers what failed before."""
    name = write_checks(
        """
        import time
        class Case(HealthCheck):
            def test_a(self): self.fail("down")
            @healthcheck(timeout=0.3)
            def test_b(self): time.sleep(2)
            @healthcheck(requires="test_a")
            def test_c(self): print("ran")
            def test_d(self): ...
        """
    )

    found, printed, _reasons = statuses(make_executor, name)

    assert [Status.FAIL, Status.ERROR, Status.SKIP, Status.PASS] == found
    assert [] == printed
