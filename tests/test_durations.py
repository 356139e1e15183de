import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hospital.durations import format_duration, parse_duration
from hospital.errors import SettingError

UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "": 1.0}


@given(
    number=st.floats(min_value=1e-6, max_value=1e9),
    unit=st.sampled_from(sorted(UNITS)),
    space=st.sampled_from(["", " "]),
)
def test_a_number_with_a_unit_is_read(number: float, unit: str, space: str) -> None:
    """With or without a space, and seconds where no unit stands."""
    assert number * UNITS[unit] == parse_duration(f" {number!r}{space}{unit} ")


@pytest.mark.parametrize(
    "value",
    [
        "",
        "s",
        "ten",
        "10 parsecs",
        "1_0",
        "10S",
        "inf",
        "nan",
        "-1",
        "0",
        "-0s",
        "1e999",
        "1 0",
        0,
        -1,
        math.inf,
        math.nan,
        10**400,
        True,
        None,
        [],
        b"1",
    ],
    ids=lambda value: repr(value)[:12],
)
def test_what_is_no_duration_is_refused(value: object) -> None:
    """The error names what is set, the value, and shows how to write one."""
    with pytest.raises(SettingError, match=r"^timeout .*; write a number of seconds, or one with"):
        parse_duration(value, "timeout")  # type: ignore[arg-type]


def test_zero_is_allowed_where_it_makes_sense() -> None:
    """A time to live of 0 means never."""
    assert parse_duration("0", zero=True) == 0
    with pytest.raises(SettingError, match="must be 0 or more"):
        parse_duration("-1", zero=True)


@given(text=st.text(max_size=10))
def test_any_text_is_a_duration_or_an_error(text: str) -> None:
    """Nothing else comes out."""
    try:
        seconds = parse_duration(text)
    except SettingError:
        return

    assert 0 < seconds < math.inf


@given(seconds=st.floats(min_value=0.001, max_value=1e6))
def test_a_duration_is_written_as_it_is(seconds: float) -> None:
    """What is shown is within half a percent of what is."""
    number, unit = format_duration(seconds).split()
    factor = {"ms": 0.001, "s": 1, "min": 60, "h": 3600}[unit]

    assert math.isclose(seconds, float(number) * factor, rel_tol=0.005)
