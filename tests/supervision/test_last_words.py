"""What a process said last."""

import os
import subprocess
import sys
from typing import Any

import pytest

from hospital.supervision import last_words
from hospital.supervision.last_words import Remembering


class Stream:
    """A stream of Circus that keeps what it is given."""

    filename = "web.log"

    def __init__(self) -> None:
        self.given: list[dict[str, Any]] = []

    def __call__(self, data: dict[str, Any]) -> None:
        self.given.append(data)


class Redirector:
    """What is touched of a Circus redirector."""

    def __init__(self, stream: Stream) -> None:
        self.streams: dict[str, Any] = {"stdout": stream, "stderr": stream}

    def get_stream(self, name: str) -> Any:
        return self.streams[name]

    def change_stream(self, name: str, stream: Any) -> None:
        self.streams[name] = stream

    @staticmethod
    def get_process_pipes(process: Any) -> Any:
        return [("stdout", process.stdout), ("stderr", process.stderr)]


class Watcher:
    """What is touched of a Circus watcher."""

    def __init__(self, stream: Stream) -> None:
        self.stream_redirector = Redirector(stream)


def test_what_it_hears_it_passes_on() -> None:
    """And is to everybody else the stream that it stands before."""
    stream = Stream()
    watcher = Watcher(stream)
    remembering = last_words.listen(watcher)
    assert remembering is not None
    data = {"pid": 4711, "name": "stderr", "data": b"no such table\n"}

    remembering(data)

    assert [data] == stream.given
    assert "web.log" == remembering.filename
    assert remembering is last_words.listen(watcher)
    assert "no such table" == last_words.of(watcher, 4711)
    last_words.forget(watcher, 4711)
    assert "" == last_words.of(watcher, 4711)


def test_it_remembers_no_more_than_it_needs() -> None:
    """Whatever is said, by however many."""
    stream = Stream()
    remembering = Remembering(stream)

    for pid in range(1000):
        remembering({"pid": pid, "data": b"x" * 1_000_000, "name": "stderr"})

    assert 3_000_000 > sum(map(len, remembering._tails.values()))
    assert "" == remembering.last_words(0)
    assert "x" in remembering.last_words(999)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (b"", ""),
        (b"\n \n", ""),
        (b"hospital.serving.worker: error: no application\n", "no application"),
        (b"ValueError: a\nhint: b\n\n", "hint: b"),
        (b"  indented only", "indented only"),
        (b"Timeout (0:00:01)!\nThread 0x1 (most recent call first):\n", "Timeout (0:00:01)!"),
        (b'{"event": "worker_failed", "reason": "full"}\n', "full"),
        (b'{"event": "worker_failed", "exception": [{}]}\n', "worker_failed"),
        (b"{not JSON\n", "{not JSON"),
        (b"{}\n", "{}"),
        (b"[1]\n", "[1]"),
        (b"password=hunter2 \xff\x1b[31m", "password=*** \N{REPLACEMENT CHARACTER}[31m"),
    ],
)
def test_the_line_that_tells_most_is_chosen(said: bytes, words: str) -> None:
    """Without secrets and control characters, whatever it is."""
    assert words == last_words.last_words(said)


def test_the_words_are_not_many() -> None:
    """They stand in a line of a log."""
    assert len(last_words.last_words(b"x" * 8000)) <= 300


def test_what_waits_in_the_pipes_is_given_to_the_streams() -> None:
    """All of it, without waiting for more."""
    stream = Stream()
    code = "import os; os.write(1, b'o' * 50_000); os.write(2, b'e' * 50_000); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stderr is not None
        os.read(process.stderr.fileno(), 1)  # it has written all before

        last_words.drain(Watcher(stream), process)

        process.kill()
    assert {("stdout", 50_000), ("stderr", 49_999)} == {
        (each["name"], len(each["data"])) for each in stream.given
    }
