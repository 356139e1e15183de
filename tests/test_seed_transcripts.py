"""The page of documentation that hospital started from in 2014: its commands work for real.

The page's transcripts stand in ``seed_page.py``. What is masked: times, versions and
platform, the list of plugins, the width of rules. What other programs print otherwise today is
replaced in the open, line by line; counts and everything of hospital's own are compared as
they are.
"""

import json
import os
import re
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import own_network
from tests.own_network import OwnNetwork, poll
from tests.seed_page import (
    BODY,
    CHAUSSETTE,
    CHAUSSETTE_PORT,
    CHAUSSETTE_TWO_LINES,
    CIRCUS,
    CIRCUS_PORT,
    CURL,
    GUNICORN,
    GUNICORN_PORT,
    GUNICORN_TWO_LINES,
    HOSPITAL_CLI,
    NOSE_CHECKS,
    NOSE_OTHERS,
    PYTEST_CHECKS,
    PYTEST_OTHERS,
    SERVE,
    SERVING,
)

PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}"
ENVIRONMENT = {"PATH": PATH, "PYTHONUNBUFFERED": "1"}

# pytest tells of deselected tests where it tells of collected ones since 3.x.
PYTEST_TODAY = {
    PYTEST_CHECKS: {
        "collected 3 items": "collected 3 items / 1 deselected / 2 selected",
        """= 1 tests deselected by "-m 'healthcheck'" =""": None,
    },
    PYTEST_OTHERS: {
        "collected 3 items": "collected 3 items / 2 deselected / 1 selected",
        """= 2 tests deselected by "-m 'not healthcheck'" =""": None,
    },
}
PYTEST_HEADER_TODAY = ("rootdir: ", "hypothesis profile ")
"""Lines that pytest, and plugins of others, put in the header today."""

FOO = """
    import unittest
    import hospital

    @hospital.healthcheck
    def test_database_answers():
        pass

    class AccountTest(unittest.TestCase):
        @hospital.healthcheck
        def test_accounts_are_open(self):
            pass

        def test_sum(self):
            self.assertEqual(4, 2 + 2)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with ``foo/test_foo.py``: three tests, of which two are health checks."""
    foo = tmp_path / "foo"
    foo.mkdir()
    (foo / "test_foo.py").write_text(textwrap.dedent(FOO))
    return tmp_path


def run(transcript: str, folder: Path) -> list[str]:
    """Run the command line of *transcript*, literally, and return the lines it prints."""
    line = command_of(transcript)
    result = subprocess.run(
        ["/bin/sh", "-c", line],
        cwd=folder,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=60,
    )

    assert result.returncode == 0, result.stdout
    return result.stdout.splitlines()


def command_of(transcript: str) -> str:
    """Return what follows the prompt."""
    return transcript.splitlines()[0].removeprefix("$ ")


def printed_in(transcript: str) -> list[str]:
    """Return the lines below the command."""
    return transcript.splitlines()[1:]


def masked(lines: list[str]) -> list[str]:
    """Return *lines* without times and without the width of rules."""
    text = "\n".join(lines)
    text = re.sub(r"\bin \d+\.\d+ ?s(econds)?\b", "in <time>", text)
    text = re.sub(r"(?m)^-{40,}$", "<rule>", text)
    text = re.sub(r"(?m)^=+ (.*?) =+$", r"= \1 =", text)
    return text.split("\n")


def masked_pytest(lines: list[str]) -> list[str]:
    """Return *lines* without platform, versions, other plugins and the column of percentages."""
    text = "\n".join(line for line in lines if not line.startswith(PYTEST_HEADER_TODAY))
    text = re.sub(r"(?m)^platform \w+ -- Python \d\S*.* pytest-\d.*$", "platform <versions>", text)
    text = re.sub(
        r"(?m)^plugins: (?:.*, )?hospital(?:-\d[^\s,]*)?(?:, .*)?$", "plugins: hospital", text
    )
    text = re.sub(r"(?m) +\[100%\]$", "", text)
    return masked(text.split("\n"))


@pytest.mark.parametrize("transcript", [HOSPITAL_CLI, NOSE_CHECKS, NOSE_OTHERS], ids=command_of)
def test_commands_print_what_they_printed(transcript: str, folder: Path) -> None:
    """hospital-cli, and nosetests as its successor pynose provides it."""
    lines = run(transcript, folder)

    assert masked(printed_in(transcript)) == masked(lines)


@pytest.mark.parametrize("transcript", [PYTEST_CHECKS, PYTEST_OTHERS], ids=command_of)
def test_pytest_prints_what_it_printed(transcript: str, folder: Path) -> None:
    """``py.test`` is what pytest was called then, and a command that it still installs."""
    expected = masked_pytest(printed_in(transcript))
    for then, today in PYTEST_TODAY[transcript].items():
        place = expected.index(then)
        expected[place : place + 1] = [] if today is None else [today]

    lines = run(transcript, folder)

    assert expected == masked_pytest(lines)


@pytest.mark.parametrize("transcript", [PYTEST_CHECKS, PYTEST_OTHERS], ids=command_of)
def test_pytest_under_its_name_of_today_prints_the_same(transcript: str, folder: Path) -> None:
    """``pytest`` and ``py.test`` are one program."""
    then = run(transcript, folder)
    today = run(transcript.replace("py.test", "pytest"), folder)

    assert masked_pytest(then) == masked_pytest(today)


@pytest.fixture
def server(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """Run ``hospital-serve`` as the page does, and end it with SIGTERM."""
    process = subprocess.Popen(
        ["/bin/sh", "-c", f"exec {SERVE}"],
        cwd=tmp_path,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=20)
        finally:
            process.kill()
            process.wait(timeout=20)
            assert process.stdout is not None
            process.stdout.close()


def curl(line: str, folder: Path) -> str:
    """Run a command line that begins with ``curl``, literally, and return what it prints."""
    result = subprocess.run(
        ["/bin/sh", "-c", line],
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    if "not found" in result.stderr:
        pytest.skip("curl is missing; enable this test with: apt-get install curl")
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_hospital_serve_answers_as_it_did(server: "subprocess.Popen[str]", tmp_path: Path) -> None:
    """The first line, the head that curl shows, and the JSON; and SIGTERM ends it with 0."""
    assert server.stdout is not None
    said = server.stdout.readline()
    assert f"{SERVING}\n" == said, said + (server.stdout.read() if server.poll() else "")

    head = curl(command_of(CURL), tmp_path)
    body = curl("curl -sS http://localhost:1515/", tmp_path)
    server.send_signal(signal.SIGTERM)

    assert masked_head(CURL.partition("\n")[2]) <= masked_head(head)
    assert_documented(body)
    assert len(body.encode()) == int(re.findall(r"(?mi)^content-length: (\d+)", head)[0])
    assert server.wait(timeout=20) == 0


def assert_documented(body: str) -> None:
    """Compare a served document with the page's; ours says more, in the same order."""
    documented, served = json.loads(BODY), json.loads(body)
    assert documented["status"] == served["status"]
    assert len(documented["details"]) == len(served["details"])
    assert documented["details"][0].items() <= served["details"][0].items()
    assert documented["summary"].items() <= served["summary"].items()
    assert list(documented) == [key for key in served if key in documented]


def masked_head(head: str) -> set[str]:
    """Return the lines of *head* without versions, the date, the program and the length.

    The page's server spoke HTTP/1.0; ours speaks 1.1.
    """
    head = re.sub(r"(?m)^HTTP/1\.[01] ", "HTTP/1.x ", head.replace("\r\n", "\n"))
    head = re.sub(r"(?mi)^Date: \w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT$", "Date: <time>", head)
    head = re.sub(r"(?mi)^Server: .*\n", "", head)
    head = re.sub(r"(?mi)^Content-Length: \d+$", "Content-Length: <length>", head)
    return set(filter(None, head.split("\n")))


@pytest.fixture
def _own_network() -> None:
    """Skip aloud where a documented port cannot be had for certain."""
    if reason := own_network.missing():
        pytest.skip(reason)


TERMINATED = 128 + signal.SIGTERM
RED = """
from pathlib import Path

from hospital import healthcheck


@healthcheck
def is_not_red():
    assert not Path("red").exists()
"""


@pytest.mark.parametrize(
    ("line", "port", "code"),
    [
        (GUNICORN_TWO_LINES, GUNICORN_PORT, 0),
        (GUNICORN, GUNICORN_PORT, 0),
        (CHAUSSETTE_TWO_LINES, CHAUSSETTE_PORT, TERMINATED),
        (CHAUSSETTE, CHAUSSETTE_PORT, TERMINATED),
    ],
    ids=["gunicorn in two lines", "gunicorn", "chaussette in two lines", "chaussette"],
)
@pytest.mark.usefixtures("_own_network")
def test_servers_of_others_serve_what_is_documented(
    line: str, port: int, code: int, tmp_path: Path
) -> None:
    """On their default ports, with their default workers; SIGTERM leaves no process behind.

    chaussette's default server has no handler for the signal, which ends it.
    """
    with OwnNetwork(line, tmp_path) as machine:
        status, body = machine.curl(port)
        wait_for_workers(machine)
        ended = machine.terminate()

    assert 200 == status
    assert_documented(body)
    assert code == ended, machine.printed


@pytest.mark.parametrize(
    ("line", "port", "code"),
    [
        ("gunicorn -w 4 hospital.wsgi:application --preload", GUNICORN_PORT, 0),
        ("gunicorn -w 4 -k gthread --threads 4 hospital.wsgi:application", GUNICORN_PORT, 0),
        ("gunicorn -w 4 -k gevent hospital.wsgi:application", GUNICORN_PORT, 0),
        ("chaussette --backend waitress hospital.wsgi.application", CHAUSSETTE_PORT, TERMINATED),
        (
            "python -m hospital.serving.worker --backend gevent hospital.wsgi.application",
            CHAUSSETTE_PORT,
            0,
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.usefixtures("_own_network")
def test_other_workers_serve_green_and_red(line: str, port: int, code: int, tmp_path: Path) -> None:
    """200 and 500, in wards too, which begin after a fork and end with the worker."""
    (tmp_path / "checks.py").write_text(RED)
    checks = {"HEALTHCHECKS": "checks", "HOSPITAL_EXECUTOR": "ward", "PYTHONPATH": str(tmp_path)}
    with OwnNetwork(line, tmp_path, **checks) as machine:
        green, _ = machine.curl(port)
        (tmp_path / "red").touch()
        red, body = machine.curl(port)
        wait_for_workers(machine)
        ended = machine.terminate()

    assert (200, 500) == (green, red), body
    assert code == ended, machine.printed


def wait_for_workers(machine: OwnNetwork) -> None:
    """Wait until each worker of gunicorn heeds signals; one that comes before is lost to it.

    A worker heeds SIGABRT last of all, and gunicorn's first process does not.
    """
    if "gunicorn" not in Path(f"/proc/{machine.server()}/cmdline").read_text():
        return

    def all_heed() -> bool:
        heeded = [re.findall(r"SigCgt:\s*(\w+)", status_of(pid)) for pid in machine.workers()]
        return len(heeded) == 4 and all(
            int(mask, 16) >> (signal.SIGABRT - 1) & 1 for (mask,) in heeded
        )

    poll(all_heed)


def status_of(pid: int) -> str:
    """Return what the system says of a process."""
    return Path(f"/proc/{pid}/status").read_text()


@pytest.mark.usefixtures("_own_network")
def test_circus_serves_the_sample(tmp_path: Path) -> None:
    """The sample as it is, but for its two paths: port 2014, logs of both streams, a clean end."""
    sample = CIRCUS.replace("path/to/your-virtualenv", sys.prefix)
    sample = sample.replace("/var/log/chaussette", str(tmp_path))
    (tmp_path / "circus.ini").write_text(sample)

    with OwnNetwork("circusd circus.ini", tmp_path) as machine:
        status, body = machine.curl(CIRCUS_PORT)
        log = poll((tmp_path / "wsgi_healthchecks_err.log").read_text)
        ended = machine.terminate()

    assert 200 == status
    assert_documented(body)
    assert re.match(r"\[\d{4}/\d\d/\d\d \| \d\d:\d\d:\d\d\]", log), log
    assert (tmp_path / "wsgi_healthchecks_out.log").exists()
    assert 0 == ended, machine.printed
