"""A log file is written in whole lines, rotated between them, and never in the way."""

import asyncio
import gzip
import json
import os
import resource
import shutil
import signal
import stat
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hospital.supervision.log_files import KEPT_BYTES, LogFile, shared
from hospital.supervision.rotation import rotate

ROOT = Path(__file__).parents[2]


class Clock:
    """Seconds that go forward when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Return a clock that stands still."""
    return Clock()


@contextmanager
def longest_file(size_bytes: int) -> Iterator[None]:
    """Let no file grow beyond *size_bytes*: a write is cut short there, and the next one fails."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def names_in(folder: Path | str) -> set[str]:
    return {path.name for path in Path(folder).iterdir()}


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [vars(record)["event"] for record in caplog.records]


@settings(max_examples=60)
@given(
    writes=st.lists(
        st.lists(st.binary(max_size=40).map(lambda b: b.replace(b"\n", b"")), min_size=1),
        max_size=30,
    ),
    max_bytes=st.integers(0, 120),
    backup_count=st.integers(0, 4),
)
def test_the_files_hold_the_last_lines_whole_and_in_order(
    writes: list[list[bytes]], max_bytes: int, backup_count: int
) -> None:
    """Whatever is written: no file is too long, none is torn, and there are never too many."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log"
        file = LogFile(path, max_bytes, backup_count)

        for lines in writes:
            file.write(b"".join(line + b"\n" for line in lines))
        file.close()

        names = [f"log.{number}" for number in range(backup_count, 0, -1)] + ["log"]
        files = [Path(folder, name).read_bytes() for name in names if Path(folder, name).exists()]
        assert len(files) == len(names_in(folder))
    sent = [line + b"\n" for lines in writes for line in lines]
    assert b"".join(sent).endswith(b"".join(files))
    assert all(content.endswith(b"\n") for content in files)
    if max_bytes:
        assert all(len(each) <= max_bytes or each.count(b"\n") == 1 for each in files)
    else:
        assert b"".join(sent) == b"".join(files)


def test_the_file_is_0640_and_its_folder_0750(tmp_path: Path) -> None:
    """Whatever the umask: who administers the machine reads the logs by their group."""
    before = os.umask(0o077)
    try:
        LogFile(tmp_path / "log" / "web.log").write(b"line\n")
    finally:
        os.umask(before)

    assert 0o750 == stat.S_IMODE((tmp_path / "log").stat().st_mode)
    assert 0o640 == stat.S_IMODE((tmp_path / "log" / "web.log").stat().st_mode)


def test_a_full_disk_tears_no_line(
    tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """Lines are kept up to a limit; what is beyond is counted where it is missing; said once."""
    path = tmp_path / "log"
    file = LogFile(path, clock=clock)
    lines = [b'{"number": %d, "padding": "%s"}\n' % (number, b"x" * 2000) for number in range(600)]

    with longest_file(5000):
        for line in lines:
            file.write(line)
            clock.now += 0.1
        full = path.read_bytes()
    clock.now += 1
    file.write(b'{"number": 600}\n')

    assert b"".join(lines[:2]) == full
    found = [json.loads(line) for line in path.read_bytes().splitlines()]
    lost = [event["lost"] for event in found if event.get("event") == "log_lines_lost"]
    numbers = [event["number"] for event in found if "number" in event]
    assert 1 == len(lost)
    assert 601 == len(numbers) + lost[0]
    assert list(range(len(numbers))) == numbers
    assert KEPT_BYTES - 3000 < sum(map(len, lines[2 : len(numbers)])) <= KEPT_BYTES
    assert ["log_unwritable", "log_writable_again"] == said(caplog)
    assert f"log_unwritable: {path}: File too large" == caplog.messages[0]


def test_what_could_not_be_written_follows_without_another_line(
    tmp_path: Path,
) -> None:
    """In circusd a timer tries again each second."""
    (tmp_path / "log").mkdir()
    file = LogFile(tmp_path / "log")

    async def write() -> None:
        file.write(b"kept\n")
        (tmp_path / "log").rmdir()
        async with asyncio.timeout(10):
            while not (tmp_path / "log").exists():  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.02)

    asyncio.run(write())

    assert b"kept\n" == (tmp_path / "log").read_bytes()


def test_an_unwritable_file_is_tried_once_a_second(tmp_path: Path, clock: Clock) -> None:
    """A thousand lines a second are no thousand attempts."""
    (tmp_path / "log").mkdir()
    file = LogFile(tmp_path / "log", clock=clock)
    file.write(b"1\n")
    (tmp_path / "log").rmdir()

    clock.now += 0.9
    file.write(b"2\n")
    assert not (tmp_path / "log").exists()
    clock.now += 0.2
    file.write(b"3\n")

    assert b"1\n2\n3\n" == (tmp_path / "log").read_bytes()


def test_an_outage_that_comes_and_goes_is_said_once_a_minute(
    tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """A disk that is nearly full would fill the other logs."""
    file = LogFile(tmp_path / "log", clock=clock)
    file.write(b"1\n")

    for _ in range(20):
        clock.now += 2
        with longest_file(1):
            file.write(b"2\n")
        clock.now += 2
        file.write(b"3\n")

    assert ["log_unwritable", "log_writable_again"] * 2 == said(caplog)


@pytest.mark.parametrize("how", ["renamed", "removed", "folder removed", "folder replaced"])
def test_a_file_that_others_take_away_is_made_again(how: str, tmp_path: Path, clock: Clock) -> None:
    """Logrotate renames it, people remove it: a second later lines go to a new one."""
    folder = tmp_path / "log"
    file = LogFile(folder / "web.log", clock=clock)
    file.write(b"before\n")

    if how == "renamed":
        (folder / "web.log").rename(folder / "web.log.1")
    else:
        (folder / "web.log").unlink()
    if how.startswith("folder"):
        folder.rmdir()
    if how == "folder replaced":
        folder.symlink_to(tmp_path / "other")
        (tmp_path / "other").mkdir()
    clock.now += 1
    file.write(b"after\n")

    assert b"after\n" == (folder / "web.log").read_bytes()


def test_a_file_that_others_truncate_is_written_on(tmp_path: Path, clock: Clock) -> None:
    """As logrotate does with ``copytruncate``: no hole is left, and the size is counted anew."""
    path = tmp_path / "log"
    file = LogFile(path, max_bytes=20, backup_count=3, clock=clock)
    file.write(b"0123456789\n")

    os.truncate(path, 0)
    clock.now += 1
    file.write(b"0123456789\n")

    assert {"log"} == names_in(tmp_path)
    assert b"0123456789\n" == path.read_bytes()


@pytest.mark.skipif(shutil.which("logrotate") is None, reason="install logrotate")
@pytest.mark.parametrize("option", ["delaycompress", "copytruncate"])
def test_logrotate_works_as_documented(option: str, tmp_path: Path, clock: Clock) -> None:
    """The recipe of the reference, run by the real one: no line is lost, nobody is told."""
    documented = (ROOT / "docs/reference/logs.md").read_text()
    recipe = "/var/log/" + documented.partition("```text\n/var/log/")[2].partition("```")[0]
    folder = tmp_path / "log"
    recipe = recipe.replace("/var/log/hospital", str(folder)).replace("delaycompress", option)
    (tmp_path / "recipe").write_text(recipe)
    (tmp_path / "recipe").chmod(0o644)
    file = LogFile(folder / "web.log", clock=clock)

    for number in range(4):
        file.write(b"%d\n" % number)
        command = ["logrotate", "--force", "--state", f"{tmp_path}/state", f"{tmp_path}/recipe"]
        subprocess.run(command, check=True, capture_output=True)
        if option == "delaycompress":
            file.write(b"%d at once\n" % number)
        clock.now += 1

    files = [folder / "web.log", *sorted(folder.glob("web.log.*"))]
    found = b"".join(
        gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        for path in reversed(files)
        if path.exists()
    )
    late = b" at once\n" if option == "delaycompress" else None
    expected = [b"%d\n" % number + (b"%d" % number + late if late else b"") for number in range(4)]
    assert recipe
    assert b"".join(expected) == found
    assert 4 <= len(names_in(folder)) <= 5


def test_a_rotation_by_others_is_not_repeated(tmp_path: Path, clock: Clock) -> None:
    """A file that was just renamed by logrotate is not pushed on as ours."""
    path = tmp_path / "log"
    file = LogFile(path, max_bytes=15, backup_count=3, clock=clock)
    file.write(b"0123456789\n")
    path.rename(tmp_path / "taken")

    file.write(b"abcdefghij\n")

    assert {"log", "taken"} == names_in(tmp_path)
    assert b"abcdefghij\n" == path.read_bytes()


@pytest.mark.parametrize("kind", ["link", "folder", "pipe"])
def test_what_is_no_file_is_refused(
    kind: str, tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """A link could lead anywhere, a pipe would block; it is said why, and tried again."""
    path, victim = tmp_path / "log", tmp_path / "victim"
    victim.write_bytes(b"unchanged\n")
    if kind == "link":
        path.symlink_to(victim)
    elif kind == "folder":
        path.mkdir()
    else:
        os.mkfifo(path)
    file = LogFile(path, clock=clock)

    file.write(b"kept\n")
    path.rename(tmp_path / "away")
    clock.now += 1
    file.write(b"new\n")

    assert b"unchanged\n" == victim.read_bytes()
    assert b"kept\nnew\n" == path.read_bytes()
    reasons = {
        "link": "Too many levels of symbolic links; it is a symbolic link; link its folder instead",
        "folder": "Is a directory; there is a folder of that name; move it away",
        "pipe": "it is no file; move it away",
    }
    assert f"log_unwritable: {path}: {reasons[kind]}" == caplog.messages[0]


def test_a_device_takes_lines_and_is_not_rotated(tmp_path: Path, clock: Clock) -> None:
    """``/dev/null`` is a way to keep no log; as root it would otherwise be renamed."""
    before = Path("/dev/null").stat()
    file = LogFile("/dev/null", max_bytes=10, backup_count=3, clock=clock)

    for _ in range(10):
        file.write(b"0123456789\n")

    assert before.st_ino == Path("/dev/null").stat().st_ino
    assert not file._waiting


def test_a_line_that_was_torn_before_is_ended(tmp_path: Path) -> None:
    """A machine that lost its power has left half a line; the next one begins a line."""
    (tmp_path / "log").write_bytes(b"whole\nhal")

    LogFile(tmp_path / "log").write(b"next\n")

    assert b"whole\nhal\nnext\n" == (tmp_path / "log").read_bytes()


def test_a_file_that_cannot_be_rotated_is_written_on(
    tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """Better too long than without the lines; it is said, and tried again after a minute."""
    path, obstacle = tmp_path / "log", tmp_path / "log.1"
    (obstacle / "full").mkdir(parents=True)
    file = LogFile(path, max_bytes=10, backup_count=1, clock=clock)

    for number in range(5):
        file.write(b"line %d\n" % number)
        clock.now += 1
    too_long = path.read_bytes()
    obstacle.rename(tmp_path / "away")
    clock.now += 60
    file.write(b"line 5\n")

    assert b"".join(b"line %d\n" % number for number in range(5)) == too_long
    assert b"line 5\n" == path.read_bytes()
    assert too_long == obstacle.read_bytes()
    assert ["log_not_rotated"] == said(caplog)


def test_a_rotation_pushes_no_further_than_the_first_gap(tmp_path: Path) -> None:
    """What one has taken away to read makes room; nothing is lost for it."""
    for name in ("log", "log.1", "log.3"):
        (tmp_path / name).write_text(name)

    rotate(str(tmp_path / "log"), 3)

    assert {"log.1": "log", "log.2": "log.1", "log.3": "log.3"} == {
        path.name: path.read_text() for path in tmp_path.iterdir()
    }


@pytest.mark.parametrize("count", [0, 1, 5])
def test_a_smaller_count_removes_the_old_ones(tmp_path: Path, count: int) -> None:
    """Only what a rotation of ours has named: the numbers that follow, without a gap."""
    others = {"log.9", "log.14", "log.20261120", "log.7.gz", "log.x", "log.²", "other.7"}
    for name in ("log", *(f"log.{number}" for number in range(1, 8)), *others):
        (tmp_path / name).touch()

    rotate(str(tmp_path / "log"), count)

    kept = {f"log.{number}" for number in range(1, count + 1)}
    assert kept | others == names_in(tmp_path)


def test_a_folder_of_a_number_is_no_old_file(tmp_path: Path) -> None:
    """It stays, and is in nobody's way."""
    (tmp_path / "log").touch()
    (tmp_path / "log.3").mkdir()

    rotate(str(tmp_path / "log"), 2)

    assert {"log.1", "log.3"} == names_in(tmp_path)


def test_threads_and_signal_handlers_may_write(tmp_path: Path) -> None:
    """Circusd logs in its signal handlers, which interrupt anything."""
    file = LogFile(tmp_path / "log", max_bytes=20_000, backup_count=100)
    numbers = count()

    def interrupt(*_: object) -> None:
        file.write(b"signal %d %s\n" % (next(numbers), b"x" * 50))

    def write(name: bytes) -> None:
        for number in range(2000):
            file.write(b"%s %d %s\n" % (name, number, b"x" * 50))

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.0005)
    try:
        threads = [threading.Thread(target=write, args=[b"%d" % number]) for number in range(3)]
        for thread in threads:
            thread.start()
        write(b"main")
        for thread in threads:
            thread.join()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    file.close()

    lines = b"".join(path.read_bytes() for path in tmp_path.iterdir()).splitlines()
    interrupted = next(numbers)
    assert interrupted > 0
    assert 8000 + interrupted == len(set(lines)) == len(lines)
    assert all(line.endswith(b" " + b"x" * 50) and 3 == len(line.split()) for line in lines)


def test_streams_of_one_file_share_one_writer(tmp_path: Path) -> None:
    """However the folder is named; the limits are those given last."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")

    first = shared(tmp_path / "real" / "log", 10, 1)
    second = shared(tmp_path / "link" / "log", 20, 2)

    assert first is second
    assert (20, 2) == (first.max_bytes, first.backup_count)


def test_lines_follow_a_link_to_another_folder(tmp_path: Path) -> None:
    """Who moves the logs to another disk need not tell circusd."""
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
    link = tmp_path / "link"
    link.symlink_to("old")
    file = shared(link / "log")
    file.write(b"1\n")

    link.unlink()
    link.symlink_to("new")
    file.close()
    file.write(b"2\n")

    assert file is shared(link / "log") is shared(tmp_path / "new" / "log")
    assert file is not shared(tmp_path / "old" / "log")
    assert b"1\n" == (tmp_path / "old" / "log").read_bytes()
    assert b"2\n" == (tmp_path / "new" / "log").read_bytes()


def test_one_that_is_closed_goes_on_for_the_other(tmp_path: Path) -> None:
    """Circus closes the stream of a watcher that it makes anew."""
    file = shared(tmp_path / "log")
    file.write(b"1\n")

    file.close()
    descriptors = names_in("/proc/self/fd")
    shared(tmp_path / "log").write(b"2\n")

    assert b"1\n2\n" == (tmp_path / "log").read_bytes()
    file.close()
    assert len(descriptors) == len(names_in("/proc/self/fd"))


def test_a_write_never_raises(tmp_path: Path, clock: Clock) -> None:
    """Not even where its folder cannot be made and its name is impossible."""
    for path in (tmp_path / "no" / "such" / "folder" / "log", tmp_path / ("x" * 300), "/proc/log"):
        file = LogFile(path, clock=clock)

        file.write(b"kept\n")
        file.close()

        assert [b"kept\n"] == list(file._waiting)


def test_it_keeps_up() -> None:
    """2,000 lines a second of 2 KB cost a fraction of a core; here 20 times as many are quick."""
    with tempfile.TemporaryDirectory() as folder:
        file = LogFile(Path(folder) / "log", 5_000_000, 2)
        line = b"x" * 1999 + b"\n"
        begun = time.process_time()

        for _ in range(4000):
            file.write(line)

        assert time.process_time() - begun < 1
