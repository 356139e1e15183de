"""circusd's own lines have the form of all other logs, in a file that is never in the way."""

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from hospital.supervision.circusd_logs import (
    FileHandler,
    Lines,
    StandardErrorHandler,
    make_config,
)

BIN = Path(sys.executable).parent
OWN = {"timestamp", "level", "event", "logger", "pid"}
INI = """
[circus]
endpoint = ipc://run/c.sock
pubsub_endpoint = ipc://run/e.sock
umask = 077
multicast_endpoint =
statsd = False
check_delay = 0.2
loggerconfig = circusd-logging.json

[watcher:test]
cmd = {python} worker.py $(circus.wid)
numprocesses = 2
graceful_timeout = 5
copy_env = True
stdout_stream.class = hospital.supervision.streams.LineStream
stdout_stream.filename = {log}/test.log
stderr_stream.class = hospital.supervision.streams.LineStream
stderr_stream.filename = {log}/test.log
"""


class Circusd:
    """circusd in a folder of its own."""

    def __init__(self, folder: Path, worker: str, config: dict[str, Any], log: str = "log") -> None:
        self.folder = folder
        for name in ("run", "log"):
            (folder / name).mkdir(exist_ok=True)
        (folder / "circus.ini").write_text(INI.format(python=sys.executable, log=log))
        (folder / "worker.py").write_text(worker)
        (folder / "circusd-logging.json").write_text(json.dumps(config))
        with (folder / "output").open("wb") as output:
            self.process = subprocess.Popen(
                [BIN / "circusd", "circus.ini"],
                cwd=folder,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    def output(self) -> str:
        return (self.folder / "output").read_text()

    def poll(self, condition: Callable[[], Any]) -> None:
        end = time.monotonic() + 20
        while not condition():
            assert self.process.poll() is None, self.output()
            assert time.monotonic() < end, self.output()
            time.sleep(0.02)

    def stop(self) -> int:
        """Stop it, and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)

    def end(self) -> None:
        """Leave nothing behind."""
        import psutil

        with suppress(psutil.Error):
            for child in psutil.Process(self.process.pid).children(recursive=True):
                child.kill()
        self.process.kill()
        self.process.wait()


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Return what is undone at the end of a test, in order."""
    with ExitStack() as held:
        yield held


def events(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def config(folder: Path, *, console: bool = True) -> dict[str, Any]:
    path = folder / "log" / "circusd.log"
    return make_config(log_file=path, max_bytes=100_000, backup_count=2, console=console)


def record(message: str, *arguments: Any, error: Exception | None = None) -> logging.LogRecord:
    exc_info = (type(error), error, None) if error else None
    return logging.LogRecord("circus", logging.WARNING, "", 1, message, arguments, exc_info)


def test_a_stop_that_takes_its_time_is_no_error(tmp_path: Path, stack: ExitStack) -> None:
    """Circus logs a traceback at each check while workers drain; it is the one left out."""
    worker = """
import pathlib, signal, sys, time
ended = []
signal.signal(signal.SIGTERM, lambda *_: ended.append(1))
pathlib.Path(f"up-{sys.argv[1]}").touch()
while not ended:
    time.sleep(0.05)
time.sleep(0.7)
"""
    full = config(tmp_path)
    full["handlers"]["all"] = {"class": "logging.FileHandler", "filename": str(tmp_path / "all")}
    full["root"]["handlers"].append("all")
    circusd = Circusd(tmp_path, worker, full)
    stack.callback(circusd.end)
    circusd.poll(lambda: 2 == len(list(tmp_path.glob("up-*"))))

    code = circusd.stop()

    found = events(tmp_path / "log" / "circusd.log")
    assert 0 == code
    assert "arbiter is already running" in (tmp_path / "all").read_text()
    assert "already running" not in circusd.output()
    assert all(event.keys() >= OWN for event in found)
    assert {"info"} == {event["level"] for event in found}
    assert {circusd.process.pid} == {event["pid"] for event in found}
    assert "test stopped" == found[-1]["event"]
    assert "info    test stopped" == circusd.output().splitlines()[-1][13:]


def test_the_journal_gets_warnings_and_worse(tmp_path: Path, stack: ExitStack) -> None:
    """As JSON objects, and circusd's own log gets everything."""
    circusd = Circusd(tmp_path, "import time; time.sleep(60)", config(tmp_path, console=False))
    stack.callback(circusd.end)
    circusd.poll((tmp_path / "log" / "circusd.log").exists)
    circusd.poll(lambda: b"test started" in (tmp_path / "log" / "circusd.log").read_bytes())
    warning = "import warnings; warnings.warn('a warning')"
    begun = (
        "import json, logging.config as c; c.dictConfig(json.load(open('circusd-logging.json')))"
    )
    code = f"{begun}; {warning}; 1 / 0"

    found = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, check=False
    )

    said = [json.loads(line) for line in found.stderr.splitlines()]
    assert ["warning", "error"] == [event["level"] for event in said]
    assert "a warning" in said[0]["event"]
    assert "circusd_failed" == said[1]["event"]
    assert "ZeroDivisionError" == said[1]["exception"][0]["type"]
    assert "" == circusd.output()
    assert 0 == circusd.stop()


def test_whatever_is_logged_is_one_line() -> None:
    """Control characters, secrets, arguments that do not fit, exceptions, our own fields."""
    lines = Lines()
    cause = ValueError("password=s3cret")
    given = record("x")
    given.event, given.fields = "log_unwritable", {"path": "/a"}

    found = [
        json.loads(lines.format(each))
        for each in (record("a\n\x1b[31m%s", "token=abc"), record("%d", "x"), given)
    ]
    failed = json.loads(lines.format(record("failed", error=cause)))

    assert ["a\n[31mtoken=***", "%d", "log_unwritable"] == [each["event"] for each in found]
    assert "/a" == found[2]["path"]
    assert ["circus", "warning"] == [found[0]["logger"], found[0]["level"]]
    assert "password=***" == failed["exception"][0]["message"]
    assert (
        " warning a [31mtoken=***"
        == Lines(log_format="console").format(record("a\n\x1b[31m%s", "token=abc"))[12:]
    )


def test_only_the_known_traceback_is_left_out() -> None:
    """Another exception in the same place, or the same one elsewhere, is logged."""
    from circus.exc import ConflictError

    from hospital.supervision.circusd_logs import Meaningless

    class Arbiter:
        def manage_watchers(self) -> None: ...

    callback = Arbiter().manage_watchers
    text = "arbiter is already running arbiter_stop command"
    meant = record("Exception in callback %r", callback, error=ConflictError(text))
    others = [
        record("Exception in callback %r", callback, error=ConflictError(text)),
        record("Exception in callback %r", callback, error=ValueError(text)),
        record("Exception in callback %r", print, error=ConflictError(text)),
        record("Exception in callback %r", callback, error=ConflictError("other")),
        record("arbiter is already running arbiter_stop command"),
    ]
    for each in (meant, *others[1:]):
        each.name = "tornado.application"

    said = [Meaningless().filter(each) for each in (meant, *others)]

    assert [False, True, True, True, True, True] == said


def test_a_reader_of_standard_error_that_stops_stops_nobody(
    stack: ExitStack, tmp_path: Path
) -> None:
    """Circusd has one thread; what nobody reads there stands in the file, and no line is torn."""
    read_end, write_end = os.pipe()
    standard_error = os.dup(2)
    os.dup2(write_end, 2)
    try:
        handler = StandardErrorHandler()
    finally:
        os.dup2(standard_error, 2)
        os.close(standard_error)
        os.close(write_end)
    handler.setFormatter(Lines())
    file = FileHandler(filename=str(tmp_path / "log"), max_bytes=0, backup_count=0)
    file.setFormatter(Lines())

    for number in range(400):
        for each in (handler, file):
            each.emit(record("%d %s", number, "x" * 2000))
    read = os.read(read_end, 60_000)
    handler.emit(record("last"))
    handler.emit(record("very last"))
    handler.close()
    assert handler._sender is not None
    handler._sender.close()
    with os.fdopen(read_end, "rb") as pipe:
        read += pipe.read()
    file.close()

    found = [json.loads(line)["event"] for line in read.splitlines()]
    assert 10 < len(found) < 200
    assert "very last" == found[-1]
    assert 400 == len(events(tmp_path / "log"))


WRITER = """
import pathlib, signal, sys, time
from hospital.logs import configure, get_logger, flush
configure()
ended = []
signal.signal(signal.SIGTERM, lambda *_: ended.append(1))
number = 0
while not ended:
    for _ in range(20):
        get_logger("test").info("line", number=number, padding="x" * 500)
        number += 1
    pathlib.Path(f"beat-{sys.argv[1]}").write_text(str(number))
    time.sleep(0.02)
"""


@pytest.mark.parametrize("fault", ["full", "read-only", "removed"])
@pytest.mark.skipif(
    os.geteuid() != 0, reason="run the tests as root: only root mounts a disk that is full"
)
def test_a_log_folder_that_cannot_be_written_stops_nobody(
    fault: str, tmp_path: Path, stack: ExitStack
) -> None:
    """Workers go on, it is said once, logs come again, what is missing is counted; it can stop."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount(stack, disk, "size=16m")
    circusd = Circusd(tmp_path, WRITER, config(tmp_path), log="disk/log")
    stack.callback(circusd.end)
    log, ballast = disk / "log", disk / "ballast"
    circusd.poll(lambda: (log / "test.log").exists() and (log / "test.log").stat().st_size > 9000)

    if fault == "full":
        with suppress(OSError), ballast.open("wb", buffering=0) as file:
            while True:
                file.write(b"x" * 65536)
    elif fault == "read-only":
        mount(stack, log, "ro")
    else:
        (log / "test.log").unlink()
        log.rmdir()
        log.write_bytes(b"a file in its place")
    circusd.poll(lambda: "log_unwritable" in circusd.output())
    beats = beat(tmp_path)
    circusd.poll(lambda: beat(tmp_path) > beats + 1000)
    if fault == "full":
        ballast.unlink()
    elif fault == "read-only":
        subprocess.run(["umount", "-l", log], check=True)
    else:
        log.unlink()
    circusd.poll(lambda: "log_writable_again" in circusd.output())
    code = circusd.stop()

    found = events(log / "test.log")
    numbers = [(event["pid"], event["number"]) for event in found if event["event"] == "line"]
    lost = sum(event["lost"] for event in found if event["event"] == "log_lines_lost")
    sent = sum(int(path.read_text()) for path in tmp_path.glob("beat-*"))
    assert 0 == code
    assert 1 == circusd.output().count("log_unwritable")
    assert len(set(numbers)) == len(numbers)
    if fault != "removed":
        assert sent == len(numbers) + lost


def beat(folder: Path) -> int:
    """Return how many lines the workers have logged, as they say elsewhere."""
    return sum(int(path.read_text() or 0) for path in folder.glob("beat-*"))


def mount(stack: ExitStack, folder: Path, option: str) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", option, "tmpfs", folder], check=True)
    gone = ["umount", "-l", str(folder)]
    stack.callback(lambda: subprocess.run(gone, check=False, capture_output=True))
