"""A worker shows that it lives, what it is doing, and whether it is of any use."""

import json
import os
import signal
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hospital.serving import beat
from tests.serving.conftest import Worker

StartWorker = Callable[..., Worker]
TALKATIVE = """
import logging
import threading
import warnings

import gevent


def fail():
    raise ValueError("password=s3cret")


def app(environ, start_response):
    {
        "/greenlet": lambda: gevent.spawn(fail).join(),
        "/thread": lambda: threading.Thread(target=fail, name="their-thread").start(),
        "/warning": lambda: warnings.warn("careful"),
        "/logging": lambda: logging.getLogger("shop").error("it is late"),
        "/asyncio": lambda: logging.getLogger("asyncio").warning("slow callback"),
        "/callback": lambda: gevent.get_hub().loop.run_callback(fail),
    }.get(environ["PATH_INFO"], lambda: None)()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello world"]
"""


@pytest.fixture
def folder(tmp_path: Path, environment: dict[str, str]) -> Path:
    """Return the folder of heartbeat files, which the workers know."""
    path = tmp_path / "beats"
    path.mkdir(0o700)
    environment["HOSPITAL_HEARTBEAT_DIR"] = str(path)
    return path


def said_by(worker: Worker, folder: Path) -> beat.Beat | None:
    return beat.read(beat.path_of(folder, worker.process.pid))


def wait_for_state(worker: Worker, folder: Path, state: str) -> beat.Beat:
    def said() -> beat.Beat | None:
        found = said_by(worker, folder)
        return found if found is not None and found.state == state else None

    found: beat.Beat = worker.wait_for(said)
    return found


def beats_of(worker: Worker, folder: Path) -> int:
    return beat.path_of(folder, worker.process.pid).stat().st_mtime_ns


def test_a_worker_beats_until_it_ends(start_worker: StartWorker, folder: Path) -> None:
    """Serving, draining, gone; its file is its own, and says which process it means."""
    worker = start_worker()
    serving = wait_for_state(worker, folder, beat.SERVING)
    path = beat.path_of(folder, worker.process.pid)
    mode = stat.S_IMODE(path.stat().st_mode)
    first = beats_of(worker, folder)
    worker.wait_for(lambda: beats_of(worker, folder) != first)
    with worker.connect() as connection:
        connection.sendall(b"GET /slow?0.5 HTTP/1.1\r\nHost: test\r\n\r\n")
        worker.wait_for_request()
        worker.terminate()
        draining = wait_for_state(worker, folder, beat.DRAINING)
        worker.read_to_end(connection)

    assert 0 == worker.finish()
    assert beat.Beat("", serving.started, beat.SERVING) == serving
    assert beat.Beat("", serving.started, beat.DRAINING) == draining
    assert 0o600 == mode
    assert [] == list(folder.iterdir())


def test_a_worker_whose_loop_hangs_does_not_beat(start_worker: StartWorker, folder: Path) -> None:
    """The beat comes from the loop that answers."""
    worker = start_worker()
    wait_for_state(worker, folder, beat.SERVING)
    with worker.connect() as connection:
        connection.sendall(b"GET /block?60 HTTP/1.1\r\nHost: test\r\n\r\n")
        worker.wait_for_request()
        last = beats_of(worker, folder)

        seen = set()
        end = time.monotonic() + 2.5 * beat.INTERVAL_S
        while time.monotonic() < end:
            seen.add(beats_of(worker, folder))
            time.sleep(0.05)

    assert {last} == seen


def test_another_backend_beats_too(start_worker: StartWorker, folder: Path) -> None:
    """Whoever chooses one of chaussette's own is watched all the same."""
    worker = start_worker("--backend", "wsgiref")

    wait_for_state(worker, folder, beat.SERVING)

    first = beats_of(worker, folder)
    worker.wait_for(lambda: beats_of(worker, folder) != first)
    assert b"hello world" in worker.get("/")


def test_a_bad_setting_does_not_stop_the_beat(
    start_worker: StartWorker, folder: Path, environment: dict[str, str]
) -> None:
    """The settings that can be used count; the fault is that of the application."""
    environment["HOSPITAL_CHACHE_TTL"] = "5"

    worker = start_worker(application="hospital.wsgi.application")

    said = wait_for_state(worker, folder, beat.SERVING)
    assert "did you mean 'HOSPITAL_CACHE_TTL'?" in str(said.fault)


@pytest.mark.parametrize(
    ("named", "fault"),
    [
        (None, "no health checks are named; set HEALTHCHECKS"),
        ("no_such_checks", "no module named 'no_such_checks'"),
        (
            "broken_checks no_such_checks",
            "ValueError: password=*** (broken_checks.py:1) (and 1 more)",
        ),
        ("hospital.healthchecks.predictable", None),
    ],
)
def test_checks_that_cannot_be_loaded_are_a_fault_of_the_worker(
    start_worker: StartWorker,
    folder: Path,
    environment: dict[str, str],
    named: str | None,
    fault: str | None,
) -> None:
    """It serves and says so, in its heartbeat and in the log, in one line without secrets."""
    (folder.parent / "broken_checks.py").write_text("raise ValueError('password=s3cret')\n")
    if named is not None:
        environment["HEALTHCHECKS"] = named

    worker = start_worker(application="hospital.wsgi.application")

    said = wait_for_state(worker, folder, beat.SERVING)
    status = worker.get("/").split()[1]
    told = [line for line in worker.lines() if line["event"] == "application_not_ready"]
    if fault is None:
        assert (None, b"200", []) == (said.fault, status, told)
    else:
        assert fault in str(said.fault)
        assert (b"500", [said.fault]) == (status, [line["reason"] for line in told])


def test_what_was_loaded_is_there_for_the_first_request(
    start_worker: StartWorker, folder: Path, environment: dict[str, str]
) -> None:
    """The checks are imported once, before somebody asks."""
    (folder.parent / "counted_checks.py").write_text(
        "from hospital import healthcheck\n"
        "open('imports', 'a').write('x')\n"
        "@healthcheck\n"
        "def holds():\n"
        "    pass\n"
    )
    environment["HEALTHCHECKS"] = "counted_checks"
    worker = start_worker(application="hospital.wsgi.application")
    wait_for_state(worker, folder, beat.SERVING)
    before = (folder.parent / "imports").read_text()

    answer = worker.get("/")

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert ("x", "x") == (before, (folder.parent / "imports").read_text())


def test_a_method_of_somebody_elses_application_is_left_alone(
    start_worker: StartWorker, folder: Path
) -> None:
    """One that is called prepare may do anything."""
    (folder.parent / "preparing.py").write_text(
        "class App:\n"
        "    def __call__(self, environ, start_response):\n"
        "        start_response('200 OK', [])\n"
        "        return [b'']\n"
        "    def prepare(self, seconds):\n"
        "        raise ValueError('called')\n"
        "app = App()\n"
    )

    worker = start_worker(application="preparing.app")

    assert wait_for_state(worker, folder, beat.SERVING).fault is None


def test_a_worker_that_never_served_leaves_its_reason(
    start_worker: StartWorker, folder: Path, environment: dict[str, str]
) -> None:
    """For the hook of the circusd that started it, which removes the file; nobody else would."""
    faults = []
    for told in ({"CIRCUSD_PID": str(os.getpid())}, {}):
        environment.pop("CIRCUSD_PID", None)
        environment.update(told)
        worker = start_worker(application="no_such_module.app")
        assert 2 == worker.finish()
        faults.append(said_by(worker, folder))

    first, second = faults
    assert second is None
    assert first is not None
    assert beat.STARTING == first.state
    assert "cannot import the application 'no_such_module.app'" in str(first.fault)


def test_a_start_can_be_delayed(
    start_worker: StartWorker, folder: Path, environment: dict[str, str]
) -> None:
    """It beats meanwhile, has imported nothing, and ends at once when it is told to."""
    environment["HOSPITAL_START_DELAY"] = "50"
    (folder.parent / "marking.py").write_text("open('imported', 'w').close()\n")
    worker = start_worker(application="marking.app")
    wait_for_state(worker, folder, beat.STARTING)
    first = beats_of(worker, folder)
    worker.wait_for(lambda: beats_of(worker, folder) != first)
    told = worker.lines()

    began = time.monotonic()
    worker.terminate()

    assert 0 == worker.finish()
    assert time.monotonic() - began < 5
    assert [("start_delayed", 50)] == [(line["event"], line["seconds"]) for line in told]
    assert not (folder.parent / "imported").exists()


def test_after_the_delay_it_serves(start_worker: StartWorker, environment: dict[str, str]) -> None:
    """Nothing else is different."""
    environment["HOSPITAL_START_DELAY"] = "0.2"

    worker = start_worker()

    assert b"hello world" in worker.get("/")


def test_an_answer_that_is_no_success_is_in_the_log_at_once(
    start_worker: StartWorker, folder: Path
) -> None:
    """And the rest in a summary, at the latest when the worker ends."""
    worker = start_worker()
    for path in ("/", "/", "/raise?value", "/empty"):
        worker.get(path)
    early = worker.wait_for(
        lambda: [line for line in worker.lines() if line["event"] == "request_answered"]
    )
    worker.terminate()

    assert 0 == worker.finish()
    assert [("/raise", 500, "127.0.0.1")] == [
        (line["path"], line["status"], line["peer"]) for line in early
    ]
    (summary,) = [line for line in worker.lines() if line["event"] == "requests_served"]
    assert {"200": 2, "204": 1, "500": 1} == summary["statuses"]
    assert folder.exists()


@pytest.mark.parametrize("kind", ["all", "off"])
def test_the_access_log_can_say_all_or_nothing(
    start_worker: StartWorker, environment: dict[str, str], kind: str
) -> None:
    """Off means that nothing is counted either."""
    environment["HOSPITAL_ACCESS_LOG"] = kind
    worker = start_worker()
    for _ in range(3):
        worker.get("/")
    worker.terminate()

    assert 0 == worker.finish()
    events = [line["event"] for line in worker.lines()]
    assert (["request_answered"] * 3 + ["requests_served"] if kind == "all" else []) == events


def test_what_others_say_of_their_failures_is_a_line_each(
    start_worker: StartWorker, tmp_path: Path
) -> None:
    """Greenlets, threads, warnings, and the loggers of packages: nothing tears the log."""
    (tmp_path / "talkative.py").write_text(TALKATIVE)
    worker = start_worker(application="talkative.app")
    for path in ("greenlet", "thread", "warning", "logging", "asyncio", "callback"):
        worker.get(f"/{path}")
    worker.terminate()

    assert 0 == worker.finish()
    lines: list[dict[str, Any]] = [json.loads(line) for line in worker.output().splitlines()]
    said = [line for line in lines if line["event"] != "requests_served"]
    assert {
        ("gevent", "greenlet_failed"),
        ("python", "thread_failed"),
        ("shop", "it is late"),
        ("asyncio", "slow callback"),
    } < {(line["logger"], line["event"]) for line in said}
    assert 1 == sum(line["logger"] == "py.warnings" for line in said)
    assert 2 == sum(line["event"] == "greenlet_failed" for line in said)
    failed = [line for line in said if "exception" in line]
    assert ["password=***"] * 3 == [line["exception"][0]["message"] for line in failed]
    assert "s3cret" not in worker.output()


def test_a_signal_ends_a_worker_that_is_not_ready_yet(
    start_worker: StartWorker, folder: Path, environment: dict[str, str]
) -> None:
    """Checks that hang while they are imported keep nobody waiting."""
    (folder.parent / "hanging_checks.py").write_text(
        "import time\nopen('importing', 'w').close()\ntime.sleep(60)\n"
    )
    environment["HEALTHCHECKS"] = "hanging_checks"
    worker = start_worker(application="hospital.wsgi.application")
    worker.wait_for((folder.parent / "importing").exists)  # so it listens, and loads the checks
    with worker.connect() as connection:  # the answer waits for them
        connection.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        state = said_by(worker, folder)
        worker.terminate(signal.SIGINT)
        wait_for_state(worker, folder, beat.DRAINING)  # two signals at once may arrive as one
        worker.terminate(signal.SIGINT)

        assert 0 == worker.finish()
    assert state is not None
    assert beat.STARTING == state.state
