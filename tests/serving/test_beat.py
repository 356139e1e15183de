"""The heartbeat file: what it says, and that nothing in its folder can fool who reads it."""

import json
import os
import resource
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from hospital.serving import beat
from hospital.serving.beat import Beat

CONTENT = {"watcher": "web", "started": 12, "state": "serving", "fault": None}


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """For its owner alone, one JSON object, and no other file stays behind."""
    said = Beat("hospital-web", 4711, beat.SERVING, "cannot import 'ä\n'")

    beat.write(tmp_path, 812, said)

    path = beat.path_of(tmp_path, 812)
    assert said == beat.read(path)
    assert {"watcher", "started", "state", "fault"} == set(json.loads(path.read_bytes()))
    assert 0o600 == stat.S_IMODE(path.stat().st_mode)
    assert [path] == list(tmp_path.iterdir())


def test_a_long_fault_is_cut(tmp_path: Path) -> None:
    """The file stays small enough to be read."""
    beat.write(tmp_path, 1, Beat("w", 1, beat.STARTING, "ä" * 100_000))

    said = beat.read(tmp_path / "1")

    assert said is not None
    assert "ä" * 500 == said.fault


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    """Who reads it while it is written finds the old one or the new one."""
    beat.write(tmp_path, 1, Beat("w", 1, beat.STARTING))
    read: list[Beat | None] = []
    ended = threading.Event()

    def read_on() -> None:
        while not ended.is_set():
            read.append(beat.read(tmp_path / "1"))

    reader = threading.Thread(target=read_on)
    reader.start()
    for number in range(500):
        beat.write(tmp_path, 1, Beat("w", number, beat.SERVING))
    ended.set()
    reader.join()

    assert read
    assert None not in read


def test_a_touch_is_a_beat(tmp_path: Path) -> None:
    """It changes the time of modification and nothing else; without a file it is an error."""
    beat.write(tmp_path, 1, Beat("w", 1, beat.SERVING))
    os.utime(tmp_path / "1", ns=(5, 5))
    before = (tmp_path / "1").stat()

    beat.touch(tmp_path, 1)

    after = (tmp_path / "1").stat()
    assert 5 == before.st_mtime_ns < after.st_mtime_ns
    assert before.st_ino == after.st_ino
    with pytest.raises(FileNotFoundError):
        beat.touch(tmp_path, 2)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\x00",
        b"[" * 100_000,
        b"[]",
        b"x" * 10_000_000,
        {**CONTENT, "started": "12"},
        {**CONTENT, "started": True},
        {**CONTENT, "state": "dancing"},
        {**CONTENT, "fault": 3},
        {"watcher": "web"},
    ],
    ids=str,
)
def test_what_is_no_beat_says_nothing(tmp_path: Path, content: Any) -> None:
    """Whatever somebody puts there, reading it neither fails nor takes long."""
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    (tmp_path / "1").write_bytes(raw)

    assert beat.read(tmp_path / "1") is None


def test_only_files_are_read(tmp_path: Path) -> None:
    """A link is not followed, a pipe is not waited for, a folder is nothing."""
    (tmp_path / "good").write_text(json.dumps(CONTENT))
    (tmp_path / "1").symlink_to(tmp_path / "good")
    os.mkfifo(tmp_path / "2")
    (tmp_path / "3").mkdir()

    assert [None] * 3 == [beat.read(tmp_path / name) for name in "123"]
    assert beat.read(tmp_path / "good") == Beat("web", 12, "serving")


@pytest.mark.parametrize("kind", ["pipe", "link", "file"])
def test_what_lies_where_it_is_written_is_in_nobodys_way(tmp_path: Path, kind: str) -> None:
    """Who owns the folder may be another user: root's circusd is not kept waiting by a pipe."""
    there, victim = tmp_path / f".1.{os.getpid()}", tmp_path / "victim"
    victim.write_text("unchanged")
    if kind == "pipe":
        os.mkfifo(there)
    elif kind == "link":
        there.symlink_to(victim)
    else:
        there.hardlink_to(victim)
    said = Beat("w", 1, beat.STARTING)
    owner = (65534, 65534) if os.geteuid() == 0 else (os.getuid(), os.getgid())

    writer = threading.Thread(target=beat.write, args=(tmp_path, 1, said, owner), daemon=True)
    writer.start()
    writer.join(5)

    assert not writer.is_alive()
    assert said == beat.read(tmp_path / "1")
    assert owner == ((tmp_path / "1").stat().st_uid, (tmp_path / "1").stat().st_gid)
    assert (os.getuid(), "unchanged") == (victim.stat().st_uid, victim.read_text())
    assert {"1", "victim"} == {path.name for path in tmp_path.iterdir()}


def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    """The error is the caller's to tell, and no half of a file stays."""
    old = Beat("w", 1, beat.STARTING)
    beat.write(tmp_path, 1, old)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        with pytest.raises(OSError, match="too large"):
            beat.write(tmp_path, 1, Beat("w", 1, beat.SERVING))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert old == beat.read(tmp_path / "1")
    assert [tmp_path / "1"] == list(tmp_path.iterdir())


def test_a_process_is_told_from_a_later_one(tmp_path: Path) -> None:
    """By when it was started, whatever its program is called; there is none for a dead one."""
    program = tmp_path / "a) S 1 (b"
    program.symlink_to(sys.executable)
    code = "import sys; print(flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [program, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        began = beat.started(process.pid)
        process.communicate()

    own = beat.started(os.getpid())
    assert own is not None
    assert began is not None
    assert 0 < own <= began
    assert beat.started(process.pid) is None
