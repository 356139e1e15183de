"""What circusd remembers of the processes of one watcher, and does about those that end.

Rule: whatever goes wrong here, the watcher goes on: circusd stops one whose hook fails.
"""

import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hospital.serving import beat
from hospital.settings import START_DELAY_VARIABLE
from hospital.supervision import beats_folder, last_words, redirector
from hospital.supervision.crash_loop import YOUNG_S, CrashLoop
from hospital.supervision.holding import Holding
from hospital.supervision.reloading import described, exit_code
from hospital.supervision.reloads import Reloads

OPTION = "trouble"
"""The option of a watcher in which ``circusctl options`` shows a crash loop."""

_ENDING = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGKILL})
_LOOK_S = 1.0
_LEAST_DELAY_S = 0.05
_WORTH_TELLING = 2
_NEVER = float("-inf")


@dataclass(frozen=True, slots=True)
class Birth:
    """A process as it was when circusd started it.

    Attributes:
        process: Circus's own object.
        started: See :func:`hospital.serving.beat.started`.
        born_s: When circusd started it.
        begin_s: When it was to begin, after its delay.
    """

    process: Any
    started: int | None
    born_s: float
    begin_s: float


class Care:
    """The memory of one watcher.

    Args:
        watcher: The Circus watcher.
        arbiter: The Circus arbiter.
        logger: circusd's own.
        clock: Seconds that only go forward.
    """

    def __init__(
        self,
        watcher: Any,
        arbiter: Any,
        logger: Any,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._watcher = watcher
        self._logger = logger
        self._clock = clock
        self._crashes = CrashLoop()
        self._holding = Holding(watcher.loop)
        self._last_failure_s = self._reload_s = self._renewed_s = _NEVER
        self._births: dict[int, Birth] = {}
        self._asked: set[int] = set()
        self._delay_s = 0.0
        self._reloads = Reloads(watcher, arbiter, logger, clock=clock, forget=self._forget)
        self._complained = False

    @property
    def _folder(self) -> Path | None:
        return beats_folder.folder_of(self._watcher.env, self._watcher.working_dir)

    def _beat(self, pid: int, started: int | None) -> beat.Beat | None:
        folder = self._folder
        said = beat.read(beat.path_of(folder, pid)) if folder is not None else None
        return said if said is not None and said.started == started else None

    def may_spawn(self) -> bool:
        """Say whether circusd may start one more, and how long that one has to wait first.

        False only within a reload that is refused already: else circusd stops the watcher.
        """
        redirector.take_over(self._watcher)
        self._bury_unseen()
        if (folder := self._folder) is not None:
            beats_folder.sweep(folder)
        if self._reloads.going_on(len(self._watcher.processes) + 1):
            if self._reloads.is_refused:
                return False
            self._delay_s = 0.0  # the old ones serve meanwhile
        else:
            self._look()
            self._delay_s = self._crashes.begins(self._clock(), max(self._watcher.numprocesses, 1))
            if self._crashes.failures >= _WORTH_TELLING:
                self._tell_crash_loop()
        env = {**(self._watcher.env or {})}  # a new one: Circus may hold the old one elsewhere
        env.pop(START_DELAY_VARIABLE, None)
        if self._delay_s >= _LEAST_DELAY_S:
            env[START_DELAY_VARIABLE] = f"{self._delay_s:.2f}"
        self._watcher.env = env
        return True

    def _tell_crash_loop(self) -> None:
        crashes, name = self._crashes, self._watcher.name
        told = (
            f"{name} has failed {crashes.failures} times in a row: {crashes.cause}; "
            f"the next start waits {self._delay_s:.1f} s"
        )
        fields = {"watcher": name, "failures": crashes.failures, "delay_s": round(self._delay_s, 2)}
        self._logger.error("%s", told, extra={"fields": fields})
        self._show(told)

    def _show(self, trouble: str) -> None:
        """Let ``circusctl options`` show the trouble; empty for none."""
        watcher = self._watcher
        options = watcher._options  # noqa: SLF001 - Circus has no other way to add one
        options.pop(OPTION, None)
        watcher.optnames = tuple(name for name in watcher.optnames if name != OPTION)
        if trouble:
            options[OPTION] = trouble
            watcher.optnames += (OPTION,)

    def born(self, pid: int) -> bool:
        """Take note of a new process; within a reload, wait until it serves.

        Returns:
            Whether circusd may keep it, see :meth:`Reloads.judge`.

        Raises:
            ReloadRefused: Likewise.
        """
        watcher = self._watcher
        process = watcher.processes[pid]
        now_s = self._clock()
        self._births[pid] = Birth(process, beat.started(pid), now_s, now_s + self._delay_s)
        self._holding.hold(pid, self._delay_s)
        last_words.listen(watcher)
        beats = self._write_beat(process)
        if not self._reloads.going_on(len(watcher.processes)):
            return True
        if not self._reloads.has_begun:
            self._reload_s = now_s
        self._renewed_s = _NEVER
        is_good = self._reloads.judge(pid, self._folder if beats else None)
        if is_good:
            self._renewed_s = self._reload_s
            # some of the old may have ended meanwhile; circusd lets go of them without a word
            watcher.loop.add_callback(self._bury_unseen)
        return is_good

    def _write_beat(self, process: Any) -> bool:
        folder = self._folder
        if folder is None:
            return False
        pid = process.pid
        started = self._births[pid].started or 0
        try:
            if self._beat(pid, started) is None:  # else the process was faster
                first = beat.Beat(self._watcher.name, started, beat.STARTING)
                owner = None if process.uid is None else (process.uid, process.gid or -1)
                beat.write(folder, pid, first, owner)
        except OSError as error:
            if not self._complained:
                self._logger.warning(
                    "cannot write heartbeat files in %s: %s; nobody notices when a process of %s "
                    "hangs",
                    folder,
                    (error.strerror or str(error)).lower(),
                    self._watcher.name,
                )
            self._complained = True
            return False
        self._complained = False
        return True

    def told(self, pid: int, signum: int) -> None:
        """Take note that circusd sends *signum* to a process: where that is to end it, it may.

        Circus calls none of the hooks for the dead where it ends processes in a reload or a
        ``decr``, and has forgotten by then that it told them to.
        """
        if signum not in _ENDING and signum != self._watcher.stop_signal:
            return
        if pid not in self._births or pid in self._asked:
            return
        if (code := exit_code(pid)) is None:
            self._asked.add(pid)
        else:  # it ended before it was told
            self.dying(pid)
            self.died(pid, code)

    def dying(self, pid: int) -> None:
        """Read what is left in the pipes of a dead process, before circusd closes them."""
        process = self._watcher.processes.get(pid)
        if process is None:
            return
        if process.stopping:
            self._asked.add(pid)
        redirector.read_to_the_end(self._watcher, pid)

    def died(self, pid: int, code: int | None) -> None:
        """Take note of how a process ended, and forget the rest of it."""
        asked = pid in self._asked or self._watcher.is_stopping() or self._watcher.is_stopped()
        birth = self._births.get(pid)
        if birth is not None and not asked:
            self._examine(pid, birth, code)
        self._forget(pid)

    def _bury_unseen(self) -> None:
        """Take note of those that circusd let go of without a word, as it does in some races."""
        for pid in [pid for pid in self._births if pid not in self._watcher.processes]:
            code = None
            with suppress(Exception):  # psutil's too
                code = self._births[pid].process.poll()
            self.died(pid, code)

    def _examine(self, pid: int, birth: Birth, code: int | None) -> None:
        now_s = self._clock()
        lived_s = now_s - birth.begin_s
        self._holding.ended(now_s - birth.born_s, birth.begin_s - birth.born_s)
        said = self._beat(pid, birth.started)
        if said is not None:
            served, left = said.state != beat.STARTING, said.state == beat.DRAINING
        else:  # one that ends as it should removes its file; else there is none to go by
            served, left = lived_s >= YOUNG_S or (code == 0 and self._folder is not None), False
        if served and (left or code == 0):
            return
        words = (said.fault if said is not None else "") or last_words.of(self._watcher, pid)
        cause = f"{described(code)}{': ' if words else ''}{words}"
        self._logger.warning(
            "%s worker %d ended %safter %.1f s: %s",
            self._watcher.name,
            pid,
            "" if served else "before it served, ",
            max(lived_s, 0.0),
            cause,
            extra={"fields": {"watcher": self._watcher.name, "process": pid, "exit_code": code}},
        )
        if birth.born_s < self._renewed_s:  # those that came in its place are none the worse for it
            return
        if not served or (lived_s < YOUNG_S and code != -signal.SIGKILL):
            self._fail(cause)

    def _fail(self, cause: str) -> None:
        self._look()
        if self._last_failure_s == _NEVER:
            self._watcher.loop.call_later(_LOOK_S, self._look_on)
        self._last_failure_s = self._clock()
        self._crashes.failed(cause, self._last_failure_s)

    def _look_on(self) -> None:
        self._look()
        if self._crashes.failures:
            self._watcher.loop.call_later(_LOOK_S, self._look_on)

    def _look(self) -> None:
        """See whether a process that began after the last failure does well."""
        failures, name = self._crashes.failures, self._watcher.name
        if not failures or not any(map(self._does_well, self._births)):
            return
        if failures >= _WORTH_TELLING:
            fields = {"watcher": name, "failures": failures}
            told = "%s works again, after %d failures in a row"
            self._logger.warning(told, name, failures, extra={"fields": fields})
        self._crashes.is_over()
        self._holding.is_over()
        self._last_failure_s = _NEVER
        self._show("")

    def _does_well(self, pid: int) -> bool:
        birth = self._births[pid]
        lived_s = self._clock() - birth.begin_s
        if birth.begin_s <= self._last_failure_s or lived_s < YOUNG_S or exit_code(pid) is not None:
            return False
        said = self._beat(pid, birth.started)
        return said is None or said.state == beat.SERVING

    def _forget(self, pid: int) -> None:
        self._births.pop(pid, None)
        self._asked.discard(pid)
        last_words.forget(self._watcher, pid)
        if (folder := self._folder) is not None and exit_code(pid) is not None:
            beat.remove(folder, pid)
