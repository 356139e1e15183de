"""The hang matrix: whatever a check hangs in, it costs only itself, and nothing survives."""

import os
import threading
import time
from pathlib import Path

import psutil
import pytest

from hospital.errors import WardError
from hospital.model import Outcome, Status
from hospital.running.executor import Selection
from hospital.running.threads import ThreadExecutor
from hospital.running.wards import WardExecutor
from tests.running.running import MakeExecutor, WriteChecks, run

HANGS = {
    "sleep": "time.sleep(60)",
    "c_call": "ctypes.CDLL(None).sleep(60)",
    "c_call_with_the_lock": "ctypes.PyDLL(None).sleep(60)",
    "busy": "while True: pass",
    "swallows": """
    while True:
        try: time.sleep(0.01)
        except BaseException: pass""",
    "child": """subprocess.run(["sh", "-c", "trap '' TERM; while :; do sleep 1; done"])""",
}
HEAD = """
import ctypes, os, signal, subprocess, threading, time
def healthy(number):
    def check(): time.sleep(0.05)
    return healthcheck(check)
for number in range(50):
    globals()[f"healthy_{number}"] = healthy(number)
"""
HOLDS_THE_LOCK = "c_call_with_the_lock"


def hanging(*kinds: str, timeout_s: float = 1.0) -> str:
    """Return a module with 50 healthy checks and hanging ones of *kinds*."""
    checks = [
        f"@healthcheck(timeout={timeout_s})\ndef {kind}():\n    {HANGS[kind].lstrip()}\n"
        for kind in kinds
    ]
    return HEAD + "\n".join(checks)


def survivors(executor: WardExecutor) -> list[str]:
    """Return the command lines of what descends from the wards of *executor*."""
    token = f"HOSPITAL_WARD={executor._manner.token}"
    found = []
    for process in psutil.process_iter():
        try:
            environment = Path(f"/proc/{process.pid}/environ").read_text(errors="replace")
            if token in environment and process.status() != psutil.STATUS_ZOMBIE:
                found.append(" ".join(process.cmdline()))
        except (OSError, psutil.Error):
            continue
    return found


def wait_until_gone(executor: WardExecutor, limit_s: float = 3.0) -> None:
    """Wait until nothing of *executor* lives, for at most *limit_s*."""
    deadline = time.monotonic() + limit_s
    while left := survivors(executor):
        assert time.monotonic() < deadline, f"still there: {left}"
        time.sleep(0.05)


@pytest.mark.parametrize("kind", HANGS)
def test_a_hang_costs_only_itself(
    kind: str, make_wards: MakeExecutor, write_checks: WriteChecks
) -> None:
    """The check errs at its deadline and names the place; fifty beside it pass."""
    executor = make_wards(timeout_s=10)
    outcomes = run(executor, write_checks(hanging(kind)))
    executor.close()

    hung = outcomes.pop(kind)
    assert hung.status == "error"
    assert hung.reason.startswith("timed out after 1 s at ")
    assert hung.reason.endswith(f" in {kind}")
    tolerance = 0.7 if kind == HOLDS_THE_LOCK else 0.2
    assert abs(hung.duration_s - 1.0) < tolerance
    assert len(outcomes) == 50
    assert {outcome.status for outcome in outcomes.values()} == {Status.PASS}
    assert isinstance(executor, WardExecutor)
    wait_until_gone(executor)


def test_all_kinds_of_hangs_at_once(make_wards: MakeExecutor, write_checks: WriteChecks) -> None:
    """Each hang has its own outcome at its own deadline, and the fifty healthy checks pass."""
    executor = make_wards(timeout_s=10)
    name = write_checks(hanging(*HANGS))
    told: dict[str, float] = {}

    def on_outcome(outcome: Outcome) -> None:
        told[outcome.id.rpartition(".")[2]] = time.monotonic() - began

    began = time.monotonic()
    report = executor.run(Selection((name,)), on_outcome)
    executor.close()

    outcomes = {outcome.id.rpartition(".")[2]: outcome for outcome in report.outcomes}
    for kind in HANGS:
        assert outcomes[kind].reason.startswith("timed out after 1 s at ")
        # Who was in the ward of the one that holds the lock gets that wait back.
        assert abs(outcomes.pop(kind).duration_s - 1.0) < 0.7
    assert {outcome.status for outcome in outcomes.values()} == {Status.PASS}
    assert max(told[name] for name in outcomes) < 3.0
    assert isinstance(executor, WardExecutor)
    wait_until_gone(executor)


def test_a_hundred_hangs_end_at_their_deadline(
    make_wards: MakeExecutor, write_checks: WriteChecks
) -> None:
    """Many deadlines that pass at once are all kept, each with its place."""
    name = write_checks(
        """
        import time
        def make():
            def check(): time.sleep(60)
            return healthcheck(timeout=1)(check)
        for number in range(100):
            globals()[f"check_{number}"] = make()
        """
    )

    outcomes = run(make_wards(), name)

    assert len(outcomes) == 100
    assert max(outcome.duration_s for outcome in outcomes.values()) < 1.5
    assert all(outcome.reason.endswith(" in check") for outcome in outcomes.values())


def test_a_check_that_hangs_is_never_there_twice(
    make_wards: MakeExecutor, write_checks: WriteChecks, tmp_path: Path
) -> None:
    """However often it is run and killed, no instance begins before the last one is dead."""
    name = write_checks(
        f"""
        import fcntl, time
        lock = open({str(tmp_path / "lock")!r}, "w")
        @healthcheck(timeout=0.3)
        def only_one():
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            while True:
                try: time.sleep(0.01)
                except BaseException: pass
        """
    )
    executor = make_wards()

    reasons = [run(executor, name)["only_one"].reason for _ in range(4)]

    assert all(reason.startswith("timed out after 300 ms") for reason in reasons), reasons


def test_methods_after_a_hanging_one_still_run(
    make_executor: MakeExecutor, write_checks: WriteChecks
) -> None:
    """The rest of a class runs again with its fixture; only the hanging method errs."""
    name = write_checks(
        """
        import time
        class Several(HealthCheck):
            @classmethod
            def setUpClass(cls): cls.ready = True
            def test_a(self): pass
            @healthcheck(timeout=0.3)
            def test_b(self): time.sleep(60 if not hasattr(self, "_") else 0)
            def test_c(self): self.assertTrue(self.ready)
        """
    )

    outcomes = run(make_executor(), name)

    assert {name: outcome.status for name, outcome in outcomes.items()} == {
        "test_a": "pass",
        "test_b": "error",
        "test_c": "pass",
    }


def test_a_thread_that_still_hangs_is_not_started_again(write_checks: WriteChecks) -> None:
    """In threads, the next run says since when it hangs, until it has come to an end."""
    name = write_checks(
        """
        import threading
        release, started = threading.Event(), []
        @healthcheck(timeout=0.2)
        def hangs():
            started.append(1)
            release.wait(30)
        """
    )
    executor = ThreadExecutor(timeout_s=5)

    first = run(executor, name)["hangs"]
    second = run(executor, name)["hangs"]
    assert first.reason.startswith("timed out after 200 ms")
    assert second.reason.startswith("still hanging since 20")
    assert second.status == "error"

    module = next(m for n, m in __import__("sys").modules.items() if n == Path(name).stem)
    assert len(module.started) == 1
    module.release.set()
    deadline = time.monotonic() + 5
    while run(executor, name)["hangs"].status != "pass":
        assert time.monotonic() < deadline
    assert executor.hanging == {}


def test_a_module_that_hangs_on_import_costs_only_itself(
    make_wards: MakeExecutor, write_checks: WriteChecks
) -> None:
    """It is named with the place, is killed, and the others are loaded without it."""
    hangs = write_checks("import time\ntime.sleep(60)\n")
    good = write_checks("@healthcheck\ndef good(): pass")
    executor = make_wards()
    assert isinstance(executor, WardExecutor)
    executor._patience_s = 1.0

    began = time.monotonic()
    outcomes = run(executor, hangs, good)

    assert time.monotonic() - began < 5
    assert outcomes["good"].status == "pass"
    (hung,) = [outcome for name, outcome in outcomes.items() if name != "good"]
    assert hung.status == "error"
    assert "did not finish within 1 s" in hung.reason
    assert f"{Path(hangs).name}:4" in hung.reason


def test_wards_die_with_their_parent(write_checks: WriteChecks, tmp_path: Path) -> None:
    """After kill -9 of the parent nothing lives on, also not what holds the interpreter's lock."""
    name = write_checks(hanging("c_call_with_the_lock", "child", timeout_s=50))
    parent = tmp_path / "parent.py"
    parent.write_text(
        "import sys\n"
        "from hospital.running.wards import WardExecutor\n"
        "from hospital.running.executor import Selection\n"
        "executor = WardExecutor(timeout_s=60)\n"
        "print(executor._manner.token, flush=True)\n"
        "executor.run(Selection((sys.argv[1],)), lambda o: print(o.id, flush=True))\n"
    )
    import subprocess
    import sys

    with subprocess.Popen(
        [sys.executable, str(parent), name], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        token = process.stdout.readline().strip()
        assert process.stdout.readline()
        process.kill()
    stand_in = WardExecutor(timeout_s=1, started=(token, None))
    wait_until_gone(stand_in)


def test_closing_cuts_a_run_short(make_wards: MakeExecutor, write_checks: WriteChecks) -> None:
    """Who closes the executor does not wait for a check that hangs; the run raises."""
    name = write_checks(hanging("c_call_with_the_lock", timeout_s=50))
    executor = make_wards()
    caught: list[BaseException] = []
    hung = threading.Event()

    def one() -> None:
        try:
            executor.run(Selection((name,)), lambda _outcome: hung.set())
        except WardError as error:
            caught.append(error)

    thread = threading.Thread(target=one)
    thread.start()
    assert hung.wait(10)
    began = time.monotonic()
    executor.close()
    thread.join(10)

    assert time.monotonic() - began < 2
    assert [str(error) for error in caught] == ["the run was cut short: its executor was closed"]
    assert isinstance(executor, WardExecutor)
    wait_until_gone(executor)


def test_nothing_grows_over_many_runs(make_wards: MakeExecutor, write_checks: WriteChecks) -> None:
    """Descriptors, threads and child processes are no more after 30 runs than after 5."""
    name = write_checks(hanging("sleep", timeout_s=0.1))
    executor = make_wards()
    me = psutil.Process(os.getpid())

    def used() -> tuple[int, int, int]:
        return me.num_fds(), me.num_threads(), len(me.children(recursive=True))

    for _ in range(5):
        run(executor, name)
    before = used()
    for _ in range(25):
        run(executor, name)

    assert all(now <= then for now, then in zip(used(), before, strict=True))
