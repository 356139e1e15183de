"""Log lines are queued and written by a thread, so that no reader can stop the service."""

import errno
import fcntl
import json
import os
import pty
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from hospital.log_queue import LONGEST_QUEUE, QueuedWriter, _Asking, open_sender

STALLED = """
    {patch}
    import json, os, sys, time
    from hospital.logs import configure, flush, get_logger
    configure(fd=int(sys.argv[1]))
    logger = get_logger("test")
    longest = 0.0
    for number in range(12000):
        began = time.perf_counter()
        logger.info("line", number=number, padding="x" * 200)
        longest = max(longest, time.perf_counter() - began)
        if number % 100 == 0:
            time.sleep(0.001)
    print(longest, flush=True)
    sys.stdin.readline()      # by now the reader reads again
    while not flush():
        pass
    logger.info("last")
"""
PATCHES = {"threads": "", "gevent": "from gevent import monkey; monkey.patch_all()"}


@pytest.fixture
def open_writer() -> Iterator[Callable[[int], QueuedWriter]]:
    """Return a function that opens a writer, which is closed when the test ends."""
    with ExitStack() as stack:

        def begin(fd: int) -> QueuedWriter:
            writer = QueuedWriter(fd, lambda number: b"dropped %d\n" % number)
            stack.callback(writer.close)
            return writer

        yield begin


def until(condition: Callable[[], bool], within_s: float = 10.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come about"
        time.sleep(0.002)


def test_lines_are_written_in_order(
    open_writer: Callable[[int], QueuedWriter], tmp_path: Path
) -> None:
    """Flush waits for them, and the descriptor may have been closed meanwhile."""
    path = tmp_path / "log"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT)
    writer = open_writer(fd)
    os.close(fd)

    for number in range(1000):
        writer.put(b"%d\n" % number)

    assert writer.flush(10)
    assert [b"%d" % number for number in range(1000)] == path.read_bytes().split()


@pytest.mark.parametrize("kind", PATCHES)
def test_a_reader_that_stops_stops_nobody(kind: str) -> None:
    """Logging goes on at once; what is missing afterwards is what the log says was dropped."""
    read_end, write_end = os.pipe()
    code = textwrap.dedent(STALLED).format(patch=PATCHES[kind])
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(write_end)],
        pass_fds=[write_end],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    os.close(write_end)
    try:
        assert process.stdout is not None
        assert process.stdin is not None
        longest_s = float(process.stdout.readline())
        process.stdin.write("\n")
        process.stdin.flush()
        with os.fdopen(read_end, "rb") as pipe:
            lines = [json.loads(line) for line in pipe]
        assert 0 == process.wait(20)
    finally:
        process.kill()
        process.communicate()

    numbers = [line["number"] for line in lines if line["event"] == "line"]
    dropped = sum(line["dropped"] for line in lines if line["event"] == "log_lines_dropped")
    assert longest_s < 0.5
    assert dropped > 0
    assert 12000 == len(numbers) + dropped
    assert sorted(numbers) == numbers
    assert "last" == lines[-1]["event"]


def test_no_flag_of_a_shared_descriptor_changes() -> None:
    """O_NONBLOCK would belong to the shell that started us, too."""
    read_end, write_end = os.pipe()
    left, right = socket.socketpair()
    leader, follower = pty.openpty()
    fds = [write_end, left.fileno(), follower]
    before = [fcntl.fcntl(fd, fcntl.F_GETFL) for fd in fds]

    senders = [open_sender(fd) for fd in fds]
    sent = [sender.send(b"line\n") for sender in senders]

    assert [5, 5, 5] == sent
    assert before == [fcntl.fcntl(fd, fcntl.F_GETFL) for fd in fds]
    assert [b"line\n", b"line\n"] == [os.read(read_end, 9), right.recv(9)]
    for sender in senders:
        sender.close()
    for fd in (read_end, write_end, leader, follower):
        os.close(fd)
    left.close()
    right.close()


@pytest.mark.parametrize("kind", ["pipe", "socket", "terminal"])
def test_a_full_channel_is_an_error_and_no_wait(kind: str) -> None:
    """Whatever standard output is, writing to it returns at once."""
    with ExitStack() as stack:
        if kind == "socket":
            left, right = socket.socketpair()
            stack.enter_context(left)
            stack.enter_context(right)
            fd = left.fileno()
        else:
            other, fd = pty.openpty() if kind == "terminal" else os.pipe()
            stack.callback(os.close, other)
            stack.callback(os.close, fd)
        sender = open_sender(fd)
        stack.callback(sender.close)

        with pytest.raises(BlockingIOError) as caught:  # noqa: PT012 - it may take one call or many
            for _ in range(100_000):
                sender.send(b"x" * 79 + b"\n")

    assert errno.EAGAIN == caught.value.errno


def test_a_pipe_of_another_user_is_asked_for_room() -> None:
    """What may not be opened a second time takes what a pipe takes at once, or nothing."""
    read_end, write_end = os.pipe()
    sender = _Asking(write_end)

    with pytest.raises(BlockingIOError):  # noqa: PT012 - the pipe has to be filled first
        for _ in range(100_000):
            sender.send(b"x" * 10_000)

    assert 4096 == len(os.read(read_end, 4096))
    assert 4096 == sender.send(b"x" * 10_000)
    sender.close()
    os.close(read_end)


def test_lines_go_on_whole_when_the_disk_has_room_again(
    open_writer: Callable[[int], QueuedWriter], tmp_path: Path
) -> None:
    """A full disk is waited for, by the thread and nobody else."""
    writer = open_writer(os.open("/dev/full", os.O_WRONLY))
    sender = open_sender(os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT))

    writer.put(b"kept\n")
    assert not writer.flush(0.05)
    writer._sender = sender

    assert writer.flush(10)
    assert b"kept\n" == (tmp_path / "log").read_bytes()


def test_a_reader_that_is_gone_is_nobodys_problem(
    open_writer: Callable[[int], QueuedWriter],
) -> None:
    """Lines are dropped from then on, at once."""
    read_end, write_end = os.pipe()
    writer = open_writer(write_end)
    os.close(write_end)
    os.close(read_end)

    for _ in range(LONGEST_QUEUE * 2):
        writer.put(b"x\n")

    assert writer.flush(10)


def test_a_descriptor_that_is_not_open_is_nobodys_problem(
    open_writer: Callable[[int], QueuedWriter],
) -> None:
    """There is nowhere to write to, and nobody to tell."""
    read_end, write_end = os.pipe()
    os.close(write_end)
    os.close(read_end)

    writer = open_writer(write_end)
    writer.put(b"x\n")

    assert writer.flush(10)


def test_long_lines_are_the_first_to_be_dropped(
    open_writer: Callable[[int], QueuedWriter],
) -> None:
    """So the queue is bounded in bytes, too."""
    read_end, write_end = os.pipe()
    writer = open_writer(write_end)
    os.close(write_end)
    long, short = b"x" * 30_000 + b"\n", b"y\n"

    for _ in range(LONGEST_QUEUE):
        writer.put(long)
    writer.put(short)
    with os.fdopen(read_end, "rb") as pipe:
        first = [pipe.readline() for _ in range(900)]
        found = b""
        while found != short:
            found = pipe.readline()
            first.append(found)

    dropped = [int(line.split()[1]) for line in first if line.startswith(b"dropped")]
    assert LONGEST_QUEUE == sum(dropped) + first.count(long)
    assert first.count(long) <= LONGEST_QUEUE // 4 + 3


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_child_writes_its_own_lines_only(
    open_writer: Callable[[int], QueuedWriter], tmp_path: Path
) -> None:
    """What the parent has queued is written once, and the child has a thread of its own."""
    path = tmp_path / "log"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    writer = open_writer(fd)
    os.close(fd)
    writer.put(b"parent\n")

    pid = os.fork()
    if pid == 0:
        with suppress(BaseException):
            writer.put(b"child\n")
            writer.flush(10)
        os._exit(0)
    os.waitpid(pid, 0)

    assert writer.flush(10)
    assert [b"child", b"parent"] == sorted(path.read_bytes().split())


@pytest.mark.parametrize("kind", PATCHES)
def test_what_is_queued_is_written_at_exit(kind: str) -> None:
    """The last words of a program are the most important ones."""
    code = f"""
        {PATCHES[kind]}
        from hospital.logs import configure, get_logger
        configure()
        for number in range(3000):
            get_logger("test").info("line", number=number)
    """
    found = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, timeout=30, check=True
    )

    assert b"" == found.stderr
    assert 3000 == found.stdout.count(b"\n")


@pytest.mark.parametrize("kind", PATCHES)
def test_what_was_dropped_is_said_by_the_exit(kind: str) -> None:
    """A program that ends before its log is read accounts for every line."""
    code = f"""
        {PATCHES[kind]}
        import sys
        from hospital.logs import configure, get_logger
        configure()
        for number in range({LONGEST_QUEUE + 2000}):
            get_logger("test").info("line", number=number)
        print("logged", file=sys.stderr, flush=True)
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert b"logged\n" == process.stderr.readline()

        lines = [json.loads(line) for line in process.stdout]

    dropped = [line["dropped"] for line in lines if line["event"] == "log_lines_dropped"]
    assert sum(dropped) > 0
    assert LONGEST_QUEUE + 2000 == sum(dropped) + len(lines) - len(dropped)
