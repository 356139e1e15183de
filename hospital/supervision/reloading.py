"""Whether the new processes of a reload are good, before circusd ends the old ones.

Rule: circusd has one thread and waits here, so every wait has an end that is known beforehand.
"""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from hospital.serving import beat

FIRST_S = 10.0
"""What the first new process has until it serves; ``reload_timeout`` of the watcher changes it."""

OTHERS_S = 3.0
"""Since the reload began, how long further ones are waited for: the first has shown that the code
works, and circusctl gives up on an answer after 5 s."""

_STEP_S = 0.02
_ALIVE_S = 1.0


class ReloadRefused(BaseException):
    """The new processes did not come up; the message is for whoever asked for the reload.

    No Exception: circusd catches those around each hook and goes on with the reload. What it
    does not catch there reaches its dispatcher, which answers circusctl with the message and
    exit code 3.
    """


@dataclass(slots=True)
class Reload:
    """One reload of a watcher while it goes on.

    Attributes:
        began_s: When.
        accepted: The new processes that came up.
        refused: Why there is no reload; empty as long as there may be one.
    """

    began_s: float
    accepted: list[int] = field(default_factory=list)
    refused: str = ""

    def until_s(self, first_s: float) -> float:
        """Return until when the next new process is waited for."""
        return self.began_s + (OTHERS_S if self.accepted else first_s)


@dataclass(frozen=True, slots=True)
class Arrival:
    """How a new process came up.

    Attributes:
        is_up: It serves.
        code: How it ended; None where it lives.
        said: What it says itself about why it is of no use.
    """

    is_up: bool = False
    code: int | None = None
    said: str = ""

    @property
    def is_good(self) -> bool:
        """Whether it serves, and has nothing to say against itself."""
        return self.is_up and not self.said

    @property
    def is_late(self) -> bool:
        """Whether it lives, and did not serve in time."""
        return not self.is_up and self.code is None


def await_arrival(  # noqa: PLR0913 - a wait has many sides
    pid: int,
    folder: Path | None,
    until_s: float,
    *,
    drain: Callable[[], None],
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Arrival:
    """Wait until the process *pid* serves, ends, or its time is over.

    Args:
        pid: A child of this process; its exit status is left for circusd.
        folder: Where it beats. None where it does not: then it is good if it lives for a second.
        until_s: The end of its time, by *clock*.
        drain: Is called again and again: somebody has to read what the processes write.
        clock: Seconds that only go forward.
        sleep: How to wait.
    """
    started = beat.started(pid)
    alive_until_s = clock() + _ALIVE_S
    while True:
        drain()
        said = beat.read(beat.path_of(folder, pid)) if folder is not None else None
        if said is not None and said.started == started and said.state == beat.SERVING:
            return Arrival(is_up=True, said=said.fault or "")
        if (code := exit_code(pid)) is not None:
            drain()
            return Arrival(code=code, said=_fault(folder, pid))
        now_s = clock()
        if folder is None and now_s >= alive_until_s:
            return Arrival(is_up=True)
        if now_s >= until_s:
            return Arrival()
        sleep(_STEP_S)


def _fault(folder: Path | None, pid: int) -> str:
    said = beat.read(beat.path_of(folder, pid)) if folder is not None else None
    return (said.fault if said is not None else "") or ""


def exit_code(pid: int) -> int | None:
    """Return how the child *pid* ended, a signal as a negative number; None while it lives.

    Its status stays for circusd to collect. One that is no child any more counts as exit code 0.
    """
    try:
        ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return 0
    if ended is None:
        return None
    return ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status


def described(code: int | None) -> str:
    """Return how a process ended, in words.

    >>> described(3), described(-9), described(-64), described(None)
    ('exit code 3', 'signal 9 (SIGKILL)', 'signal 64 (SIGRTMAX)', 'an unknown exit code')
    """
    if code is None:
        return "an unknown exit code"
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {-code} ({signal.Signals(-code).name})"
    except ValueError:  # the real-time signals between the first and the last have no name
        return f"signal {-code}"
