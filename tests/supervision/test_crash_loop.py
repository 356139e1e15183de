"""How the starts of a watcher are spaced whose processes die young."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hospital.serving.start_delay import LONGEST_DELAY_S, start_delay_s
from hospital.settings import START_DELAY_VARIABLE
from hospital.supervision.crash_loop import LONGEST_PAUSE_S, CrashLoop

CHECK_S = 1.0
YOUNG_S = 0.3


def begun(processes: int, until_s: float) -> list[float]:
    """Return when processes begin that die 0.3 s later, replaced by circusd at each check."""
    loop = CrashLoop()
    begun_s = [loop.begins(0.0, processes) for _ in range(processes)]
    dying_s = [each + YOUNG_S for each in begun_s]
    now_s = 0.0
    while (now_s := now_s + CHECK_S) < until_s:
        dead = [each for each in dying_s if each <= now_s]
        dying_s = [each for each in dying_s if each > now_s]
        for _ in dead:
            loop.failed("exit code 1", now_s)
        for _ in dead:
            begin_s = now_s + loop.begins(now_s, processes)
            begun_s.append(begin_s)
            dying_s.append(begin_s + YOUNG_S)
    return begun_s


def test_two_processes_begin_once_a_second_and_then_ever_slower() -> None:
    """All processes of the watcher together; none waits for more than 15 s."""
    starts = sorted(begun(2, until_s=120.0))[2:]

    gaps_s = [after - before for before, after in pairwise(starts)]
    assert starts[0] >= 1.0
    assert min(gaps_s) >= 1.0
    assert gaps_s[0] < gaps_s[3]
    assert LONGEST_PAUSE_S / 2 <= max(gaps_s) <= LONGEST_PAUSE_S
    assert len(starts) > 10


@given(processes=st.integers(1, 40))
def test_after_the_first_round_one_process_a_second_begins_at_most(processes: int) -> None:
    """However many the watcher has."""
    starts = sorted(begun(processes, until_s=300.0))[processes:]

    for start_s in starts:
        within = [each for each in starts if start_s <= each < start_s + 10.0]
        assert len(within) <= 11, within


@given(processes=st.integers(1, 1000))
def test_nobody_is_told_to_wait_longer_than_it_does(processes: int) -> None:
    """However many the watcher has: each waits out the time that the log names."""
    loop = CrashLoop()
    loop.failed("exit code 1", 0.0)

    delays_s = [loop.begins(0.0, processes) for _ in range(processes)]

    assert max(delays_s) <= LONGEST_DELAY_S
    told = [start_delay_s({START_DELAY_VARIABLE: f"{delay_s:.2f}"}) for delay_s in delays_s]
    assert pytest.approx(delays_s, abs=0.01) == told


def test_the_pause_counts_from_the_failure() -> None:
    """One that took long to begin, on a busy machine, is not followed at once."""
    loop = CrashLoop()
    loop.begins(0.0)
    loop.failed("exit code 1", 0.75)

    assert 1.75 == 1.0 + loop.begins(1.0)


def test_after_the_end_of_a_crash_loop_nobody_waits() -> None:
    """The next failure is the first again."""
    loop = CrashLoop()
    for _ in range(9):
        loop.failed("exit code 1", 0.0)
    loop.begins(0.0)

    loop.is_over()

    assert [0.0, 0.0] == [loop.begins(0.0), loop.begins(0.0)]
    assert (0, "") == (loop.failures, loop.cause)
