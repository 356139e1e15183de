"""What is done to a bundle under load, and how it is seen that it has recovered."""

import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.faults.bundle import Bundle, kill
from tests.faults.processes import is_gone
from tests.faults.scene import Scene
from tests.faults.waiting import TooLateError, poll

WATCHDOG_S = 2
RECOVERY_S = 20.0
VISITORS = 2500
BROKEN = "this is no Python\n"


@dataclass(frozen=True, slots=True)
class Cut:
    """A moment at which a worker was killed, and what was in flight in it with it."""

    worker: int
    from_s: float
    to_s: float


@dataclass
class Soak:
    """A bundle under load, and all that was done to it.

    Attributes:
        cuts: Each worker that was killed.
        crowded: From when to when more connections came than there is room for.
        stopped: How many workers were stopped, for the guard to find.
        done: How often each trouble was made.
        when: From when to when each of them lasted.
        late: What did not recover in time.
        slowest_s: How long the slowest recovery took.
    """

    scene: Scene
    bundle: Bundle
    source: str
    has_own_disk: bool
    chance: random.Random
    cuts: list[Cut] = field(default_factory=list)
    crowded: list[tuple[float, float]] = field(default_factory=list)
    stopped: int = 0
    done: dict[str, int] = field(default_factory=dict)
    when: list[tuple[str, float, float]] = field(default_factory=list)
    late: list[str] = field(default_factory=list)
    slowest_s: float = 0.0

    def make(self, name: str) -> None:
        """Make the trouble *name*, and wait until there are two workers that serve again."""
        print(f"{time.strftime('%H:%M:%S')} {name}", flush=True)
        self.done[name] = self.done.get(name, 0) + 1
        started = time.monotonic()
        try:
            TROUBLES[name](self)
            began = time.monotonic()
            poll(self._is_well, RECOVERY_S, "two workers that serve")
            self.slowest_s = max(self.slowest_s, time.monotonic() - began)
        except TooLateError as error:
            self.late.append(f"{name}: {error}")
        self.when.append((name, started, time.monotonic()))

    def names(self) -> list[str]:
        """Return what can be done here, in another order each time."""
        names = [name for name in TROUBLES if self.has_own_disk or name != "full disk"]
        self.chance.shuffle(names)
        return names

    def _is_well(self) -> bool:
        return len(self.bundle.ready()) == 2 == len(self.bundle.workers())


def _kill(soak: Soak) -> None:
    victim = soak.chance.choice(sorted(soak.bundle.ready()))
    began = time.monotonic()
    kill(victim)
    poll(lambda: is_gone(victim))
    soak.cuts.append(Cut(victim, began, time.monotonic()))


def _stop(soak: Soak) -> None:
    victim = soak.chance.choice(sorted(soak.bundle.ready()))
    began = time.monotonic()
    kill(victim, signal.SIGSTOP)
    soak.stopped += 1
    poll(lambda: is_gone(victim), WATCHDOG_S + 5, "the end of a worker that was stopped")
    soak.cuts.append(Cut(victim, began, time.monotonic()))


def _reload(soak: Soak) -> None:
    before = soak.bundle.ready()
    soak.bundle.control("reload", "hospital-web")
    poll(lambda: not before & soak.bundle.workers(), RECOVERY_S, "the end of the old workers")


def _reload_broken(soak: Soak) -> None:
    before = soak.bundle.ready()
    path = soak.bundle.folder / "soaked.py"
    path.write_text(BROKEN)
    # A compiled form made in the same second would hide the change.
    shutil.rmtree(soak.bundle.folder / "__pycache__", ignore_errors=True)
    try:
        soak.bundle.control("reload", "hospital-web")
        soak.bundle.control("status")
    finally:
        path.write_text(soak.source)
    if before != soak.bundle.ready():
        soak.late.append(f"a broken reload replaced {before} by {soak.bundle.ready()}")


def _rename_log(soak: Soak) -> None:
    log = soak.bundle.log_folder / "hospital-web.log"
    if log.exists():
        log.rename(log.with_name(f"{log.name}-{len(list(log.parent.iterdir()))}"))


def _fill_disk(soak: Soak) -> None:
    filler = soak.bundle.log_folder / "filler"
    descriptor = os.open(filler, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        while os.write(descriptor, b"x" * 65_536):
            pass
    except OSError:
        time.sleep(2)
    finally:
        os.close(descriptor)
        filler.unlink()


def _crowd(soak: Soak) -> None:
    began = time.monotonic()
    visitors = soak.scene.visitors("slow-head", soak.bundle.address, VISITORS)
    time.sleep(3)
    visitors.leave()
    time.sleep(0.2)
    soak.crowded.append((began, time.monotonic()))


def _stop_circusd(soak: Soak) -> None:
    kill(soak.bundle.circusd.pid, signal.SIGSTOP)
    time.sleep(3)
    kill(soak.bundle.circusd.pid, signal.SIGCONT)


TROUBLES: dict[str, Callable[[Soak], None]] = {
    "kill -9 of a worker": _kill,
    "SIGSTOP of a worker": _stop,
    "reload": _reload,
    "reload into broken code": _reload_broken,
    "log renamed": _rename_log,
    "full disk": _fill_disk,
    "slow clients": _crowd,
    "SIGSTOP of circusd": _stop_circusd,
}
