"""The command as a process: transcripts, streams, signals, and what is left afterwards."""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.conftest import COMMAND, DEADLINE_S, Cli, WriteChecks, environment, until

IN_BOTH = pytest.mark.parametrize("where", [(), ("--in-process",)], ids=["wards", "in-process"])

MIXED = """
import os
import unittest

from hospital import HealthCheck, healthcheck, measure, warn

@healthcheck
def holds():
    "It holds."

@healthcheck(fix="mend it", owner="team a")
def fails():
    "It fails."
    assert False, "postgresql://u:s3cret@h/db is away"

@healthcheck
def warns():
    warn("nearly full")
    measure("used", 0.97, "1", warn="0.9")

@healthcheck(severity="warning")
def is_soft():
    raise OSError("unreachable")

@healthcheck(requires="checks.fails")
def depends():
    pass

class Cases(HealthCheck):
    @unittest.expectedFailure
    def test_known(self):
        self.fail("known")

    @unittest.expectedFailure
    def test_mended(self):
        pass

    @unittest.skip("not here")
    def test_elsewhere(self):
        pass

    def test_errs(self):
        raise SystemExit(0)
"""

NOISY = """
import os, sys
from hospital import healthcheck

print("while importing")

@healthcheck
def is_noisy():
    print("from print")
    sys.stderr.write("from stderr\\n")
    os.write(1, b"from descriptor 1\\n")
    os.system("echo from a child")
"""

PRINTING = """
from hospital import healthcheck

@healthcheck
def prints():
    print("from print")
"""

HANGING = """
import os, subprocess, time
from pathlib import Path
from hospital import healthcheck

@healthcheck
def fine():
    "All is well."

@healthcheck(requires="checks.fine")
def hangs():
    "It answers."
    child = subprocess.Popen(["sleep", "60"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    Path("pids").write_text(f"{os.getpid()} {child.pid}")
    time.sleep(600)
"""


@contextmanager
def started(folder: Path, *arguments: str) -> Generator[subprocess.Popen[str]]:
    """Start the command in *folder*, and make sure that it ends."""
    with subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=folder,
        env=environment(),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def shell(folder: Path, script: str) -> "subprocess.CompletedProcess[str]":
    """Run *script* in a shell, with ``cli`` for the command."""
    command = " ".join(COMMAND)
    return subprocess.run(
        ["bash", "-c", f'cli() {{ {command} "$@"; }}; {script}'],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] not in "ZX"
    except OSError:
        return False


@IN_BOTH
def test_the_seed_s_transcript_comes_out_to_the_letter(cli: Cli, where: tuple[str, ...]) -> None:
    """But for the time, nothing differs from the documentation of 2014."""
    result = cli(*where, "hospital.healthchecks.predictable")

    timeless = re.sub(r"\d\.\d{3}s", "0.001s", result.stdout)
    assert f".\n{'-' * 70}\nRan 1 test in 0.001s\n\nOK\n" == timeless
    assert (0, "") == (result.returncode, result.stderr)


@IN_BOTH
def test_statuses_of_all_kinds_are_told_apart(
    cli: Cli, write_checks: WriteChecks, where: tuple[str, ...]
) -> None:
    """One module with everything: words, counts, remedy, owner; no secret."""
    write_checks(MIXED)

    result = cli(*where, "-v", "checks")

    first, *rest = result.stdout.split("=" * 70)
    assert {
        "It holds. (checks.holds) ... ok",
        "It fails. (checks.fails) ... FAIL: postgresql://u:***@h/db is away",
        "checks.warns ... WARN: nearly full",
        "checks.is_soft ... WARN: OSError: unreachable",
        "checks.depends ... skipped 'requires checks.fails, which is fail'",
        "checks.Cases.test_known ... expected failure",
        "checks.Cases.test_mended ... unexpected success",
        "checks.Cases.test_elsewhere ... skipped 'not here'",
        "checks.Cases.test_errs ... ERROR: SystemExit: 0",
    } == {re.split(r" \[| \(checks\.py", each)[0] for each in first.strip().splitlines()}
    assert "used 0.97]" in first
    assert 5 == len(rest)
    assert "fix: mend it\nowner: team a\n" in result.stdout
    assert result.stdout.endswith(
        "\nFAILED (failures=1, errors=1, unexpected successes=1, warnings=2, skipped=2, "
        "expected failures=1)\n"
    )
    assert "s3cret" not in result.stdout + result.stderr
    assert 1 == result.returncode


@IN_BOTH
def test_noise_never_gets_into_a_document(
    cli: Cli, write_checks: WriteChecks, where: tuple[str, ...]
) -> None:
    """Whatever checks write, and however, standard output is one strict JSON document."""
    write_checks(NOISY)

    result = cli(*where, "--format", "json", "checks")

    assert "pass" == json.loads(result.stdout, parse_constant=pytest.fail)["status"]
    assert "checks.is_noisy: from print\n" in result.stderr
    assert "checks.is_noisy: from stderr\n" in result.stderr
    for text in ("while importing", "from descriptor 1", "from a child"):
        assert text in result.stderr
    assert 0 == result.returncode


@IN_BOTH
def test_a_reader_that_leaves_is_no_fault(
    tmp_path: Path, write_checks: WriteChecks, where: tuple[str, ...]
) -> None:
    """``| head -1`` gets its line, nobody complains, and the verdict counts all the same."""
    write_checks(MIXED)
    command = " ".join(["cli", *where])

    first = shell(tmp_path, f"{command} -v checks | head -1; echo ${{PIPESTATUS[0]}}")
    none = shell(tmp_path, f"{command} hospital.healthchecks.predictable | true; echo $PIPESTATUS")

    line, status = first.stdout.splitlines()
    assert "1" == status
    assert " ... " in line
    assert ("0\n", "") == (none.stdout, none.stderr)
    assert not first.stderr


@IN_BOTH
@pytest.mark.parametrize(
    ("streams", "expected"),
    [
        ("<&-", 0),
        (">&-", 0),
        ("2>&-", 0),
        ("<&- >&- 2>&-", 0),
        (">/dev/full", 1),
        ("2>/dev/full", 0),
    ],
)
def test_streams_may_be_closed_or_full(
    tmp_path: Path, write_checks: WriteChecks, where: tuple[str, ...], streams: str, expected: int
) -> None:
    """A closed stream is left alone; a report that cannot be written is never green."""
    write_checks(PRINTING)

    result = shell(tmp_path, f"cli {' '.join(where)} checks {streams}")

    assert expected == result.returncode
    assert "Traceback" not in result.stderr
    if expected:
        assert "error: cannot write the report: no space left on device" in result.stderr


@IN_BOTH
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_reports_what_is_known_and_leaves_nothing(
    tmp_path: Path, write_checks: WriteChecks, where: tuple[str, ...], number: signal.Signals
) -> None:
    """The finished checks are reported, the hanging one is named, its processes are gone."""
    write_checks(HANGING)
    pids = tmp_path / "pids"

    with started(tmp_path, *where, "--timeout", "60", "checks") as process:
        until(lambda: pids.exists() and len(pids.read_text().split()) == 2, "the check hangs")
        process.send_signal(number)
        out, err = process.communicate(timeout=DEADLINE_S)
    check, child = map(int, pids.read_text().split())
    if where:
        os.kill(child, signal.SIGKILL)  # in process nobody owns what a check has started

    cause = f"interrupted by {number.name}: 1 check had not finished: checks.hangs"
    assert 1 == process.returncode
    assert out.startswith(".E\n")
    assert cause in out
    assert f"hospital-cli: {cause}\n" == err
    until(lambda: not is_alive(check), "the check's process is gone")
    until(lambda: not is_alive(child), "the child of the check is gone")


@IN_BOTH
def test_a_module_that_hangs_while_it_is_imported_can_be_interrupted(
    tmp_path: Path, write_checks: WriteChecks, where: tuple[str, ...]
) -> None:
    """Even where the import takes the interruption for a fault of the module."""
    write_checks("import time\nfrom pathlib import Path\nPath('pids').touch()\ntime.sleep(600)\n")

    with started(tmp_path, *where, "checks") as process:
        until((tmp_path / "pids").exists, "the module hangs")
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=DEADLINE_S)

    assert 1 == process.returncode
    assert "interrupted by SIGTERM: the checks were still being loaded" in err
    assert "FAILED (errors=1)" in out


def test_an_interrupted_document_is_whole(tmp_path: Path, write_checks: WriteChecks) -> None:
    """With --format json a Ctrl-C leaves one strict document that does not say pass."""
    write_checks(HANGING)

    with started(tmp_path, "--format", "json", "checks") as process:
        until((tmp_path / "pids").exists, "the check hangs")
        process.send_signal(signal.SIGINT)
        out, _err = process.communicate(timeout=DEADLINE_S)

    assert "fail" == json.loads(out)["status"]
    assert 1 == process.returncode


def test_a_second_ctrl_c_ends_at_once(tmp_path: Path, write_checks: WriteChecks) -> None:
    """Even where nobody reads the report that the first one asked for."""
    source = "from hospital import healthcheck\n"
    for number in range(100):
        source += f"@healthcheck\ndef fails_{number}(): assert False, 'y ' * 1500\n"
    write_checks(source + HANGING)

    with started(tmp_path, "checks") as process:
        until((tmp_path / "pids").exists, "the check hangs")
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        assert "interrupted by SIGINT" in process.stderr.readline()
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=0.5)  # the pipe is full
        process.send_signal(signal.SIGINT)
        process.wait(timeout=2)

    assert 1 == process.returncode


@IN_BOTH
def test_what_a_check_leaves_running_does_not_delay_the_end(
    tmp_path: Path, write_checks: WriteChecks, where: tuple[str, ...]
) -> None:
    """Threads that are no daemons and slow goodbyes do not keep the command."""
    write_checks(
        """
        import atexit, threading, time
        from hospital import healthcheck

        @healthcheck
        def leaves_a_thread():
            threading.Thread(target=time.sleep, args=(600,)).start()
            atexit.register(time.sleep, 600)

        @healthcheck(timeout=0.3)
        def hangs():
            time.sleep(600)
        """
    )
    began = time.monotonic()

    with started(tmp_path, *where, "checks") as process:
        out, _err = process.communicate(timeout=DEADLINE_S)

    assert 1 == process.returncode
    assert "timed out after 300 ms" in out
    assert time.monotonic() - began < 5


def test_checks_are_imported_from_the_working_folder(
    tmp_path: Path, write_checks: WriteChecks
) -> None:
    """The console script finds what ``python -m`` finds."""
    write_checks("from hospital import healthcheck\n\n@healthcheck\ndef fine(): pass\n")
    script = Path(COMMAND[0]).parent / "hospital-cli"
    if not script.exists():
        pytest.skip("no hospital-cli beside this Python; install the project: pip install -e .")

    result = subprocess.run(
        [script, "checks"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )

    assert (0, "") == (result.returncode, result.stderr)


IMPORTED = """
import io, sys
from hospital.cli import main
code = main(args={arguments!r}, stream=io.StringIO())
print(code, *sorted(sys.modules))
"""


@pytest.mark.parametrize(
    ("arguments", "absent"),
    [
        (["--help"], {"json", "unittest", "subprocess", "threading", "socket"}),
        (["hospital.healthchecks.predictable"], {"unittest", "hospital.formats.json"}),
        (["--in-process", "hospital.healthchecks.predictable"], {"json", "socket"}),
    ],
    ids=["help", "wards", "in-process"],
)
def test_nothing_heavy_is_imported_before_it_is_needed(
    tmp_path: Path, arguments: list[str], absent: set[str]
) -> None:
    """The command starts at once: what another format or executor needs stays away."""
    heavy = {"asyncio", "gevent", "logging", "psutil", "structlog", "subprocess", "circus"}

    result = subprocess.run(
        [COMMAND[0], "-c", IMPORTED.format(arguments=arguments)],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=True,
    )

    code, *modules = result.stdout.split()
    assert "0" == code
    assert set() == (heavy | absent) & set(modules)
