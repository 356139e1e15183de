"""From a request of Django to the environ of WSGI, under WSGI and under ASGI alike."""

import sys
from typing import Any

from django.core.exceptions import ImproperlyConfigured


def environ_of(request: Any, tail: str) -> dict[str, Any]:
    """Return the environ of *request* for an application mounted in front of *tail*.

    ``PATH_INFO`` is *tail*, and what stands before it in the path joins ``SCRIPT_NAME``. A slash
    between the two belongs to ``PATH_INFO``.

    Args:
        request: A Django ``HttpRequest``.
        tail: The end of the path that the URL pattern captured; empty where it captured none.

    Raises:
        ImproperlyConfigured: If *tail* is not the end of the path.
    """
    path: str = request.path_info
    if not path.endswith(tail):
        pattern = 'write it as in re_path(r"^healthchecks(/.*)$", view)'
        raise ImproperlyConfigured(
            f"the URL pattern of a WSGI view captured {tail!r}, which is not the end of {path!r}; "
            f"{pattern}"
        )
    mount = path.removesuffix(tail)
    if mount.endswith("/") and not tail.startswith("/"):
        mount, tail = mount[:-1], f"/{tail}"
    meta = {
        # ASGI's client port is a number, and WSGI knows texts alone
        name: value if "." in name or isinstance(value, str) else str(value)
        for name, value in request.META.items()
    }
    return {
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": request.scheme,
        "wsgi.errors": sys.stderr,
        "wsgi.run_once": False,
        **meta,
        "wsgi.input": request,  # also what a middleware has read already can be read again
        "SCRIPT_NAME": _as_wsgi(request.META.get("SCRIPT_NAME", "").removesuffix("/") + mount),
        "PATH_INFO": _as_wsgi(tail),
    }


def _as_wsgi(text: str) -> str:
    """Return *text* as WSGI wants it, each byte of its UTF-8 as a character (PEP 3333)."""
    return text.encode(errors="surrogateescape").decode("latin-1")
