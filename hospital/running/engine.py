"""Wards as an engine: which work runs in which ward, and what a dead or silent ward means."""

import os
import select
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from hospital.errors import WardError
from hospital.model import Outcome
from hospital.running import protocol
from hospital.running.drive import (
    Abandoned,
    Died,
    Event,
    Finished,
    Interrupted,
    Started,
    siblings,
)
from hospital.running.loadable import Load
from hospital.running.occupancy import (
    EOF_GRACE_S,
    SILENCE_S,
    Assignment,
    Ward,
    how_it_ended,
    is_over,
    is_quiet,
)
from hospital.running.order import Work
from hospital.running.output import OnOutput
from hospital.running.places import frames_in_dump, innermost, shown
from hospital.running.process import WardProcess, is_alive, make_ends, spawn

THREADS = 64
_BACKLOG = 128
_CROWDED_S = 0.03
_MOST_ALONE = 64
_ROOM = 1_000_000
_MOST_FAILURES = 3


@dataclass(frozen=True, slots=True)
class Manner:
    """How wards are run.

    Attributes:
        jobs: The most checks at a time; None for as many as are useful.
        nice: How much wards yield to other processes, 0 to 19.
        token: In the environment of each ward.
        on_output: Called with the id of a check and text that it printed.
    """

    jobs: int | None
    nice: int
    token: str
    on_output: OnOutput


class WardEngine:
    """Wards as an engine of :class:`hospital.running.drive.Driver`.

    Args:
        load: What each ward has to load, and which modules it must not.
        manner: How wards are run.
        undead: Checks whose ward could not be killed: since when, and its pid.
        first: A ward that has been started already and has loaded nothing.
    """

    def __init__(
        self,
        load: Callable[[], Load],
        manner: Manner,
        undead: dict[str, tuple[float, int]],
        first: WardProcess | None = None,
    ) -> None:
        jobs = manner.jobs
        self._make_load = load
        self._manner = manner
        self._first = first
        self._most_wards = min(4, os.cpu_count() or 1, -(-(jobs or 4 * THREADS) // THREADS))
        self._threads = min((jobs or 4 * THREADS) // self._most_wards, THREADS)
        self._most_alone = min(jobs or _MOST_ALONE, _MOST_ALONE)
        self.wards: list[Ward] = []
        self.zygote: Ward | None = None
        self.stopping = False
        self.undead = undead
        self._queue: deque[Work] = deque()
        self._alone_queue: deque[Work] = deque()
        self._number = 0
        self._failures = 0
        self._events: list[Event] = []

    # What the driver asks for

    @property
    def room(self) -> int:
        """How many more works it takes now."""
        return _ROOM

    @property
    def busy(self) -> bool:
        """Whether a work that it took has not ended."""
        return bool(
            self._queue
            or self._alone_queue
            or any(not each.lost for ward in self.wards for each in ward.assignments.values())
            or any(ward.deferred for ward in self.wards)
        )

    def submit(self, work: Work) -> None:
        """Take a work."""
        (self._alone_queue if work.alone else self._queue).append(work)

    def hanging_since(self, check_id: str) -> float | None:
        """Return since when an instance that could not be killed hangs."""
        since, pid = self.undead.get(check_id, (None, 0))
        if since is not None and not is_alive(pid):
            del self.undead[check_id]
            return None
        return since

    def wait(self, seconds: float) -> list[Event]:
        """Return what happened, waiting at most *seconds* for the first event."""
        self._stop_if_asked()
        self._dispatch()
        self._poll(seconds)
        self._bury()
        events, self._events = self._events, []
        return events

    def _stop_if_asked(self) -> None:
        if self.stopping:
            raise WardError("the run was cut short: its executor was closed")

    def expire(self, check_id: str, phase: str) -> tuple[str, list[str]]:
        """Say where the check hangs; let its ward die, and the rest of its work run elsewhere."""
        for ward in self.wards:
            for assignment in ward.assignments.values():
                if assignment.current == check_id and not assignment.lost:
                    return self._expire(ward, assignment, check_id, phase)
        return "", []

    # Wards

    def load_first(self) -> Load:
        """Load in a ward, in as many as it takes, and return what it found."""
        ward = self._regular() or self._start()
        while True:
            if ward.load.done:
                return ward.load
            self._stop_if_asked()
            self._poll(0.05)
            self._bury()
            if ward not in self.wards:
                ward = self._start()

    def settle(self) -> None:
        """End the wards that a run has spoiled; keep the others for the next."""
        for ward in list(self.wards):
            if ward.condemned or ward.alone or ward.assignments:
                self._kill(ward)

    def close(self) -> None:
        """End all wards: those at rest leave by themselves, the others are killed."""
        at_rest = [ward for ward in self.wards if ward.load.done and not ward.assignments]
        if self.zygote is not None and self.zygote.load.done:
            at_rest.append(self.zygote)
        for ward in at_rest:
            ward.process.send("bye")
        deadline = time.monotonic() + EOF_GRACE_S
        while time.monotonic() < deadline:
            if all(ward.process.poll_exit() for ward in at_rest if not ward.process.forked):
                break
            time.sleep(0.001)
        for ward in list(self.wards):
            self._kill(ward)
        if self.zygote is not None:
            self.zygote.process.kill()
            self.zygote.process.close()
            self.zygote = None
        self._queue.clear()
        self._alone_queue.clear()

    def abandon(self) -> None:
        """Close our descriptors alone: the wards belong to the process that forked this one."""
        for ward in [*self.wards, *([self.zygote] if self.zygote else [])]:
            ward.process.close()
        self.wards.clear()
        self.zygote = None

    @property
    def pids(self) -> set[int]:
        """The processes that belong here."""
        wards = [*self.wards, *([self.zygote] if self.zygote else [])]
        return {ward.process.pid for ward in wards}

    def _regular(self) -> Ward | None:
        usable = (ward for ward in self.wards if not ward.alone and not ward.condemned)
        return next(usable, None)

    def _start(self, *, alone: bool = False) -> Ward:
        process, self._first = self._first or self._spawn(), None
        ward = Ward(process, self._make_load(), alone=alone)
        ward.process.send(*ward.load.request())
        self.wards.append(ward)
        return ward

    def _spawn(self) -> WardProcess:
        return spawn(self._manner.token, self._manner.nice)

    def _dispatch(self) -> None:
        self._dispatch_regular()
        self._dispatch_alone()

    def _dispatch_regular(self) -> None:
        if not self._queue or (self._manner.jobs and any(ward.alone for ward in self.wards)):
            return
        now = time.monotonic()
        usable = [
            ward
            for ward in self.wards
            if not ward.alone and not ward.condemned and not is_quiet(ward, now)
        ]
        for ward in usable:
            if ward.load.done:
                self._give(ward, now)
        if not self._queue or len(usable) >= self._most_wards:
            return
        if any(not ward.load.done for ward in usable):
            return
        oldest = min((each.given_at for w in usable for each in w.running), default=0.0)
        if not usable or (oldest and now - oldest > _CROWDED_S):
            self._start()

    def _give(self, ward: Ward, now: float) -> None:
        works = []
        if not ward.running:
            ward.process.heard_at = now
            ward.refill()
        while self._queue and len(ward.assignments) < self._threads + _BACKLOG:
            works.append(self._assign(ward, self._queue.popleft(), now))
        if works:
            ward.process.send("run", self._threads, works)

    def _assign(self, ward: Ward, work: Work, now: float) -> tuple[int, list[str]]:
        self._number += 1
        ids = [check.id for check in work.checks]
        assignment = Assignment(self._number, work, list(ids), now)
        ward.assignments[self._number] = assignment
        return self._number, ids

    def _dispatch_alone(self) -> None:
        if not self._alone_queue or (self._manner.jobs and self._is_any_regular_at_work()):
            return
        if self.zygote is None:
            self.zygote = Ward(self._spawn(), self._make_load())
            self.zygote.process.send(*self.zygote.load.request())
        if not self.zygote.load.done:
            return
        now = time.monotonic()
        while self._alone_queue and sum(ward.alone for ward in self.wards) < self._most_alone:
            ward = self._fork(self.zygote) if self.zygote.load.forkable else None
            if ward is None:
                ward = self._start(alone=True)
            work = self._alone_queue.popleft()
            ward.process.send("run", 1, [self._assign(ward, work, now)])

    def _is_any_regular_at_work(self) -> bool:
        return any(ward.assignments for ward in self.wards if not ward.alone)

    def _fork(self, zygote: Ward) -> Ward | None:
        ends = make_ends()
        self._number += 1
        taken = zygote.process.send_descriptors(ends.theirs, "fork", self._number)
        ends.close_theirs()
        if not taken:
            ends.ward.close()
            return None
        ends.ward.forked = True
        ward = Ward(ends.ward, zygote.load, alone=True, number=self._number)
        self.wards.append(ward)
        return ward

    # What wards say

    def _poll(self, seconds: float) -> None:
        poller = select.poll()
        owners: dict[int, Ward] = {}
        wards = [*self.wards, *([self.zygote] if self.zygote else [])]
        for ward in wards:
            process = ward.process
            if not process.eof:
                owners[process.channel] = ward
                writes = select.POLLOUT if process.has_unsent else 0
                poller.register(process.channel, select.POLLIN | writes)
            if not process.mute:
                owners[process.output] = ward
                poller.register(process.output, select.POLLIN)
        patience = max(0, int(seconds * 1000 + 0.999))
        for descriptor, _mask in poller.poll(patience):
            ward = owners[descriptor]
            if ward.process.closed:  # by what another descriptor has told just now
                continue
            if descriptor == ward.process.channel:
                ward.process.flush()
                for frame in ward.process.read():
                    self._hear(ward, frame)
            else:
                self._take_output(ward)

    def _hear(self, ward: Ward, frame: protocol.Frame) -> None:
        word, *rest = frame
        if word in {"loading", "loaded"}:
            ward.load.hear(frame)
        elif word == "output":
            self._manner.on_output(str(rest[0]), str(rest[1]))
        elif word != "tick":
            hear = getattr(self, f"_hear_{word}")
            hear(ward, *rest)

    def _hear_started(self, ward: Ward, number: int, *what: Any) -> None:
        check_id, phase, thread, at = what
        assignment = ward.assignments.get(number)
        if assignment is not None and not assignment.lost:
            self._leave_fixture(assignment)
            assignment.current, assignment.thread = check_id, thread
            self._events.append(Started(check_id, phase, at))

    def _hear_dropped(self, ward: Ward, numbers: list[int]) -> None:
        for number in numbers:
            assignment = ward.assignments.pop(number, None)
            if assignment is not None:
                self._requeue(assignment.rest(), front=True)

    def _hear_forked(self, _zygote: Ward, number: int, pid: int) -> None:
        for each in self.wards:
            if each.number == number:
                each.process.begin(pid)

    def _hear_gone(self, _zygote: Ward, pid: int, status: int) -> None:
        for each in self.wards:
            if each.process.pid == pid:
                each.process.end(status)

    def _hear_failed(self, ward: Ward, number: int, reason: str) -> None:
        self._hear_ended(ward, number, reason)

    def _hear_finished(self, ward: Ward, number: int, wire: dict[str, object]) -> None:
        assignment = ward.assignments.get(number)
        if assignment is None or assignment.lost:
            return
        outcome = Outcome.from_wire(wire)
        if outcome.id in assignment.remaining:
            assignment.remaining.remove(outcome.id)
        if not outcome.status.is_green:
            assignment.red.add(outcome.id)
        self._events.append(Finished(outcome))

    def _hear_ended(self, ward: Ward, number: int, reason: str = "") -> None:
        assignment = ward.assignments.pop(number, None)
        if assignment is None or assignment.lost:
            return
        self._leave_fixture(assignment)
        for left in assignment.remaining:
            self._events.append(Died(left, f"hospital could not run it: {reason}"))
        if ward.alone:
            self._kill(ward)

    def _take_output(self, ward: Ward, *, is_last: bool = False) -> None:
        text = ward.whole_lines(ward.process.read_output(), is_last=is_last)
        if text and ward is not self.zygote:  # what importing prints has been said by the first
            self._manner.on_output(ward.speaker, text)

    # What becomes of them

    def _bury(self) -> None:
        """Deal with wards that have died, lost their channel or fallen silent."""
        now = time.monotonic()
        if self.zygote is not None and (self.zygote.process.eof or self.zygote.load.overdue(now)):
            zygote, self.zygote = self.zygote, None
            how = how_it_ended(zygote, now)
            zygote.process.kill()
            zygote.process.close()
            if not zygote.load.done:
                self._failed_to_load(zygote, how)
        for ward in list(self.wards):
            if is_over(ward, now):
                for frame in ward.process.read():
                    self._hear(ward, frame)
                self._died(ward, how_it_ended(ward, now))
            elif ward.condemned and not ward.running and not ward.waiting:
                self._kill(ward)
            elif self._is_silent(ward, now):
                self._scatter(ward)

    def _failed_to_load(self, ward: Ward, how: str) -> None:
        """Blame the module that was being imported.

        Raises:
            WardError: If there is none to blame, again and again: wards do not work here.
        """
        if ward.load.blame(how):
            self._failures = 0
            return
        self._failures += 1
        if self._failures >= _MOST_FAILURES:
            said = ward.process.read_output().strip().rpartition("\n")[2]
            raise WardError(
                "wards do not start here:",
                how.replace("the check", "it") + (f": {said}" if said else ""),
                "see whether this Python can import hospital, or run in-process",
            )

    def _is_silent(self, ward: Ward, now: float) -> bool:
        if ward.alone or now - ward.process.heard_at < SILENCE_S:
            return False
        return len(ward.assignments) > 1 or bool(ward.waiting)

    def _scatter(self, ward: Ward) -> None:
        """Kill a silent ward; run what it had begun alone, and the rest again."""
        assignments = list(ward.assignments.values())
        self._kill(ward)
        for assignment in reversed(assignments):
            if len(assignments) == 1:  # it was never begun: elsewhere, it has to be
                assignment.work = replace(assignment.work, alone=True)
            self._run_again(assignment)

    def _died(self, ward: Ward, how: str) -> None:
        if not ward.load.done:
            self._failed_to_load(ward, how)
        assignments = list(ward.assignments.values())
        begun = ward.running
        self._kill(ward)
        if ward.alone and not begun:
            begun = assignments[:1]
        culprit = begun[0] if len(begun) == 1 else None
        for assignment in reversed(assignments):
            blamed = ""
            if assignment is culprit and not assignment.lost:
                blamed = assignment.current or assignment.remaining[0]
                self._events.append(Died(blamed, how))
            self._run_again(assignment, blamed)

    def _leave_fixture(self, assignment: Assignment) -> None:
        """Let nobody wait any longer for a fixture after its checks."""
        if assignment.is_after_checks:
            self._events.append(Abandoned(assignment.current))

    def _run_again(self, assignment: Assignment, blamed: str = "") -> None:
        """Run alone what a dead ward had begun, and what it had not begun again."""
        if assignment.lost:
            return
        work = assignment.rest([blamed] if blamed else [])
        if assignment.started and not blamed:
            if assignment.is_between_checks:
                self._leave_fixture(assignment)
                work = assignment.rest_with_fixture()
            else:
                self._events.append(Interrupted(assignment.current))
        self._requeue(work, alone=assignment.started or assignment.work.alone, front=True)

    def _expire(
        self, ward: Ward, assignment: Assignment, check_id: str, phase: str
    ) -> tuple[str, list[str]]:
        place = innermost(frames_in_dump(ward.process.stacks(), assignment.thread))
        assignment.lost = True
        kept_back = siblings(check_id, phase, assignment.remaining)
        rest = assignment.rest(without=[check_id, *kept_back])
        others = [each for each in kept_back if each != check_id]
        if rest is not None:
            ward.deferred.append(rest)
        ward.process.send("lose", assignment.number)
        if not ward.condemned:
            ward.condemned = True
            ward.process.send("drop")
        if not ward.running and not ward.waiting:
            self._kill(ward)
        return (shown(place) if place else ""), others

    def _kill(self, ward: Ward) -> None:
        """End a ward; what waited for its death may run now, but not what cannot be killed."""
        if ward not in self.wards:
            return
        self.wards.remove(ward)
        if not ward.process.kill():
            for assignment in ward.assignments.values():
                if assignment.started:
                    self.undead[assignment.current] = (time.time(), ward.process.pid)
        self._take_output(ward, is_last=True)
        ward.process.close()
        for work in reversed(ward.deferred):
            self._requeue(work, alone=ward.alone, front=True)

    def _requeue(self, work: Work | None, *, alone: bool = False, front: bool = False) -> None:
        if work is None:
            return
        queue = self._alone_queue if alone or work.alone else self._queue
        if front:
            queue.appendleft(work)
        else:
            queue.append(work)
