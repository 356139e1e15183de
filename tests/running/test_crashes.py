"""Checks that end their process: each is told apart, and costs only itself."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from hospital.model import Status
from hospital.running.executor import Selection
from tests.running.running import MakeExecutor, WriteChecks, run

CRASHES = {
    "os._exit(0)": "the check ended its process (exit 0)",
    "os._exit(3)": "the check ended its process (exit 3)",
    "ctypes.string_at(0)": "the check ended its process (signal 11, SIGSEGV)",
    "os.abort()": "the check ended its process (signal 6, SIGABRT)",
    "os.kill(os.getpid(), 9)": "the check ended its process (signal 9, SIGKILL)",
    "os.kill(os.getpid(), 11)": "the check ended its process (signal 11, SIGSEGV)",
    "os.kill(os.getpid(), 6)": "the check ended its process (signal 6, SIGABRT)",
    "os.kill(os.getpid(), 15)": "the check ended its process (signal 15, SIGTERM)",
    "os.closerange(3, 4096)": "the check closed descriptors that are not its own",
    "os.execvp('true', ['true'])": "the check ended its process (exit 0)",
}
RAISES = {
    "raise KeyboardInterrupt": "KeyboardInterrupt",
    "raise SystemExit(0)": "SystemExit: 0",
    "raise GeneratorExit": "GeneratorExit",
    "raise MemoryError": "MemoryError",
    "def f(): f()\n    f()": "RecursionError",
    "class A:\n        def __repr__(self): return repr(self)\n    repr(A())": "RecursionError",
}
HEAD = """
import ctypes, os, subprocess, sys, threading, time
def healthy(number):
    def check(): time.sleep(0.02)
    return healthcheck(check)
for number in range(20):
    globals()[f"healthy_{number}"] = healthy(number)
"""


def crashing(statements: list[str]) -> str:
    """Return a module with 20 healthy checks and one for each of *statements*."""
    checks = [f"@healthcheck\ndef crash_{n}():\n    {body}\n" for n, body in enumerate(statements)]
    return HEAD + "\n".join(checks)


@pytest.mark.parametrize("statement", CRASHES)
def test_a_crash_is_named_and_costs_only_itself(
    statement: str, make_wards: MakeExecutor, write_checks: WriteChecks
) -> None:
    """The reason says how the process ended; twenty checks beside it pass."""
    outcomes = run(make_wards(), write_checks(crashing([statement])))

    crash = outcomes.pop("crash_0")
    assert (crash.status, crash.reason) == ("error", CRASHES[statement])
    assert len(outcomes) == 20
    assert {outcome.status for outcome in outcomes.values()} == {Status.PASS}


def test_all_crashes_at_once_are_told_apart(
    make_wards: MakeExecutor, write_checks: WriteChecks
) -> None:
    """Each of them is found, though they share wards."""
    everything = {**CRASHES, **RAISES}

    outcomes = run(make_wards(), write_checks(crashing(list(everything))))

    for number, text in enumerate(everything.values()):
        crash = outcomes.pop(f"crash_{number}")
        assert crash.status == "error"
        assert crash.reason.startswith(text)
    assert {outcome.status for outcome in outcomes.values()} == {Status.PASS}


@pytest.mark.parametrize("number", [3, 6, 11])
def test_a_signal_to_itself_is_blamed_on_the_check_that_sent_it(
    number: int, make_wards: MakeExecutor, write_checks: WriteChecks
) -> None:
    """Though the call returns, the system takes a while, and another check keeps the lock busy."""
    name = write_checks(
        HEAD
        + f"""
import hashlib
@healthcheck
def busy():
    end = time.time() + 0.3
    while time.time() < end: hashlib.sha256(b"x" * 100_000).digest()
@healthcheck
def ends(): os.kill(os.getpid(), {number})
class Class(HealthCheck):
    def test_a(self): os.kill(os.getpid(), {number})
    def test_b(self): pass
"""
    )
    executor = make_wards()

    for _ in range(5):
        outcomes = run(executor, name)
        red = {name for name, outcome in outcomes.items() if outcome.status != "pass"}
        assert red == {"ends", "test_a"}


def test_a_fork_without_exit_gives_one_outcome(
    make_wards: MakeExecutor, write_checks: WriteChecks
) -> None:
    """The child that comes back from a check says nothing and ends."""
    name = write_checks(
        """
        import os
        @healthcheck
        def forks(): os.fork()
        @healthcheck
        def forks_and_fails():
            os.fork()
            assert False, "both"
        """
    )

    report = make_wards().run(Selection((name,)))

    statuses = [(o.id.rpartition(".")[2], o.status.value) for o in report.outcomes]
    assert sorted(statuses) == [("forks", "pass"), ("forks_and_fails", "fail")]


def test_what_checks_leave_behind_is_ended(
    make_wards: MakeExecutor, write_checks: WriteChecks
) -> None:
    """Children, also in sessions of their own, and threads do not outlive the run."""
    name = write_checks(
        """
        import subprocess, threading, time
        @healthcheck
        def leaves_a_child(): subprocess.Popen(["sleep", "91.5"])
        @healthcheck
        def leaves_a_session(): subprocess.Popen(["setsid", "sleep", "92.5"])
        @healthcheck
        def leaves_a_thread(): threading.Thread(target=time.sleep, args=(93,)).start()
        """
    )

    outcomes = run(make_wards(), name)

    assert {outcome.status for outcome in outcomes.values()} == {Status.PASS}
    deadline = time.monotonic() + 3
    while left := _sleeping("91.5", "92.5"):
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


def test_a_session_without_our_environment_is_ended_too(
    write_checks: WriteChecks, tmp_path: Path
) -> None:
    """A program of ours adopts orphans, so that even a cleaned environment is no way out."""
    name = write_checks(
        """
        import subprocess
        @healthcheck
        def flees(): subprocess.Popen(["setsid", "env", "-i", "sleep", "94.5"])
        """
    )
    program = tmp_path / "program.py"
    program.write_text(
        "import sys\n"
        "from hospital.running.sweep import adopt_orphans\n"
        "from hospital.running.wards import WardExecutor\n"
        "from hospital.running.executor import Selection\n"
        "adopt_orphans()\n"
        "executor = WardExecutor(timeout_s=5)\n"
        "executor.run(Selection((sys.argv[1],)))\n"
        "executor.close()\n"
    )

    subprocess.run([sys.executable, str(program), name], check=True, timeout=30)

    deadline = time.monotonic() + 3
    while left := _sleeping("94.5"):
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


def test_a_module_that_ends_its_process_on_import_costs_only_itself(
    make_wards: MakeExecutor, write_checks: WriteChecks
) -> None:
    """os._exit(0) at import is an error with the module's name; the other module runs."""
    bad = write_checks("import os\nos._exit(0)")
    good = write_checks("@healthcheck\ndef good(): pass")

    outcomes = run(make_wards(), bad, good)

    assert outcomes.pop("good").status == "pass"
    ((name, crash),) = outcomes.items()
    assert name == Path(bad).stem
    assert crash.status == "error"
    assert "the module ended its process (exit 0)" in crash.reason


def test_an_isolated_check_runs_in_a_process_of_its_own(
    make_wards: MakeExecutor, write_checks: WriteChecks
) -> None:
    """It shares its process with no other check."""
    name = write_checks(
        """
        import os
        @healthcheck(isolated=True)
        def apart(): hospital.measure("pid", os.getpid())
        @healthcheck(isolated=True)
        def apart_too(): hospital.measure("pid", os.getpid())
        @healthcheck
        def ordinary(): hospital.measure("pid", os.getpid())
        """
    )

    outcomes = run(make_wards(), name)

    assert len({outcome.measurements[0].value for outcome in outcomes.values()}) == 3


def test_a_module_with_threads_of_its_own_is_not_forked(
    make_wards: MakeExecutor, write_checks: WriteChecks
) -> None:
    """Forking a process with threads may deadlock: isolated checks start a clean one then."""
    name = write_checks(
        """
        import threading, time
        threading.Thread(target=time.sleep, args=(30,), daemon=True).start()
        @healthcheck(isolated=True)
        def apart(): assert threading.active_count() > 1
        """
    )

    assert run(make_wards(), name)["apart"].status == "pass"


def test_an_edited_file_is_noticed_by_the_next_run(
    make_wards: MakeExecutor, write_checks: WriteChecks
) -> None:
    """Within the same second and at the same size too; a fixed syntax error as well."""
    name = write_checks("@healthcheck\ndef check(): assert 1 == 1")
    path = Path(name)
    executor = make_wards()
    assert run(executor, name)["check"].status == "pass"

    path.write_text(path.read_text().replace("1 == 1", "1 == 2"))
    assert run(executor, name)["check"].status == "fail"

    path.write_text(path.read_text().replace("1 == 2", "1 == = 2"))
    assert run(executor, name)[path.stem].status == "error"

    path.write_text(path.read_text().replace("1 == = 2", "2 == 2"))
    assert run(executor, name)["check"].status == "pass"


def test_wards_stay_warm_between_runs(make_wards: MakeExecutor, write_checks: WriteChecks) -> None:
    """A second run of healthy checks imports nothing again."""
    name = write_checks(
        """
        import os
        @healthcheck
        def check(): hospital.measure("pid", os.getpid())
        """
    )
    executor = make_wards()

    pids = {run(executor, name)["check"].measurements[0].value for _ in range(3)}

    assert len(pids) == 1


def test_assert_asserts_whatever_the_parent_was_started_with(
    write_checks: WriteChecks, tmp_path: Path
) -> None:
    """Under python -O a failing check still fails in wards, and is an error in threads."""
    name = write_checks("@healthcheck\ndef check(): assert 1 == 2")
    program = tmp_path / "program.py"
    program.write_text(
        "import sys\n"
        "from hospital.running.choose import make_executor\n"
        "from hospital.running.executor import Selection\n"
        "for kind in 'ward', 'thread':\n"
        "    executor = make_executor(kind, timeout_s=5)\n"
        "    report = executor.run(Selection((sys.argv[1],)))\n"
        "    print(*[o.status.value for o in report.outcomes])\n"
        "    executor.close()\n"
    )

    done = subprocess.run(
        [sys.executable, "-O", str(program), name],
        check=True,
        timeout=30,
        capture_output=True,
        text=True,
        env={"PYTHONOPTIMIZE": "1"},
    )

    assert done.stdout.split() == ["fail", "error"]


def test_a_forked_parent_starts_wards_of_its_own(write_checks: WriteChecks, tmp_path: Path) -> None:
    """A pre-forking server's children do not fight over the wards of their parent."""
    name = write_checks("@healthcheck\ndef check(): pass")
    program = tmp_path / "program.py"
    program.write_text(
        "import os, sys\n"
        "from hospital.running.wards import WardExecutor\n"
        "from hospital.running.executor import Selection\n"
        "executor = WardExecutor(timeout_s=5)\n"
        "def run(): print(executor.run(Selection((sys.argv[1],))).outcomes[0].status, flush=True)\n"
        "run()\n"
        "if not os.fork():\n"
        "    run()\n"
        "    executor.close()\n"
        "    os._exit(0)\n"
        "os.wait()\n"
        "run()\n"
        "executor.close()\n"
    )

    done = subprocess.run(
        [sys.executable, str(program), name],
        check=True,
        timeout=30,
        capture_output=True,
        text=True,
    )

    assert done.stdout.split() == ["pass"] * 3


def test_wards_that_cannot_start_are_one_clear_error(
    write_checks: WriteChecks, tmp_path: Path
) -> None:
    """A Python that dies at once is said so, with its last word; it is not started for ever."""
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho out of order >&2\nexit 9\n")
    python.chmod(0o755)
    name = write_checks("@healthcheck\ndef check(): pass")
    program = tmp_path / "program.py"
    program.write_text(
        "import sys\n"
        f"sys.executable = {str(python)!r}\n"
        "from hospital.errors import WardError\n"
        "from hospital.running.wards import WardExecutor\n"
        "from hospital.running.executor import Selection\n"
        "executor = WardExecutor(timeout_s=5)\n"
        "try:\n"
        "    executor.run(Selection((sys.argv[1],)))\n"
        "except WardError as error:\n"
        "    print(error)\n"
        "executor.close()\n"
    )

    done = subprocess.run(
        [sys.executable, str(program), name],
        check=True,
        timeout=30,
        capture_output=True,
        text=True,
    )

    assert done.stdout.startswith("wards do not start here: it ended its process (exit 9)")


def test_a_ward_that_is_stopped_before_it_begins_is_replaced(
    make_wards: MakeExecutor, write_checks: WriteChecks
) -> None:
    """Somebody sent SIGSTOP to a warm ward: the next run gets its outcomes all the same."""
    name = write_checks(
        """
        import os
        @healthcheck
        def check(): hospital.measure("pid", os.getpid())
        """
    )
    executor = make_wards()
    pid = int(run(executor, name)["check"].measurements[0].value)
    os.kill(pid, signal.SIGSTOP)

    outcome = run(executor, name)["check"]

    assert outcome.status == "pass"
    assert not psutil.pid_exists(pid)


def _sleeping(*seconds: str) -> list[str]:
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        line = process.info["cmdline"] or []
        if line[:1] == ["sleep"] and line[1:2] and line[1] in seconds:
            found.append(" ".join(line))
    return found
