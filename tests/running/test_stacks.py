"""The stacks of a ward are read to their end, however slowly it writes them."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from hospital.running import protocol
from hospital.running.places import frames_in_dump
from hospital.running.process import WardProcess, make_ends

SLOWLY = """
import os, signal, sys, time

def dump(*_):
    for piece in sys.argv[2:]:
        os.write(int(sys.argv[1]), piece.encode())
        time.sleep(0.03)

signal.signal(int({number}), dump)
print("ready", flush=True)
while True:
    signal.pause()
"""
THREAD = 'Thread 0x7f02 (most recent call first):\n  File "/usr/lib/subprocess.py", line 1955 in '
MAIN = 'Thread 0x7f01 (most recent call first):\n  File "ward.py", line 99 in serve\n'
OUTERMOST = '  File "<frozen runpy>", line 198 in _run_module_as_main\n'

Dumping = Callable[..., WardProcess]


@pytest.fixture
def dumping() -> Iterator[Dumping]:
    """Make processes that write their stacks in pieces, with 30 ms between them."""
    made: list[tuple[subprocess.Popen[str], WardProcess]] = []

    def make(*pieces: str) -> WardProcess:
        ends = make_ends()
        program = SLOWLY.format(number=protocol.DUMP_SIGNAL)
        process = subprocess.Popen(
            [sys.executable, "-c", program, str(ends.dump), *pieces],
            pass_fds=[ends.dump],
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        made.append((process, ends.ward))
        ends.close_theirs()
        assert process.stdout is not None
        assert "ready\n" == process.stdout.readline()
        ends.ward.begin(process.pid)
        return ends.ward

    yield make
    for process, ward in made:
        ward.end(None)
        ward.close()
        process.kill()
        process.communicate()


def test_stacks_are_read_to_their_end(dumping: Dumping) -> None:
    """A busy machine takes a ward its time between two words of them."""
    ward = dumping(THREAD, 'run\n  File "checks.py", line 5 in check\n\n', MAIN, OUTERMOST)

    stacks = ward.stacks()

    assert [("checks.py", 5, "check"), ("/usr/lib/subprocess.py", 1955, "run")] == frames_in_dump(
        stacks, 0x7F02
    )
    assert stacks.endswith(OUTERMOST)


@pytest.mark.parametrize(
    "pieces",
    [
        (THREAD + "run\n\n" + MAIN,),  # of a main thread that is a greenlet
        (THREAD + 'run\n  File "checks.py", line ',),  # of a ward that was stopped
    ],
    ids=["another outermost frame", "no end"],
)
def test_nobody_waits_for_an_end_that_does_not_come(
    dumping: Dumping, pieces: tuple[str, ...]
) -> None:
    """What has come by then is taken, as far as it is whole."""
    ward = dumping(*pieces)
    began = time.monotonic()

    frames = frames_in_dump(ward.stacks(), 0x7F02)

    assert time.monotonic() - began < 2
    assert [("/usr/lib/subprocess.py", 1955, "run")] == frames


def test_a_ward_that_writes_nothing_has_no_stacks(dumping: Dumping) -> None:
    """As one in uninterruptible input or output."""
    assert "" == dumping().stacks()
