"""A WSGI application as a view of Django."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ImproperlyConfigured
from django.db import DEFAULT_DB_ALIAS, connections, transaction
from django.http import HttpResponse
from django.views.decorators.csrf import csrf_exempt

from hospital.django.cookies import add_cookie
from hospital.django.environ import environ_of

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

View = Callable[..., Any]


def make_wsgi_view(application: "WSGIApplication") -> View:
    """Return a view that answers with what *application* answers.

    The URL pattern says where it is mounted: a group that captures the end of the path,
    ``re_path(r"^healthchecks(/.*)$", view)``, becomes its ``PATH_INFO``, what stands before the
    group joins ``SCRIPT_NAME``. Without a group the whole path is the place of its root.

    The view is an ordinary, synchronous one. Under ASGI Django calls it in a thread. Its answer
    is sent as a whole, and a POST needs no CSRF token: what to refuse is the application's affair.
    No transaction is opened for it, no login is asked for, and no page of it is cached.

    Args:
        application: Any WSGI application, such as :class:`hospital.wsgi.HealthCheckApp`.

    >>> from hospital.wsgi import HealthCheckApp
    >>> view = make_wsgi_view(HealthCheckApp(discover=["hospital.healthchecks.predictable"]))
    """

    @csrf_exempt  # type: ignore[untyped-decorator]  # Django brings no types
    def view(request: Any, path_info: str | None = None, **_captured: object) -> Any:
        request._cache_update_cache = False  # noqa: SLF001 - an older Django caches no-store
        return _answer(application, environ_of(request, path_info or ""))

    view.login_required = False  # what login_not_required sets, which Django 5.0 lacks
    return _without_transactions(view)


def _without_transactions(view: View) -> View:
    """Return *view*, which ``ATOMIC_REQUESTS`` leaves alone: a database may be down."""
    try:
        aliases = list(connections)
    except ImproperlyConfigured:  # built where there are no settings, as in an example
        aliases = [DEFAULT_DB_ALIAS]
    for alias in aliases:
        view = transaction.non_atomic_requests(using=alias)(view)
    return view


def _answer(application: "WSGIApplication", environ: dict[str, Any]) -> Any:
    """Return what *application* answers as a response of Django."""
    told: list[tuple[str, list[tuple[str, str]]]] = []
    chunks: list[bytes] = []

    def start_response(
        status: str,
        headers: list[tuple[str, str]],
        _exc_info: object = None,
        /,
    ) -> Callable[[bytes], object]:
        told.append((status, headers))
        return chunks.append

    body = application(environ, start_response)
    try:
        chunks.extend(body)
    finally:
        if hasattr(body, "close"):
            body.close()
    status, headers = told[-1]  # a later one is that of an error
    return _response(status, headers, b"".join(chunks))


def _response(status: str, headers: list[tuple[str, str]], body: bytes) -> Any:
    code, _, phrase = status.partition(" ")
    response = HttpResponse(body, status=int(code), reason=phrase)
    del response.headers["Content-Type"]  # Django's default
    for name, value in headers:
        if name.lower() == "set-cookie":
            add_cookie(response.cookies, value)
        elif name in response.headers:
            response.headers[name] = f"{response.headers[name]}, {value}"
        else:
            response.headers[name] = value
    # Django would log each red answer as an error of the site, and mail it to the ADMINS.
    response._has_been_logged = True  # noqa: SLF001 - there is no other way to say so
    return response
