"""What the tests of the web share: the log, read back."""

import json
from collections.abc import Callable
from typing import Any

import pytest

Events = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def events(capsys: pytest.CaptureFixture[str]) -> Events:
    """Return a function that gives the events logged until now, the old ones included."""
    seen: list[dict[str, Any]] = []

    def read() -> list[dict[str, Any]]:
        seen.extend(map(json.loads, capsys.readouterr().err.splitlines()))
        return seen

    return read
