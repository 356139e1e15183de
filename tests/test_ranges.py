import math

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from hospital.errors import SettingError
from hospital.ranges import Range, parse_range

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)


@pytest.mark.parametrize(
    ("text", "holding", "not_holding"),
    [
        ("10", [0, 5, 10], [-1, 10.1]),
        ("10:", [10, 1e9, math.inf], [9.99, -math.inf]),
        ("~:10", [-1e9, 10], [10.1]),
        ("10:20", [10, 20], [9, 21]),
        ("@10:20", [9, 21], [10, 15, 20]),
        ("-5:5", [-5, 0, 5], [-6, 6]),
        ("~:", [-1e300, 1e300], []),
        (" 10 ", [0, 10], [11]),
        (0.9, [0, 0.9], [0.91]),
        (80, [0, 80], [81]),
    ],
)
def test_ranges_are_those_of_monitoring_plugins(
    text: str | float, holding: list[float], not_holding: list[float]
) -> None:
    """``10`` is 0 to 10, ``10:`` at least, ``~:10`` at most, ``@`` turns it round; ends count."""
    limit = parse_range(text)

    assert [value for value in holding if not limit.holds(value)] == []
    assert [value for value in not_holding if limit.holds(value)] == []


@given(start=NUMBERS, end=NUMBERS, value=NUMBERS)
def test_a_range_holds_between_its_ends(start: float, end: float, value: float) -> None:
    """And its reverse holds where it does not."""
    assume(start <= end)

    inside, outside = parse_range(f"{start}:{end}"), parse_range(f"@{start}:{end}")

    assert (start <= value <= end) is inside.holds(value)
    assert inside.holds(value) is not outside.holds(value)


@given(limit=st.floats(min_value=0, allow_nan=False, allow_infinity=False))
@example(limit=1234567.0)
@example(limit=0.123456789)
def test_a_number_is_its_own_limit(limit: float) -> None:
    """No digit is lost on the way."""
    assert Range(0.0, limit, inside=False, text=str(limit)) == parse_range(limit)


@pytest.mark.parametrize("text", ["10", "10:", "~:10", "@1:2", "~:"])
def test_nan_is_never_in_order(text: str) -> None:
    """Who cannot measure has no good news."""
    assert parse_range(text).holds(math.nan) is False


@pytest.mark.parametrize(
    "text",
    ["", " ", "@", ":", "@:", ":5", "~", "a", "1:2:3", "5:1", "@5:1", "-5", "nan", "1:nan", "80%"],
)
def test_what_is_no_range_is_refused(text: str) -> None:
    """The error names the limit, the value, and shows how to write one."""
    with pytest.raises(SettingError, match=r"^disk .*; write '80' \(0 to 80\)"):
        parse_range(text, "disk")


@pytest.mark.parametrize("value", [True, None, [], b"10"])
def test_what_is_no_text_and_no_number_is_refused(value: object) -> None:
    """A truth value is no limit either."""
    with pytest.raises(SettingError, match="is no range"):
        parse_range(value)  # type: ignore[arg-type]


@given(text=st.text(max_size=12))
def test_any_text_is_a_range_or_an_error(text: str) -> None:
    """Nothing else comes out."""
    try:
        limit = parse_range(text)
    except SettingError:
        return

    assert limit.start <= limit.end
