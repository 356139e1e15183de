"""Checks that use the database of the site: each run has fresh connections, none is left."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from django.urls import path

from hospital.django import make_wsgi_view
from hospital.wsgi import HealthCheckApp
from tests.django.asking import ask
from tests.django.conftest import DATABASE, Site
from tests.django.site_checks import ENDINGS

CHECKS = "tests.django.site_checks"


def open_files() -> int:
    """Return how often this process has opened the database."""
    count = 0
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            count += os.readlink(descriptor) == str(DATABASE)  # noqa: PTH115 - a text is wanted
        except OSError:
            continue
    return count


KINDS = pytest.mark.parametrize(
    "check", ["the_database_answers", "the_database_answers_a_coroutine"]
)


@KINDS
def test_checks_use_the_database_and_leave_no_connection(site: Site, check: str) -> None:
    """It is closed after the run, not only when the thread comes to its end."""
    app = HealthCheckApp(f"{CHECKS}.{check}", executor="thread")

    with site(path("healthchecks/", make_wsgi_view(app))):
        answers = [ask("/healthchecks/") for _ in range(3)]
        is_closed = holds_within_3_s(lambda: open_files() == 0)
    app.close()

    assert [200, 200, 200] == [answered.status for answered in answers], answers[0].body
    assert is_closed


@KINDS
def test_a_broken_connection_does_not_last(site: Site, check: str) -> None:
    """Another run gets a new one, and is red no longer than the database is away."""
    app = HealthCheckApp(f"{CHECKS}.{check}", executor="thread")

    with site(path("healthchecks/", make_wsgi_view(app))):
        ENDINGS.append(None)
        ask("/healthchecks/")
        is_green = holds_within_3_s(lambda: ask("/healthchecks/").status == 200)
    app.close()

    assert [] == ENDINGS
    assert is_green


def holds_within_3_s(condition: Callable[[], bool]) -> bool:
    """Return whether *condition* comes true before an idle thread would end, after 5 s."""
    deadline = time.monotonic() + 3
    while not (holds := condition()) and time.monotonic() < deadline:
        time.sleep(0.01)
    return holds
