"""Let go of the database connections that checks opened in threads.

Django keeps one connection a thread, and mends a broken one between two requests. A thread that
runs checks has no requests: a check would go on to fail on a connection that the database has
ended, long after the database is back, and the last one would stay open as long as the thread.
"""

import sys
from contextlib import suppress


def close_connections() -> None:
    """Close the connections that Django has opened for checks of this thread, if there is Django.

    Those of coroutines live in the one thread that asgiref keeps for all of them, and are closed
    there, between two of their queries.
    """
    database = sys.modules.get("django.db")
    if database is None:
        return
    with suppress(Exception):  # no settings; a connection that is broken already
        database.connections.close_all()
    with suppress(Exception):
        executor = sys.modules["asgiref.sync"].SyncToAsync.single_thread_executor
        if executor._threads:  # noqa: SLF001 - else it would start its thread for this
            executor.submit(database.connections.close_all)
