"""What circusd remembers of the processes of a watcher: those that end, and those that begin."""

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hospital.serving import beat
from hospital.serving.beat import DRAINING, SERVING, STARTING, Beat
from hospital.settings import START_DELAY_VARIABLE
from hospital.supervision.care import OPTION, Care
from hospital.supervision.reloading import Arrival, await_arrival, exit_code
from tests.circus_bundle import poll

SLEEP = [sys.executable, "-S", "-c", "import time; time.sleep(60)"]
LOGGER = logging.getLogger("circus")


class Process:
    """A real process, with what is asked of a Circus one."""

    uid = gid = None
    stopping = False

    def __init__(self) -> None:
        self.popen = subprocess.Popen(SLEEP, stdin=subprocess.DEVNULL)
        self.pid = self.popen.pid

    def poll(self) -> int | None:
        return self.popen.poll()


class Loop:
    """Circus's event loop, that runs what is due when the test says so."""

    def __init__(self) -> None:
        self.due: list[Callable[[], None]] = []

    def add_callback(self, callback: Callable[[], None]) -> None:
        self.due.append(callback)

    def call_later(self, _delay_s: float, callback: Callable[[], None]) -> None:
        self.due.append(callback)

    def go_round(self) -> None:
        due, self.due = self.due, []
        for callback in due:
            callback()


class Watcher:
    """What Care touches of a Circus watcher."""

    name = "web"
    numprocesses = 2
    stop_signal = signal.SIGTERM
    stream_redirector = None
    stdout_stream = stderr_stream = None

    def __init__(self, folder: Path) -> None:
        self.working_dir = str(folder)
        self.env = {"HOSPITAL_HEARTBEAT_DIR": "beats"}
        self.processes: dict[int, Process] = {}
        self.loop = Loop()
        self.optnames: tuple[str, ...] = ("cmd",)
        self._options: dict[str, Any] = {}
        self.status = "active"

    def is_active(self) -> bool:
        return self.status == "active"

    def is_stopping(self) -> bool:
        return self.status == "stopping"

    def is_stopped(self) -> bool:
        return self.status == "stopped"


class House:
    """A watcher, the care for it, and a clock that the test sets."""

    def __init__(self, folder: Path) -> None:
        self.beats = folder / "beats"
        self.beats.mkdir()
        self.watcher = Watcher(folder)
        self.now_s = 100.0
        self.care = Care(self.watcher, object(), LOGGER, clock=lambda: self.now_s)
        self.all: list[Process] = []

    def spawn(self, state: str = "") -> Process:
        """Start a process as circusd does; it has come to be in *state*."""
        assert self.care.may_spawn()
        process = Process()
        self.all.append(process)
        self.watcher.processes[process.pid] = process
        assert self.care.born(process.pid)
        if state:
            self.say(process, state)
        return process

    def say(self, process: Process, state: str, fault: str | None = None) -> None:
        started = beat.started(process.pid)
        assert started is not None
        beat.write(self.beats, process.pid, Beat("web", started, state, fault))

    def reap(self, process: Process, number: int = signal.SIGKILL, code: int | None = None) -> None:
        """Let a process end, and circusd notice."""
        process.popen.send_signal(number)
        poll(lambda: exit_code(process.pid) is not None)
        self.care.dying(process.pid)
        del self.watcher.processes[process.pid]
        ended = process.popen.wait()
        self.care.died(process.pid, ended if code is None else code)

    @property
    def delay(self) -> str | None:
        return self.watcher.env.get(START_DELAY_VARIABLE)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A watcher without processes."""
    made = House(tmp_path)
    yield made
    for process in made.all:
        process.popen.kill()
        process.popen.wait()


def fail(house: House, times: int) -> None:
    """Let processes end before they serve, each as soon as it has begun."""
    for _ in range(times):
        process = house.spawn()
        house.now_s += float(house.delay or 0) + 0.1
        house.reap(process, code=1)
        house.now_s += 0.9


def test_a_new_process_has_a_heartbeat_at_once(house: House) -> None:
    """So that the guard knows it even if it never gets as far as beating."""
    process = house.spawn()

    said = beat.read(beat.path_of(house.beats, process.pid))

    assert Beat("web", beat.started(process.pid) or 0, STARTING) == said


def test_a_process_that_was_faster_than_the_hook_keeps_its_own(house: House) -> None:
    """What it said itself is newer."""
    assert house.care.may_spawn()
    process = Process()
    house.all.append(process)
    house.watcher.processes[process.pid] = process
    house.say(process, SERVING)

    house.care.born(process.pid)

    said = beat.read(beat.path_of(house.beats, process.pid))
    assert said is not None
    assert SERVING == said.state


def test_the_heartbeat_of_the_dead_is_removed(house: House) -> None:
    """Nobody misses it."""
    process = house.spawn(SERVING)

    house.reap(process)

    assert [] == list(house.beats.iterdir())


@pytest.mark.parametrize(
    ("state", "code", "lived_s", "said"),
    [
        (STARTING, 3, 0.3, "ended before it served, after 0.3 s: exit code 3"),
        (STARTING, 0, 0.3, "ended before it served, after 0.3 s: exit code 0"),
        (SERVING, 1, 60.0, "ended after 60.0 s: exit code 1"),
        (SERVING, -9, 60.0, "ended after 60.0 s: signal 9 (SIGKILL)"),
        (SERVING, -11, 1.0, "ended after 1.0 s: signal 11 (SIGSEGV)"),
        (SERVING, 0, 60.0, ""),
        (DRAINING, -9, 60.0, ""),
        ("", 0, 60.0, ""),
    ],
)
def test_an_end_that_nobody_asked_for_is_said(  # noqa: PLR0913, PLR0917 - a row of the table
    house: House,
    caplog: pytest.LogCaptureFixture,
    state: str,
    code: int,
    lived_s: float,
    said: str,
) -> None:
    """How, and after what time; one that gave way after it served is no news."""
    process = house.spawn(state)
    if not state:
        beat.remove(house.beats, process.pid)  # as a worker does that ends as it should
    house.now_s += lived_s

    with caplog.at_level(logging.WARNING, logger="circus"):
        house.reap(process, code=code)

    lines = [record.getMessage() for record in caplog.records]
    assert ([f"web worker {process.pid} {said}"] if said else []) == lines


@pytest.mark.parametrize("how", ["stopping", "stopped", "told"])
def test_an_end_that_was_asked_for_is_not(
    house: House, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    """Neither at a stop of the watcher nor when a single process is told to go."""
    process = house.spawn()
    if how == "told":
        process.stopping = True
    else:
        house.watcher.status = how

    with caplog.at_level(logging.WARNING, logger="circus"):
        house.reap(process)

    assert [] == caplog.records


def test_what_it_said_itself_is_the_cause(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """A worker that cannot begin leaves it in its heartbeat file."""
    process = house.spawn()
    house.say(process, STARTING, "cannot import the application")

    with caplog.at_level(logging.WARNING, logger="circus"):
        house.reap(process, code=1)

    assert "exit code 1: cannot import the application" in caplog.text


def test_young_deaths_space_the_next_starts(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """More with each; the log counts them and names the cause, and so does an option."""
    with caplog.at_level(logging.ERROR, logger="circus"):
        fail(house, 3)
        house.spawn()

    assert "4.00" > str(house.delay) > "2.90"
    assert "web has failed 3 times in a row: exit code 1; the next start waits " in caplog.text
    assert "failed 3 times" in house.watcher._options[OPTION]
    assert ("cmd", OPTION) == house.watcher.optnames


def test_who_serves_for_a_while_ends_the_row(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said, and the next one does not wait."""
    fail(house, 3)
    process = house.spawn(SERVING)
    house.now_s += float(house.delay or 0) + 4.9
    house.watcher.loop.go_round()
    assert OPTION in house.watcher._options

    house.now_s += 0.2
    with caplog.at_level(logging.WARNING, logger="circus"):
        house.watcher.loop.go_round()

    assert "web works again, after 3 failures in a row" in caplog.text
    assert {} == house.watcher._options
    house.reap(process)
    house.spawn()
    assert house.delay is None


def test_another_that_serves_all_the_while_does_not_end_it(house: House) -> None:
    """It runs the code of before; the new code fails all the same."""
    house.spawn(SERVING)
    house.now_s += 3600.0

    fail(house, 3)
    house.spawn()

    assert house.delay is not None


def test_to_be_killed_is_not_to_fail(house: House) -> None:
    """Not even thrice in a row, right after it began to serve."""
    for _ in range(3):
        house.reap(house.spawn(SERVING))
        house.now_s += 1.0

    house.spawn()

    assert house.delay is None


def test_who_is_let_go_of_without_a_word_counts_too(house: House) -> None:
    """Circus drops a process without its hooks where it dies between two of its looks."""
    for _ in range(3):
        process = house.spawn()
        house.now_s += float(house.delay or 0) + 0.1
        process.popen.kill()
        process.popen.wait()
        del house.watcher.processes[process.pid]

    house.spawn()

    assert house.delay is not None


@pytest.mark.parametrize("beats", [True, False])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_who_is_told_to_end_and_let_go_of_does_not_count(
    house: House,
    caplog: pytest.LogCaptureFixture,
    number: signal.Signals,
    beats: bool,  # noqa: FBT001 - a column
) -> None:
    """As in a reload, and a ``decr``: circusd ends them itself, and reaps them without a hook."""
    if not beats:
        house.watcher.env.clear()
    with caplog.at_level(logging.WARNING, logger="circus"):
        for _ in range(3):
            process = house.spawn()
            house.now_s += float(house.delay or 0) + 0.1
            house.care.told(process.pid, number)
            process.popen.send_signal(number)
            process.popen.wait()
            del house.watcher.processes[process.pid]
        house.spawn()

    assert [] == caplog.records
    assert house.delay is None


def test_to_be_told_something_else_or_too_late_is_to_end_unasked(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    """A signal that ends nobody excuses nobody, and nor does one to the dead."""
    hung_up, dead = house.spawn(), house.spawn()
    house.care.told(hung_up.pid, signal.SIGHUP)
    dead.popen.kill()
    poll(lambda: exit_code(dead.pid) is not None)
    house.care.told(dead.pid, signal.SIGTERM)

    with caplog.at_level(logging.WARNING, logger="circus"):
        house.reap(hung_up)
        house.reap(dead)

    assert 2 == caplog.text.count("ended before it served")


def test_who_ends_while_a_reload_replaces_it_is_said_and_does_not_count(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    """While circusd waits for the new one it sees nothing, and then lets go of it silently."""
    old, broken = house.spawn(SERVING), house.spawn()
    house.now_s += 0.2
    broken.popen.terminate()
    poll(lambda: exit_code(broken.pid) is not None)
    assert house.care.may_spawn()
    new = Process()
    house.all.append(new)
    house.watcher.processes[new.pid] = new
    house.say(new, SERVING)

    with caplog.at_level(logging.WARNING, logger="circus"):
        assert house.care.born(new.pid)
        del house.watcher.processes[broken.pid]
        house.now_s += 0.1
        house.watcher.loop.go_round()

    (said,) = caplog.messages
    assert f"worker {broken.pid} ended before it served, after 0.3 s: signal 15" in said
    house.reap(old)
    house.spawn()
    assert house.delay is None
    house.reap(new, code=1)  # and the new one counts
    house.spawn()
    assert house.delay is not None


def test_a_folder_that_cannot_be_written_is_said_once(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    """The processes start all the same."""
    house.beats.rmdir()

    with caplog.at_level(logging.WARNING, logger="circus"):
        house.spawn()
        house.spawn()

    (record,) = caplog.records
    assert "cannot write heartbeat files in " in record.getMessage()


class Arriving:
    """A process that is waited for, and a clock that goes on while somebody sleeps."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process = Process()
        self.now_s = 0.0
        self.at: dict[float, Callable[[], None]] = {}

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds
        for due_s in [each for each in self.at if each <= self.now_s]:
            self.at.pop(due_s)()

    def say(self, state: str, fault: str | None = None) -> None:
        started = beat.started(self.process.pid)
        assert started is not None
        beat.write(self.folder, self.process.pid, Beat("web", started, state, fault))

    def kill(self) -> None:
        self.process.popen.kill()
        poll(lambda: exit_code(self.process.pid) is not None)

    def arrival(self, folder: Path | None) -> Arrival:
        return await_arrival(
            self.process.pid,
            folder,
            10.0,
            drain=lambda: None,
            clock=lambda: self.now_s,
            sleep=self.sleep,
        )


@pytest.fixture
def arriving(tmp_path: Path) -> Iterator[Arriving]:
    """One that lives, and has said nothing yet."""
    made = Arriving(tmp_path)
    yield made
    made.process.popen.kill()
    made.process.popen.wait()


def test_who_serves_has_arrived(arriving: Arriving) -> None:
    """As soon as it says so."""
    arriving.at = {1.0: lambda: arriving.say(STARTING), 2.0: lambda: arriving.say(SERVING)}

    arrival = arriving.arrival(arriving.folder)

    assert (True, False) == (arrival.is_good, arrival.is_late)
    assert arriving.now_s == pytest.approx(2.0, abs=0.1)


def test_who_serves_and_is_of_no_use_has_not(arriving: Arriving) -> None:
    """It says why."""
    arriving.at = {1.0: lambda: arriving.say(SERVING, "no checks")}

    assert Arrival(is_up=True, said="no checks") == arriving.arrival(arriving.folder)


@pytest.mark.parametrize("beats", [True, False])
def test_who_ends_has_not_arrived(arriving: Arriving, beats: bool) -> None:  # noqa: FBT001 - a column
    """Its exit status stays for circusd to collect."""
    arriving.at = {0.5: arriving.kill}

    arrival = arriving.arrival(arriving.folder if beats else None)

    assert Arrival(code=-signal.SIGKILL) == arrival
    assert (arriving.process.pid, signal.SIGKILL) == os.waitpid(arriving.process.pid, 0)


def test_who_says_nothing_is_late_at_the_end_of_its_time(arriving: Arriving) -> None:
    """And not before."""
    arrival = arriving.arrival(arriving.folder)

    assert arrival.is_late
    assert arriving.now_s == pytest.approx(10.0, abs=0.1)


def test_who_does_not_beat_has_arrived_when_it_lives_for_a_second(arriving: Arriving) -> None:
    """There is nothing else to go by."""
    assert arriving.arrival(None).is_good
    assert arriving.now_s == pytest.approx(1.0, abs=0.1)


def state_of(process: Process) -> str:
    """Return the letter of the process's state; T where it is stopped."""
    said = Path(f"/proc/{process.pid}/stat").read_text()
    return said.rpartition(") ")[2][0]


def test_who_dies_before_it_can_wait_is_held_back(house: House) -> None:
    """Its environment is broken, so it never reads how long it has to wait: circusd stops it."""
    fail(house, 3)
    deaf = house.spawn()
    assert float(house.delay or 0) > 1
    assert state_of(deaf) != "T"
    house.reap(deaf, code=1)

    held = house.spawn()

    poll(lambda: state_of(held) == "T")
    house.watcher.loop.go_round()
    poll(lambda: state_of(held) != "T")


def test_who_waits_by_itself_is_not_held_back(house: House) -> None:
    """However often it fails."""
    fail(house, 5)

    process = house.spawn()

    assert float(house.delay or 0) > 1
    assert state_of(process) != "T"
