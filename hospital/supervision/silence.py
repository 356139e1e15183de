"""Which processes have been silent for too long: the guard's decision, and nothing else.

Rules: no wall clock, and no time of a file compared with any clock: what counts is when a beat
was last seen to change. Time in which nobody looked is no silence. Nobody is named twice for one
silence.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from hospital.serving.beat import STARTING, Beat
from hospital.serving.watchdog import STARTING_S

LONGEST_STEP_S = 1.0
"""What two looks add to a silence at most, however far they lie apart: on a busy machine the
guard is late itself, and so may be the beat."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """A heartbeat file as it was found.

    Attributes:
        pid: Whose it is.
        beat: What it says.
        changed: A number that is another one after each beat.
    """

    pid: int
    beat: Beat
    changed: int


@dataclass(frozen=True, slots=True)
class Silent:
    """A process that has been silent for too long, and for how long that is."""

    pid: int
    beat: Beat
    silent_s: float


@dataclass(slots=True)
class _Ward:
    changed: int
    silent_s: float = 0.0
    longest_s: float = 0.0
    is_named: bool = False


class Silence:
    """Measures the silences of processes from look to look.

    After a look that comes very late, as after the guard itself was stopped, or the machine was,
    everybody begins anew.

    Args:
        watchdog_s: How long a process that serves or drains may be silent.
        starting_s: The same for one that is starting, where that is more.

    >>> silence = Silence(watchdog_s=1.0)
    >>> serving = Sighting(4711, Beat("web", 1, "serving"), changed=7)
    >>> [len(silence.look(now_s, [serving])) for now_s in (0.0, 0.5, 1.0, 1.5, 2.0)]
    [0, 0, 0, 1, 0]
    """

    def __init__(self, watchdog_s: float, starting_s: float = STARTING_S) -> None:
        self._watchdog_s = watchdog_s
        self._starting_s = max(starting_s, watchdog_s)
        self._longest_step_s = min(LONGEST_STEP_S, watchdog_s / 2)
        self._longest_gap_s = max(2 * self._longest_step_s, watchdog_s / 2)
        self._looked_s: float | None = None
        self._wards: dict[tuple[int, int, str], _Ward] = {}

    def look(self, now_s: float, sightings: Iterable[Sighting]) -> list[Silent]:
        """Return who has become too silent since the last look.

        Args:
            now_s: The time, of a clock that nobody sets.
            sightings: All heartbeat files there are now; who is missing is forgotten.
        """
        gap_s = 0.0 if self._looked_s is None else now_s - self._looked_s
        self._looked_s = now_s
        before, self._wards = self._wards, {}
        found = []
        for each in sightings:
            key = each.pid, each.beat.started, each.beat.state
            ward = before.get(key)
            if ward is None:
                is_starting = each.beat.state == STARTING
                longest_s = self._starting_s if is_starting else self._watchdog_s
                ward = _Ward(each.changed, longest_s=longest_s)
            elif ward.changed != each.changed or gap_s > self._longest_gap_s:
                ward.changed, ward.silent_s, ward.is_named = each.changed, 0.0, False
            else:
                ward.silent_s += min(gap_s, self._longest_step_s)
            self._wards[key] = ward
            if ward.silent_s > ward.longest_s and not ward.is_named:
                ward.is_named = True
                found.append(Silent(each.pid, each.beat, ward.silent_s))
        return found
