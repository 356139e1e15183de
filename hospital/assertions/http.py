"""Assertions about HTTP servers."""

import re
import ssl
from collections.abc import Mapping
from dataclasses import replace
from string import punctuation
from urllib.parse import quote, urljoin

from hospital.assertions.deadline import Deadline
from hospital.assertions.exchange import Answer, ExchangeError, Request, exchange, phrase
from hospital.assertions.url import Url, parse_url
from hospital.durations import parse_duration
from hospital.errors import SettingError, did_you_mean

__unittest = True  # unittest shows the line of the check, not the lines in here

ENVIRONMENT = "environment"
METHODS = ("GET", "HEAD")
MOST_REDIRECTS = 10
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_STATUSES = range(100, 1000)
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


def assert_http_response(  # noqa: PLR0913 - all but the first say how, by name
    url: str,
    status_code: int = 200,
    timeout: float | str = 1,
    msg: str | None = None,
    *,
    follow_redirects: bool = False,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    proxy: str | None = None,
    ssl_context: ssl.SSLContext | None = None,
) -> None:
    """Assert that *url* answers with *status_code*, whole and in time.

    The body of the expected answer is read to its end, at most 1 MiB of it, since a server that
    sends a head and then nothing is not well. Messages show the URL without credentials, query
    and fragment.

    Args:
        url: ``http`` or ``https``; credentials in it are sent as Basic authorization.
        status_code: The status to expect, any from 100 to 999.
        timeout: Seconds, or text such as ``"500ms"``, for the whole exchange: name lookup,
            connection, TLS, head and body, all redirects together.
        msg: Said after the message of a failure.
        follow_redirects: Whether the status is that of where the redirects end, at most 10 of
            them. Credentials and *headers* go no further than the scheme, host and port of *url*.
        method: ``"GET"`` or ``"HEAD"``.
        headers: Further headers, such as ``{"Host": "example.org"}``.
        proxy: URL of an HTTP proxy, or ``"environment"`` for those of ``http_proxy``,
            ``https_proxy`` and ``no_proxy``. None for no proxy, whatever the environment says.
        ssl_context: How TLS is spoken; Python's defaults, which verify, where it is None.

    Raises:
        AssertionError: If the answer is another one, or none.
        SettingError: If an argument cannot be used; it is a ValueError.
    """
    __tracebackhide__ = True  # pytest would show the arguments, and with them the credentials
    deadline = Deadline(parse_duration(timeout, "timeout"))
    expected = _read_status(status_code)
    first = Request(
        url=parse_url(url),
        method=_read_method(method),
        headers=_read_headers(headers or {}),
        context=ssl_context,
    )
    fault, cause = _fault(first, deadline, expected, proxy, follow_redirects=follow_redirects)
    if fault:
        note = "" if msg is None else f" : {msg}"
        raise AssertionError(f"{fault}; expected {phrase(expected)}{note}") from cause


def _fault(
    request: Request,
    deadline: Deadline,
    expected: int,
    proxy: str | None,
    *,
    follow_redirects: bool,
) -> tuple[str, Exception | None]:
    """Return what is wrong with the answer, and its cause; an empty text where nothing is."""
    came_from = ""
    for _ in range(MOST_REDIRECTS + 1):
        shown = f"{request.url.shown}{came_from}"
        request = replace(request, proxy=_find_proxy(proxy, request.url))
        try:
            answer = exchange(request, deadline, whole_if=expected)
        except ExchangeError as error:
            return f"{shown} {error}", error
        if answer.status == expected:
            return "", None
        if not _is_redirect(answer):
            return f"{shown} answered {phrase(answer.status)}", None
        try:
            target = _target(request.url, answer.location)
        except ValueError as error:
            return f"{shown} redirects to no usable URL ({phrase(answer.status)}): {error}", error
        if not follow_redirects:
            return f"{shown} answered {phrase(answer.status)} and redirects to {target.shown}", None
        came_from = came_from or f" (redirected from {request.url.shown})"
        request = _next_request(request, target)
    return f"{shown} redirects more than {MOST_REDIRECTS} times", None


def _is_redirect(answer: Answer) -> bool:
    return answer.status in _REDIRECTS and bool(answer.location)


def _target(url: Url, location: str) -> Url:
    """Return where *location* leads from *url*; servers send spaces and raw bytes in it."""
    encoded = quote(location, safe=punctuation, encoding="latin-1")
    base = f"{url.scheme}://{url.authority}{url.target}"
    return parse_url(urljoin(base, encoded), "its target")


def _next_request(request: Request, target: Url) -> Request:
    """Return the request that a redirect to *target* asks for.

    Credentials in the target itself are not used: the server chose them, not the caller.
    """
    if target.origin == request.url.origin:
        return replace(request, url=replace(target, authorization=request.url.authorization))
    return replace(request, url=replace(target, authorization=None), headers={})


def _find_proxy(proxy: str | None, url: Url) -> Url | None:
    if proxy is None:
        return None
    if proxy != ENVIRONMENT:
        return _read_proxy(proxy)
    from urllib.request import getproxies, proxy_bypass

    found = getproxies().get(url.scheme)
    if not found or proxy_bypass(url.authority):
        return None
    return _read_proxy(found if "://" in found else f"http://{found}")


def _read_proxy(proxy: object) -> Url:
    read = parse_url(proxy, "proxy")
    if read.scheme != "http":
        raise SettingError("proxy is no HTTP proxy:", read.shown, "write http://host:port")
    return read


def _read_status(status_code: object) -> int:
    if isinstance(status_code, bool) or not isinstance(status_code, int):
        raise SettingError("status_code is a number, not", repr(status_code)[:80])
    if status_code not in _STATUSES:
        raise SettingError("status_code is no HTTP status:", str(status_code), "write 100 to 999")
    return int(status_code)


def _read_method(method: object) -> str:
    if method not in METHODS:
        hint = did_you_mean(str(method).upper(), METHODS) or "write 'GET' or 'HEAD'"
        raise SettingError("method is neither GET nor HEAD:", repr(method)[:80], hint)
    return str(method)


def _read_headers(headers: object) -> dict[str, str]:
    if not isinstance(headers, Mapping):
        raise SettingError("headers is a mapping of names to values, not", type(headers).__name__)
    read = {}
    for name, value in headers.items():
        if not isinstance(name, str) or not _HEADER_NAME.fullmatch(name):
            raise SettingError("headers holds an unusable name:", ascii(name)[:80])
        if not isinstance(value, str) or not _HEADER_VALUE.fullmatch(value):
            raise SettingError("headers holds an unusable value of", name, "write printable text")
        read[name.lower()] = value
    return read
