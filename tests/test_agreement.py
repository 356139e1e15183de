"""Every runner says the same of one module that holds a check of each kind."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

CHECKS = Path(__file__).with_name("agreement_checks.py")
SECRET = "s3c" + "ret"
MASKED = "postgresql://u:***@h/db"

EXPECTED = {
    "passes": "pass",
    "warns": "warn",
    "reveals": "error",
    "exits": "error",
    "sleeps": "error",
    "depends": "skip",
    "softly_fails": "warn",
    "softly_errs": "warn",
    "awaits": "pass",
    "awaits_and_fails": "fail",
    "Cases.test_passes": "pass",
    "Cases.test_fails": "fail",
    "Cases.test_warns": "warn",
    "Cases.test_skips": "skip",
    "Cases.test_is_skipped": "skip",
    "Cases.test_fails_as_expected": "expected_failure",
    "Cases.test_passes_unexpectedly": "unexpected_success",
    "Cases.test_fails_in_a_subtest": "fail",
    "SetUpErrs.test_one": "error",
    "SetUpErrs.test_two": "error",
    "AsyncCase.test_awaits": "pass",
    "AsyncCase.test_awaits_and_fails": "fail",
    "PlainCase.test_awaits": "pass",
    "PlainCase.test_awaits_and_fails": "fail",
    "PlainCase.has_another_name": "fail",
}
"""What is to be said of each check; what is not in it is no check."""

PYTEST_WORDS = {
    "pass": "PASSED",
    "warn": "PASSED",
    "fail": "FAILED",
    "error": "FAILED",
    "skip": "SKIPPED",
    "expected_failure": "XFAIL",
    "unexpected_success": "FAILED",
}
PYTEST_DIFFERS = {
    "sleeps": "PASSED",  # pytest has no timeout of its own
    "depends": "PASSED",  # nor does one test require another
    "SetUpErrs.test_one": "ERROR",  # it has a word for a fixture that fails
    "SetUpErrs.test_two": "ERROR",
}

ANSWER = """
import sys
from wsgiref.util import setup_testing_defaults
from hospital.wsgi import HealthCheckApp

executor, reasons, body = sys.argv[2:]
app = HealthCheckApp(discover=[sys.argv[1]], executor=executor, reasons=reasons)
environ = {"REMOTE_ADDR": "127.0.0.1"}
setup_testing_defaults(environ)
with open(body, "wb") as file:
    file.writelines(app(environ, lambda status, headers: print("answered", status, flush=True)))
app.close()
"""


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run *command* in *folder* with an environment of ``PATH`` alone."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}"
    return subprocess.run(
        command,
        cwd=folder,
        env={"PATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def statuses_of(document: str) -> dict[str, str]:
    """Return the status of each check of a JSON document, under its id without the module."""
    details: list[dict[str, Any]] = json.loads(document)["details"]
    return {each["id"].partition(f"{CHECKS.stem}.")[2]: each["status"] for each in details}


@pytest.mark.parametrize("where", [(), ("--in-process",)], ids=["wards", "in process"])
def test_the_command_line_agrees(tmp_path: Path, where: tuple[str, ...]) -> None:
    """In wards and in process; what a check prints goes to the other stream, masked."""
    result = run(tmp_path, "hospital-cli", *where, "--format", "json", str(CHECKS))

    assert result.returncode == 1
    assert statuses_of(result.stdout) == EXPECTED
    assert f"printed by a check: {MASKED}" in result.stderr
    assert SECRET not in result.stdout + result.stderr


def test_the_text_of_the_command_line_agrees(tmp_path: Path) -> None:
    """The counts of its last line are those of the table."""
    result = run(tmp_path, "hospital-cli", "-v", str(CHECKS))

    counts = Counter(EXPECTED.values())
    told = dict(re.findall(r"([a-z ]+)=(\d+)", result.stdout.splitlines()[-1].partition("(")[2]))
    assert f"Ran {len(EXPECTED)} tests in " in result.stdout
    assert {
        "failures": counts["fail"],
        "errors": counts["error"],
        "unexpected successes": counts["unexpected_success"],
        "warnings": counts["warn"],
        "skipped": counts["skip"],
        "expected failures": counts["expected_failure"],
    } == {word.strip(): int(number) for word, number in told.items()}
    assert MASKED in result.stdout
    assert SECRET not in result.stdout + result.stderr


@pytest.mark.parametrize("executor", ["ward", "thread"])
@pytest.mark.parametrize("reasons", ["everyone", "token"])
def test_http_agrees(tmp_path: Path, executor: str, reasons: str) -> None:
    """Whoever asks, and whatever stands in the log."""
    body = tmp_path / "body.json"

    result = run(tmp_path, "python", "-c", ANSWER, str(CHECKS), executor, reasons, str(body))

    log = result.stdout + result.stderr
    document = body.read_text()
    assert result.returncode == 0, log
    assert "answered 500 " in result.stdout
    assert statuses_of(document) == EXPECTED
    assert (reasons == "everyone") is (MASKED in document)
    assert f"printed by a check: {MASKED}" in log
    assert SECRET not in document + log


def test_pytest_agrees_where_it_has_the_notion(tmp_path: Path) -> None:
    """It differs where the table says so, and its plugin shows no secret."""
    copy = tmp_path / CHECKS.name
    shutil.copy(CHECKS, copy)

    result = run(
        tmp_path,
        *("pytest", "-p", "no:cacheprovider", "-m", "healthcheck", "-v", "--tb=no", "-r", "fw"),
        copy.name,
    )

    words = pytest_words(result.stdout)
    expected = {name: PYTEST_WORDS[status] for name, status in EXPECTED.items()} | PYTEST_DIFFERS
    warned = set(re.findall(rf"(?m)^{copy.name}::(\S+)$", result.stdout))
    assert expected == words
    assert {name for name, status in EXPECTED.items() if status == "warn"} == {
        name.replace("::", ".") for name in warned
    }
    assert f"HealthWarning: second, of {MASKED}" in result.stdout
    assert f"HealthWarning: OSError: soft: cannot reach {MASKED}" in result.stdout
    assert SECRET not in warnings_in(result.stdout)


def pytest_words(output: str) -> dict[str, str]:
    """Return pytest's word for each test; FAILED where it says so of a subtest only."""
    lines = re.findall(rf"(?m)^{CHECKS.name}::(\S+) (PASSED|FAILED|ERROR|SKIPPED|XFAIL)\b", output)
    failed_below = re.findall(rf"(?m)^SUBFAILED\S+ {CHECKS.name}::(\S+) - ", output)
    words = [*lines, *((name, "FAILED") for name in failed_below)]
    return {name.replace("::", "."): word for name, word in words}


def warnings_in(output: str) -> str:
    """Return the warnings summary, the part of pytest's output that our plugin fills."""
    (summary,) = re.findall(r"(?s)=+ warnings summary =+\n(.*?)\n-- Docs:", output)
    return str(summary)
