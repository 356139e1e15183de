"""Let a reload of a watcher happen wholly or not at all.

circusd starts the new processes of a reload one after the other, calling our hook after each, and
then ends the old ones, whatever became of the new. Here the hook waits for each; when one does not
come up, all new ones go and the old ones stay.
"""

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from hospital.durations import parse_duration
from hospital.errors import SettingError
from hospital.supervision import last_words
from hospital.supervision.reloading import (
    FIRST_S,
    Arrival,
    Reload,
    ReloadRefused,
    await_arrival,
    described,
)


class Reloads:
    """The reloads of one watcher.

    Args:
        watcher: The Circus watcher.
        arbiter: The Circus arbiter.
        logger: circusd's own.
        clock: Seconds that only go forward.
        forget: Called with the pid of a new process that has to go.
    """

    def __init__(
        self,
        watcher: Any,
        arbiter: Any,
        logger: Any,
        *,
        clock: Callable[[], float],
        forget: Callable[[int], None],
    ) -> None:
        self._watcher = watcher
        self._arbiter = arbiter
        self._logger = logger
        self._clock = clock
        self._forget = forget
        self._reload: Reload | None = None

    def going_on(self, processes: int) -> bool:
        """Tell whether a start that makes it so many *processes* is part of a reload."""
        return bool(processes > self._watcher.numprocesses and self._watcher.is_active())

    @property
    def has_begun(self) -> bool:
        """Whether there is a reload, whose first process at least is judged."""
        return self._reload is not None

    @property
    def is_refused(self) -> bool:
        """Whether the reload that goes on is refused already."""
        return self._reload is not None and bool(self._reload.refused)

    def judge(self, pid: int, folder: Path | None) -> bool:
        """Wait until the new process *pid*, which beats in *folder*, serves.

        Returns:
            Whether it does. If not, and all watchers are reloaded, circusd ends it, and is to
            start no more of them.

        Raises:
            ReloadRefused: If it does not, and this watcher alone is reloaded. Then circusd learns
                of it by this, and what it would do is done.
        """
        if self._reload is None:
            self._reload = Reload(self._clock())
            # all new processes of a reload are started before circusd's loop goes round again
            self._watcher.loop.add_callback(self._end)
        reload = self._reload
        first_s = self._first_s()
        arrival = await_arrival(
            pid, folder, reload.until_s(first_s), drain=self._drain, clock=self._clock
        )
        if arrival.is_good or (arrival.is_late and reload.accepted):
            reload.accepted.append(pid)
            return True
        reload.refused = self._refusal(pid, arrival, first_s)
        fields = {"watcher": self._watcher.name, "process": pid}
        self._logger.error("%s", reload.refused, extra={"fields": fields})
        if arrival.is_late:  # it holds no request, and circusd would not kill it later
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for each in reload.accepted:  # all new, or all old
            self._dismiss(each)
        # Raised in a command that has gone round the loop already, this would leave the command
        # unfinished for ever; that of one watcher has not, and whoever gave it gets the answer.
        if getattr(self._arbiter, "_exclusive_running_command", "") == "watcher_reload":
            self._dismiss(pid)
            raise ReloadRefused(reload.refused)
        self._forget(pid)
        return False

    def _end(self) -> None:
        self._reload = None

    def _first_s(self) -> float:
        given = self._watcher._options.get("reload_timeout", FIRST_S)  # noqa: SLF001 - Circus keeps a watcher's further options there alone
        try:
            return parse_duration(given, "reload_timeout")
        except SettingError as error:
            self._logger.warning("%s; %g s count", error, FIRST_S)
            return FIRST_S

    def _refusal(self, pid: int, arrival: Arrival, first_s: float) -> str:
        said = arrival.said or last_words.of(self._watcher, pid)
        if arrival.is_late:
            why = f"did not serve within {first_s:g} s"
        elif arrival.is_up:
            why = "serves, and its application does not work"
        else:
            why = f"ended with {described(arrival.code)}"
        return (
            f"reload of {self._watcher.name} refused: the new worker {pid} {why}"
            f"{': ' if said else ''}{said}; the old workers go on"
        )

    def _dismiss(self, pid: int) -> None:
        """End a new process as circusd does where a hook says no: it may drain."""
        process = self._watcher.processes[pid]
        self._watcher.kill_process(process)
        del self._watcher.processes[pid]
        self._forget(pid)

    def _drain(self) -> None:
        for process in list(self._watcher.processes.values()):
            with suppress(OSError, ValueError):
                last_words.drain(self._watcher, process)
