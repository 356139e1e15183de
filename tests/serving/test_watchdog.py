"""A worker whose loop stands still ends itself, and its stacks tell where it stood."""

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from hospital.serving.watchdog import interval_s
from tests.serving.conftest import Worker

HANGING = """
import ctypes
import time

import gevent


def spin_for_ever():
    while True:
        pass


def hold_the_lock():
    ctypes.PyDLL(None).sleep(60)


def crash():
    ctypes.string_at(0)


def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/spin":
        spin_for_ever()
    elif path == "/hold":
        hold_the_lock()
    elif path == "/crash":
        crash()
    elif path == "/slow":
        open("arrived", "w").close()
        gevent.sleep(float(environ["QUERY_STRING"]))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello world"]
"""
StartWorker = Callable[..., Worker]


@pytest.fixture(autouse=True)
def hanging(tmp_path: Path) -> None:
    """Write an application that can hang."""
    (tmp_path / "hanging.py").write_text(HANGING)


@pytest.mark.parametrize(
    ("path", "function"), [("/spin", "spin_for_ever"), ("/hold", "hold_the_lock")]
)
def test_a_loop_that_stands_still_ends_the_process(
    start_worker: StartWorker, environment: dict[str, str], path: str, function: str
) -> None:
    """A busy loop and a call that keeps the global lock; exit code 1, the function is named."""
    environment["HOSPITAL_WATCHDOG"] = "1s"
    worker = start_worker(application="hanging.app")

    answer = worker.get(path)

    assert b"" == answer
    assert 1 == worker.finish()
    assert "Timeout (0:00:00.8" in worker.output()
    assert f" in {function}\n" in worker.output()


def test_a_loop_that_lives_goes_on(start_worker: StartWorker, environment: dict[str, str]) -> None:
    """A request, and then a drain, may take longer than the watchdog time."""
    environment["HOSPITAL_WATCHDOG"] = "2s"
    worker = start_worker(application="hanging.app")

    with worker.connect() as connection:
        connection.sendall(b"GET /slow?2.5 HTTP/1.1\r\nHost: test\r\n\r\n")
        worker.wait_for_request()
        worker.terminate()
        answer = worker.read_to_end(connection)

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert 0 == worker.finish()
    assert "Timeout" not in worker.output()


def test_a_crash_leaves_its_stack(start_worker: StartWorker) -> None:
    """SIGSEGV is told with the function that brought it about, watchdog or none."""
    worker = start_worker(application="hanging.app")

    worker.get("/crash")

    assert -signal.SIGSEGV == worker.finish()
    assert "Segmentation fault" in worker.output()
    assert " in crash\n" in worker.output()


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_a_start_has_more_time_and_not_all_of_it() -> None:
    """An import that never ends is a loop that stands still."""
    ended = run(
        """
        from hospital.serving.watchdog import Watchdog
        def import_for_ever():
            while True:
                pass
        Watchdog(0.1, starting_s=1.0).arm_for_start()
        import_for_ever()
        """
    )

    assert 1 == ended.returncode
    assert ended.stderr.startswith("Timeout (0:00:00.8")
    assert " in import_for_ever\n" in ended.stderr


@pytest.mark.parametrize("watchdog_s", [0.0, 0.2])
def test_a_process_that_has_ended_its_work_may_take_its_time(watchdog_s: float) -> None:
    """Disarmed, or never asked for, it ends nothing."""
    ended = run(
        f"""
        import time
        from hospital.serving.watchdog import Watchdog
        watchdog = Watchdog({watchdog_s})
        watchdog.arm_for_start()
        watchdog.rearm()
        watchdog.disarm()
        time.sleep(0.4)
        """
    )

    assert (0, "") == (ended.returncode, ended.stderr)


def test_a_short_watchdog_time_is_rearmed_more_often() -> None:
    """Else it would end a worker that lives."""
    assert [0.5, 0.5, 0.2, 0.05] == [interval_s(time_s, 0.5) for time_s in (0.0, 10.0, 2.0, 0.5)]
