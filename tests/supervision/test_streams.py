"""What workers print stands in the log in whole lines, each of them an event."""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from circus.stream.redirector import Redirector
from hypothesis import given, settings
from hypothesis import strategies as st
from tornado.ioloop import IOLoop

from hospital.errors import SettingError
from hospital.supervision.event_lines import event_line
from hospital.supervision.printed import LONGEST_LINE
from hospital.supervision.redirector import LineRedirector, read_to_the_end, take_over
from hospital.supervision.streams import LineStream, faults
from tests.supervision.log_storm import storm

OWN = ["timestamp", "level", "event", "logger", "pid"]
PID = os.getpid()


def give(stream: LineStream, data: bytes, pid: int = PID, name: str = "stdout") -> None:
    stream({"data": data, "pid": pid, "name": name})


def events(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


@contextmanager
def stream_in_folder(**options: Any) -> Iterator[tuple[LineStream, Path]]:
    """For a law, which runs many times, where ``tmp_path`` is there once."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "web.log"
        yield LineStream(str(path), **options), path


def own_line(number: int, text: str = "ä€🩺") -> bytes:
    return event_line("info", "line", logger="test", number=number, text=text)


def in_pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    at = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    return [data[begin:end] for begin, end in pairwise(at)]


@settings(max_examples=50)
@given(
    texts=st.lists(st.text(max_size=30), max_size=10),
    cuts=st.lists(st.integers(0, 3000)),
    max_bytes=st.integers(0, 2000),
)
def test_events_pass_unchanged_however_they_are_read(
    texts: list[str], cuts: list[int], max_bytes: int
) -> None:
    """In pieces of any size, from two processes at once, and while the file is rotated."""
    lines = [own_line(number, text) for number, text in enumerate(texts)]
    with stream_in_folder(max_bytes=str(max_bytes), backup_count="99") as (stream, path):
        for piece in in_pieces(b"".join(lines), cuts):
            give(stream, piece, name="stdout")
            give(stream, piece, name="stderr")
        stream.close()

        found = b"".join(each.read_bytes() for each in path.parent.iterdir())
    assert sorted(lines * 2) == sorted(found.splitlines(keepends=True))


@settings(max_examples=100)
@given(
    data=st.lists(st.binary(max_size=60) | st.just(own_line(1)) | st.text().map(str.encode)),
    cuts=st.lists(st.integers(0, 1000)),
)
def test_whatever_is_printed_each_line_is_an_event(data: list[bytes], cuts: list[int]) -> None:
    """No byte below 0x20 is in the file but line feeds, and each line has the five fields."""
    with stream_in_folder() as (stream, path):
        for piece in in_pieces(b"\n".join(data), cuts):
            give(stream, piece)
        stream.close()

        content = path.read_bytes() if path.exists() else b""
    assert not set(content) & set(range(32)) - {10}
    for line in content.splitlines():
        assert json.loads(line).keys() >= set(OWN)


def test_a_traceback_is_one_event(tmp_path: Path) -> None:
    """Lines that are printed together stay together, with who printed them, and no secret."""
    stream = LineStream(str(tmp_path / "hospital-web.log"))

    give(stream, b"Traceback:\n  f()\n\npassword=s3cret \x1b[31mred\n", name="stderr")
    stream.close()

    (event,) = events(tmp_path / "hospital-web.log")
    assert "Traceback:\n  f()\n\npassword=*** [31mred" == event["text"]
    said = [event[key] for key in ("level", "event", "logger", "pid")]
    assert ["error", "output", "hospital-web.stderr", PID] == said


def test_lines_that_come_together_are_one_event(tmp_path: Path) -> None:
    """In circusd, what a process prints within a moment is gathered; an event ends it."""
    stream = LineStream(str(tmp_path / "log"))

    async def print_slowly() -> None:
        for piece in (b"Trace", b"back\n", b"  f()\n", own_line(1), b"one\n"):
            give(stream, piece)
            await asyncio.sleep(0)
        give(stream, b"two\n", name="stderr")
        async with asyncio.timeout(10):
            while 4 != len(events(tmp_path / "log")):  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)

    asyncio.run(print_slowly())

    found = [event.get("text") for event in events(tmp_path / "log")]
    assert ["Traceback\n  f()", "ä€🩺", "one", "two"] == found


@pytest.mark.parametrize(
    "line",
    [
        b'{"event": "of another program"}',
        own_line(1)[:-2],
        own_line(1).replace(b'"number": 1', b'"number": NaN').rstrip(),
        own_line(1).replace(b"{", b"{\t").rstrip(),
        own_line(1).replace("ä".encode(), b"\xff").rstrip(),
        b'{"a":' * 10_000,
        b"[1]",
    ],
    ids=["fields missing", "torn", "no number", "tab", "no UTF-8", "deep", "list"],
)
def test_what_is_no_event_of_ours_is_text(line: bytes, tmp_path: Path) -> None:
    """A line passes only if whoever reads the log can rely on it."""
    stream = LineStream(str(tmp_path / "log"))

    give(stream, line + b"\n")
    stream.close()

    assert ["output"] == [event["event"] for event in events(tmp_path / "log")]


def test_a_line_without_end_is_cut(tmp_path: Path) -> None:
    """Nothing is kept of it beyond a limit, the cut splits no character, and the log goes on."""
    stream = LineStream(str(tmp_path / "log"))

    for _ in range(300):
        give(stream, "ä".encode() * 512)
    give(stream, b"the end\n" + own_line(1))
    give(stream, b"x" * (LONGEST_LINE + 1) + b"\n")
    stream.close()

    first, second, third = events(tmp_path / "log")
    assert first["cut"] is third["cut"] is True
    assert "\ufffd" not in first["text"]
    assert first["text"].startswith("ä" * 7000)
    assert "line" == second["event"]


def test_a_block_is_bounded(tmp_path: Path) -> None:
    """The stacks of a hundred threads become several events, and none of them is missing."""
    stream = LineStream(str(tmp_path / "log"))
    lines = [f"  File {number} in f" for number in range(3000)]

    give(stream, "\n".join(lines).encode() + b"\n")
    stream.close()

    found = [event["text"] for event in events(tmp_path / "log")]
    assert lines == "\n".join(found).splitlines()
    assert len(found) > 1
    assert max(map(len, found)) <= 8000


def test_a_flood_of_text_is_cut_and_counted(tmp_path: Path) -> None:
    """Who looks for secrets in megabytes has no time for anything else."""
    stream = LineStream(str(tmp_path / "log"), max_bytes=0)

    for _ in range(100):
        give(stream, b"a-b-c-d-e-f-password-a-b-c\n" * 1000)
    stream.close()

    found = events(tmp_path / "log")
    written = sum(event["text"].count("\n") + 1 for event in found if event["event"] == "output")
    dropped = sum(each["dropped"] for each in found if each["event"] == "output_lines_dropped")
    assert dropped > 0
    assert 100_000 == written + dropped


def test_the_console_format_is_for_people(tmp_path: Path) -> None:
    """Our own lines pass, others are cleaned; nothing can move the cursor."""
    stream = LineStream(str(tmp_path / "log"), format="console")

    give(stream, b'12:00:01.123 info    up path="/"\n')
    give(stream, b"12:00:02.123 info    red \x1b[31m\n  a\ttab token=abc\n")
    stream.close()

    assert (
        '12:00:01.123 info    up path="/"\n12:00:02.123 info    red [31m\n  a\ttab token=***\n'
        == (tmp_path / "log").read_text()
    )


def test_every_fault_of_the_options_is_told(tmp_path: Path) -> None:
    """Circus takes any misspelt option in silence; this class does not."""
    options = {"filename": "", "max_bites": "1", "backup_count": "-1", "format": "xml"}

    with pytest.raises(SettingError) as caught:
        LineStream(**options)

    assert [
        "unknown option 'max_bites'; did you mean 'max_bytes'?",
        "backup_count is '-1'; give a number",
        "format is 'xml'; give json or console",
        "there is no filename; name the file of the log",
    ] == faults(options)
    assert " · ".join(faults(options)) == str(caught.value)


def test_the_last_words_of_a_dead_process_are_written(tmp_path: Path) -> None:
    """Also where nobody tells that it is dead: it is looked at while something is left."""
    stream = LineStream(str(tmp_path / "log"))
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()

    async def say() -> None:
        give(stream, b"no line feed", pid=process.pid)
        give(stream, b"still alive")
        async with asyncio.timeout(10):
            while not (tmp_path / "log").exists():  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.02)

    asyncio.run(say())

    assert ["no line feed"] == [event["text"] for event in events(tmp_path / "log")]
    assert [(PID, "stdout")] == list(stream._channels)


def test_an_event_that_was_not_finished_is_told_as_cut(tmp_path: Path) -> None:
    """A worker was killed while it wrote; one that lacks only its line feed passes."""
    stream = LineStream(str(tmp_path / "log"))

    give(stream, own_line(1)[:-9], name="stdout")
    give(stream, own_line(2)[:-1], name="stderr")
    stream.close()

    torn, whole = events(tmp_path / "log")
    assert ("output", True) == (torn["event"], torn["cut"])
    assert ("line", 2) == (whole["event"], whole["number"])


def test_closing_one_stream_of_a_file_writes_what_is_left(tmp_path: Path) -> None:
    """And the other one goes on."""
    first, second = LineStream(str(tmp_path / "log")), LineStream(str(tmp_path / "log"))

    give(first, b"first")
    first.close()
    give(second, own_line(2))

    assert ["output", "line"] == [event["event"] for event in events(tmp_path / "log")]


class Process:
    """What a redirector asks of Circus's process, around a real one."""

    def __init__(self, code: str) -> None:
        self.worker = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
        self.pid, self.stdout, self.stderr = self.worker.pid, self.worker.stdout, None
        self.pipe_stdout, self.pipe_stderr = True, False
        self.redirected = False


def watcher_of(stream: Any, loop: IOLoop) -> SimpleNamespace:
    return SimpleNamespace(
        name="hospital-web",
        stdout_stream=stream,
        stderr_stream=None,
        loop=loop,
        stream_redirector=Redirector(stream, None, loop=loop),
        processes={},
    )


@pytest.mark.parametrize("how", ["reaped", "read"])
def test_what_a_killed_process_left_in_the_pipe_is_read(how: str, tmp_path: Path) -> None:
    """Circus would close the pipe over it."""
    stream = LineStream(str(tmp_path / "log"))
    code = "import os; os.write(1, b'x\\n' * 20000 + b'last words'); os.kill(os.getpid(), 9)"

    async def run() -> None:
        watcher = watcher_of(stream, IOLoop.current())
        take_over(watcher)
        process = Process(code)
        watcher.processes[process.pid] = process
        watcher.stream_redirector.add_redirections(process)
        process.worker.wait(20)
        if how == "reaped":
            read_to_the_end(watcher, process.pid)
        else:
            watcher.stream_redirector.start()
            async with asyncio.timeout(10):
                while watcher.stream_redirector.pipes:  # noqa: ASYNC110 - nobody tells
                    await asyncio.sleep(0.01)
        assert process.stdout is not None
        process.stdout.close()
        assert not watcher.stream_redirector.pipes

    asyncio.run(run())

    found = events(tmp_path / "log")
    assert "x\n" * 20000 + "last words" == "\n".join(event["text"] for event in found)
    assert {"hospital-web.stdout"} == {event["logger"] for event in found}


def test_a_watcher_is_taken_over_once() -> None:
    """The hook is called before each spawn, and for watchers without streams, too."""

    async def run() -> None:
        watcher = watcher_of(print, IOLoop.current())
        without = SimpleNamespace(stream_redirector=None, processes={})

        take_over(watcher)
        first = watcher.stream_redirector
        take_over(watcher)
        take_over(without)
        read_to_the_end(without, 1)

        assert isinstance(first, LineRedirector)
        assert first is watcher.stream_redirector
        assert without.stream_redirector is None

    asyncio.run(run())


def test_four_processes_lose_and_tear_no_line_at_a_steady_rate(tmp_path: Path) -> None:
    """500 lines a second each, 2 KB with UTF-8, across more than 20 rotations; circusd is light."""
    found = storm(tmp_path, lines=1000, max_bytes=350_000)

    assert ([], []) == (found.torn, found.printed)
    assert (4000, 0, 0) == (found.found, found.twice, found.dropped)
    assert found.files > 20
    assert found.largest_bytes <= 350_000
    assert found.circusd_rss_mb < 45
    assert 0 == found.exit_code


def test_at_full_speed_the_log_says_what_is_missing(tmp_path: Path) -> None:
    """What the queue of a process drops is counted in the log itself, the last ones included."""
    found = storm(tmp_path, lines=1300, lines_per_s=0)

    assert ([], []) == (found.torn, found.printed)
    assert found.missing == found.dropped > 0
    assert 0 == found.twice
