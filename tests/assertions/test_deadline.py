"""Rules of deadlines."""

import pytest

from hospital.assertions.deadline import Deadline


def test_what_is_left_is_at_most_the_timeout() -> None:
    """Time only runs out."""
    deadline = Deadline(60)

    first, second = deadline.left_s(), deadline.left_s()

    assert 60 >= first >= second > 50


def test_a_passed_deadline_is_a_timeout() -> None:
    """Nobody gets 0 or less as a timeout, which would mean something else to a socket."""
    with pytest.raises(TimeoutError):
        Deadline(0).left_s()


def test_the_last_attempt_gets_all_and_others_half() -> None:
    """So that one silent address does not use up the time of the next one."""
    deadline = Deadline(60)

    assert 29 < deadline.turn_s(last=False) <= 30
    assert 59 < deadline.turn_s(last=True) <= 60
