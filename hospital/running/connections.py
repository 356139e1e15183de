"""Give checks database connections of their own, and close them when they have ended.

Django keeps one connection a thread, and mends a broken one between two requests. A thread that
runs checks has no requests: a check would go on to fail on a connection that the database has
ended, long after the database is back, and the last one would stay open as long as the thread.

Rule: what ends closes its own connections and nobody else's. Queries of coroutines would share
one thread of the whole process, the site's included; here each has a thread for as long as it runs.
"""

import contextlib
import importlib
import sys
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def own_connections() -> Iterator[None]:
    """Let what runs in here open database connections, if there is Django, and close them."""
    sync = _asgiref()
    if sync is None:
        try:
            yield
        finally:
            _close_connections()
        return
    # Not entered with ``async with``, whose end would wait for a query that hangs.
    context, threads = sync.ThreadSensitiveContext(), sync.SyncToAsync.context_to_thread_executor
    token = sync.SyncToAsync.thread_sensitive_context.set(context)
    try:
        yield
    finally:
        sync.SyncToAsync.thread_sensitive_context.reset(token)
        _close_connections()
        thread = threads.pop(context, None)
        if thread is not None:
            with contextlib.suppress(RuntimeError):  # the interpreter comes to its end
                thread.submit(_close_connections)
            thread.shutdown(wait=False)


def _asgiref() -> Any:
    """Return ``asgiref.sync`` where there is Django, which may yet be about to import it."""
    if "django" not in sys.modules:
        return None
    try:
        return importlib.import_module("asgiref.sync")
    except ImportError:
        return None


def _close_connections() -> None:
    """Close the connections that Django has opened for this thread."""
    database = sys.modules.get("django.db")
    if database is None:
        return
    with contextlib.suppress(Exception):  # no settings
        for connection in database.connections.all(initialized_only=True):
            with contextlib.suppress(Exception):  # it is broken already
                connection.close()
