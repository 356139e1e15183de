"""Who has been silent for too long."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hospital.serving.beat import DRAINING, SERVING, STARTING, Beat
from hospital.supervision.silence import Sighting, Silence


def sighting(changed: int, *, state: str = SERVING, pid: int = 4711, started: int = 1) -> Sighting:
    return Sighting(pid, Beat("web", started, state), changed)


def looks(silence: Silence, times_s: list[float], seen: Sighting) -> list[float]:
    """Return the times at which *seen* is named, always the same beat."""
    return [now_s for now_s in times_s if silence.look(now_s, [seen])]


def quarters(until_s: float, from_s: float = 0.0) -> list[float]:
    return [from_s + number / 4 for number in range(int((until_s - from_s) * 4) + 1)]


@pytest.mark.parametrize(("state", "named_s"), [(SERVING, 10.25), (DRAINING, 10.25)])
def test_who_serves_or_drains_has_the_watchdog_time(state: str, named_s: float) -> None:
    """It is named at the first look after that, and never again for the same silence."""
    silence = Silence(10.0)

    assert [named_s] == looks(silence, quarters(60), sighting(1, state=state))


@pytest.mark.parametrize(("watchdog_s", "named_s"), [(10.0, 30.25), (40.0, 40.25)])
def test_who_starts_has_half_a_minute(watchdog_s: float, named_s: float) -> None:
    """Or the watchdog time, if that is more."""
    silence = Silence(watchdog_s)

    assert [named_s] == looks(silence, quarters(60), sighting(1, state=STARTING))


def test_without_a_watchdog_time_nobody_is_named() -> None:
    """However long it is silent."""
    assert [] == looks(Silence(math.inf), quarters(3600), sighting(1))


def test_a_new_beat_begins_a_new_silence() -> None:
    """That a time went backwards is a change like any other."""
    silence = Silence(1.0)
    assert [1.25] == looks(silence, quarters(2), sighting(5))

    assert [3.5] == looks(silence, quarters(4, from_s=2.25), sighting(4))


def test_another_state_begins_a_new_silence() -> None:
    """With the time of that state."""
    silence = Silence(1.0)
    looks(silence, quarters(29), sighting(1, state=STARTING))

    assert [30.5] == looks(silence, quarters(31, from_s=29.25), sighting(1))


def test_another_process_with_the_same_pid_is_another() -> None:
    """It does not inherit the silence."""
    silence = Silence(1.0)
    looks(silence, quarters(1), sighting(1))

    assert [2.5] == looks(silence, quarters(3, from_s=1.25), sighting(1, started=2))


def test_after_a_long_pause_of_the_guard_all_begin_anew() -> None:
    """Who was stopped with it, or with the machine, has not had the time to beat."""
    silence = Silence(10.0)
    looks(silence, quarters(9), sighting(1))

    assert [] == silence.look(3600.0, [sighting(1)])
    assert [3610.25] == looks(silence, quarters(3611, from_s=3600.25), sighting(1))


def test_a_busy_machine_only_makes_it_slower() -> None:
    """The guard that is late each time still names who is silent."""
    silence = Silence(10.0)

    assert [33.0] == looks(silence, [number * 3.0 for number in range(20)], sighting(1))


def test_who_is_gone_is_forgotten() -> None:
    """Its file is, and what was known of it."""
    silence = Silence(1.0)
    looks(silence, quarters(1), sighting(1))

    silence.look(1.25, [])

    assert [2.75] == looks(silence, quarters(3, from_s=1.5), sighting(1))


@given(
    gaps_s=st.lists(st.floats(0.0, 100.0), max_size=60),
    watchdog_s=st.floats(0.1, 60.0),
)
def test_who_beats_is_never_named(gaps_s: list[float], watchdog_s: float) -> None:
    """Whatever the times of the looks."""
    silence, now_s = Silence(watchdog_s), 0.0

    for number, gap_s in enumerate(gaps_s):
        now_s += gap_s
        assert [] == silence.look(now_s, [sighting(number)])


@given(gaps_s=st.lists(st.floats(0.0, 5.0), max_size=60), watchdog_s=st.floats(0.1, 20.0))
def test_nobody_is_named_before_the_time(gaps_s: list[float], watchdog_s: float) -> None:
    """A silence is never taken for longer than it is."""
    silence, now_s = Silence(watchdog_s), 0.0
    silence.look(now_s, [sighting(1)])

    for gap_s in gaps_s:
        now_s += gap_s
        for named in silence.look(now_s, [sighting(1)]):
            assert watchdog_s < named.silent_s <= now_s + 1e-6
