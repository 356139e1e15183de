"""Checks of the Django site of these tests; each looks at the site as the application would."""

from asgiref.sync import sync_to_async
from django.db import connection

from hospital import healthcheck

ENDINGS: list[None] = []
"""How often the database is yet to end a connection."""


@healthcheck
async def a_coroutine_calls_a_thread() -> None:
    """A coroutine calls a thread."""
    assert 2 == await sync_to_async(lambda: 1 + 1)()


@healthcheck
def the_database_answers() -> None:
    """The database answers; afterwards it may end the connection, and Django does not know."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        assert (1,) == cursor.fetchone()
    if ENDINGS:
        ENDINGS.pop()
        connection.connection.close()


@healthcheck
async def the_database_answers_a_coroutine() -> None:
    """The database answers a coroutine, whose queries run in a thread of asgiref's."""
    await sync_to_async(the_database_answers)()
