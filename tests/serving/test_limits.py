"""How many connections there may be."""

import resource

import pytest

from hospital.serving import limits
from hospital.serving.limits import SPARE_HANDLES, Limits
from hospital.settings import read_settings


def test_they_are_read_from_the_settings() -> None:
    """Each of them but the one that no setting changes."""
    settings = read_settings(
        {
            "HOSPITAL_HEAD_TIMEOUT": "2s",
            "HOSPITAL_IDLE_TIMEOUT": "3s",
            "HOSPITAL_MAX_CONNECTIONS": "4",
            "HOSPITAL_MAX_REQUESTS": "5",
        }
    )

    expected = Limits(head_timeout_s=2, idle_timeout_s=3, max_connections=4, max_requests=5)
    assert expected == Limits.of(settings)


def test_the_defaults_are_those_of_the_settings() -> None:
    """They stand in two places, and are the same."""
    assert Limits() == Limits.of(read_settings({}))


@pytest.mark.parametrize(
    ("soft", "expected"), [(10_000, 1000), (1000, 1000 - 20 - SPARE_HANDLES), (30, 1)]
)
def test_handles_are_kept_free(monkeypatch: pytest.MonkeyPatch, soft: int, expected: int) -> None:
    """For what a worker needs itself; one connection there is always."""
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (soft, 20_000))

    assert expected == limits.room(1000, held=20)


def test_no_limit_of_files_is_no_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Infinity is written as a negative number."""
    unlimited = resource.RLIM_INFINITY
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (unlimited, unlimited))

    assert 1000 == limits.room(1000, held=20)


def test_open_handles_are_counted() -> None:
    """As the system lists them."""
    before = limits.open_handles()
    with open("/dev/null"):  # noqa: PTH123 - a handle is wanted
        assert before + 1 == limits.open_handles()
