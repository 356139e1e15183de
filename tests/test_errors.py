import pytest
from hypothesis import given
from hypothesis import strategies as st

from hospital.errors import (
    HospitalError,
    MarkingError,
    PortError,
    SettingError,
    UsageError,
    WardError,
    did_you_mean,
)


def test_an_error_says_what_which_and_what_to_do() -> None:
    """Three parts in one line, kept apart for those who want them."""
    error = HospitalError("cannot listen on", "127.0.0.1:2014", "choose another port")

    assert str(error) == "cannot listen on 127.0.0.1:2014; choose another port"
    assert (error.what, error.value, error.remedy) == (
        "cannot listen on",
        "127.0.0.1:2014",
        "choose another port",
    )


@pytest.mark.parametrize(
    ("parts", "text"),
    [(("it broke",), "it broke"), (("it broke:", "x"), "it broke: x"), (("a", "", "b"), "a; b")],
)
def test_parts_may_be_missing(parts: tuple[str, ...], text: str) -> None:
    """No stray space, no stray semicolon."""
    assert text == str(HospitalError(*parts))


@pytest.mark.parametrize(
    ("kind", "kinds"),
    [
        (UsageError, (HospitalError,)),
        (SettingError, (UsageError, ValueError)),
        (MarkingError, (UsageError, TypeError)),
        (PortError, (HospitalError,)),
        (WardError, (HospitalError,)),
    ],
)
def test_errors_can_be_caught_by_their_kind(
    kind: type[HospitalError], kinds: tuple[type[Exception], ...]
) -> None:
    """By ours, and by Python's own where it has one."""
    assert all(issubclass(kind, each) for each in kinds)


@given(st.text(min_size=1, max_size=10))
def test_a_hint_names_a_candidate_or_is_empty(name: str) -> None:
    """It never invents a name."""
    candidates = ["timeout", "tags", "severity"]

    hints = {f"did you mean {each!r}?" for each in candidates}
    assert did_you_mean(name, candidates) in {"", *hints}
