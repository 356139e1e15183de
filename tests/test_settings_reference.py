"""docs/reference/settings.md and logs.md tell everything there is to tell."""

import re
from pathlib import Path

import pytest

from hospital.settings import (
    _READERS,
    _SET_BY_OTHERS,
    LIMITS,
    NAMES_VARIABLE,
    read_settings,
)

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "docs" / "reference"
ROW = re.compile(r"^\| `([A-Z_]+)` \|(.*)\|$", re.MULTILINE)
EVENT = re.compile(r"\.(?:debug|info|warning|error|exception)\(\s*\"([a-z_]+)\"")
ROWS = dict(ROW.findall((REFERENCE / "settings.md").read_text(encoding="utf-8")))
FOR_AN_UNSET_VARIABLE = {"none", "none: that is an error"}


def cells(name: str) -> list[str]:
    return [cell.strip().strip("`") for cell in ROWS[name].split("|")]


def test_every_variable_stands_in_the_reference() -> None:
    """No setting is known to the code alone, or to the documentation alone."""
    known = {NAMES_VARIABLE, *_READERS, *LIMITS, *_SET_BY_OTHERS}

    assert known == set(ROWS)


@pytest.mark.parametrize("name", [*_READERS, *LIMITS])
def test_the_default_in_the_reference_is_the_one_in_the_code(name: str) -> None:
    """Setting a variable to its documented default changes nothing."""
    _, default, _ = cells(name)

    environ = {} if default in FOR_AN_UNSET_VARIABLE else {name: default}

    assert read_settings({}) == read_settings(environ)


@pytest.mark.parametrize("name", [NAMES_VARIABLE, *_READERS, *LIMITS])
def test_the_example_in_the_reference_can_be_used(name: str) -> None:
    """It is accepted, and it differs from the default."""
    _, _, example = cells(name)

    assert read_settings({}) != read_settings({name: example})


def test_every_event_stands_in_the_reference() -> None:
    """Who searches the log knows what to search for."""
    sources = list((ROOT / "hospital").rglob("*.py"))
    logged = {event for path in sources for event in EVENT.findall(path.read_text("utf-8"))}

    reference = (REFERENCE / "logs.md").read_text(encoding="utf-8")

    assert set() == {event for event in logged if f"| `{event}` |" not in reference}
    assert {"check_not_green", "check_output", "run_failed"} <= logged
