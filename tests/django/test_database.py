"""Checks that use the database of the site: each run has fresh connections, none is left."""

import asyncio
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connection, models
from django.urls import path

from hospital.django import make_wsgi_view
from hospital.running.executor import Selection
from hospital.running.threads import ThreadExecutor
from hospital.running.workers import Workers
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


class Row(models.Model):  # type: ignore[misc]  # Django brings no types
    """A row of a table that takes many chunks to read."""

    class Meta:
        """It belongs to no app that is installed."""

        app_label = "tests"

    def __str__(self) -> str:
        return str(self.pk)


@pytest.fixture
def rows() -> Iterator[Any]:
    """Return the rows of a table, to be read in chunks by whoever iterates over them."""
    with connection.schema_editor() as editor:
        editor.create_model(Row)
    Row.objects.bulk_create(Row() for _ in range(500))
    yield Row.objects.all()
    with connection.schema_editor() as editor:
        editor.delete_model(Row)
    connection.close()


def close_connection() -> None:
    """Close the connection of the thread that this runs in."""
    connection.close()


async def read(rows: Any, after_the_first: Callable[[], object]) -> int:
    """Return how many *rows* there are, reading on when *after_the_first* has returned."""
    count = 0
    async for _row in rows.aiterator(chunk_size=10):
        count += 1
        if count == 1:
            await asyncio.to_thread(after_the_first)
    return count


def test_one_goes_on_to_read_when_another_has_ended(rows: Any) -> None:
    """The connection of a coroutine is its own; who ends closes no other."""
    told: list[object] = []
    reading, ended_another, ended = threading.Event(), threading.Event(), threading.Event()

    def reader() -> None:
        def wait() -> None:
            reading.set()
            ended_another.wait(10)

        try:
            told.append(asyncio.run(read(rows, wait)))
        except Exception as error:  # noqa: BLE001 - it is what the test looks at
            told.append(error)
        ended.set()

    def run(work: Callable[[], object]) -> None:
        work()

    workers = Workers(2, run, "worker")
    workers.put(reader)
    begun = reading.wait(10)
    workers.put(threading.get_ident)
    workers.put(ended_another.set)  # in the only thread left, so after the end of the one before
    has_ended = ended.wait(10)

    assert (True, True) == (begun, has_ended)
    assert [500] == told


def test_the_site_goes_on_to_read_when_a_check_has_ended(rows: Any) -> None:
    """What the site awaits outside of requests runs in a thread that checks leave alone."""
    executor = ThreadExecutor(timeout_s=10, jobs=1)
    name = f"{CHECKS}.the_database_answers_a_coroutine"
    told: list[str] = []

    def run_twice() -> None:  # in the only thread, so the first one has ended wholly
        for _ in range(2):
            told.extend(outcome.status for outcome in executor.run(Selection((name,))).outcomes)

    async def site() -> int:
        try:
            return await read(rows, run_twice)
        finally:
            await sync_to_async(close_connection)()

    count = asyncio.run(site())
    executor.close()

    assert ["pass", "pass"] == told
    assert 500 == count


def holds_within_3_s(condition: Callable[[], bool]) -> bool:
    """Return whether *condition* comes true before an idle thread would end, after 5 s."""
    deadline = time.monotonic() + 3
    while not (holds := condition()) and time.monotonic() < deadline:
        time.sleep(0.01)
    return holds
