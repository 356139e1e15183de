"""Cookies that a mounted application sets reach the client as they were set."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from django.core.handlers.asgi import ASGIHandler
from django.urls import path

from hospital.django import make_wsgi_view
from tests.django.asking import ask, ask_asgi
from tests.django.conftest import Site


def sets(*cookies: str) -> Any:
    """Return a view of an application that sets *cookies*."""

    def app(_environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        headers = [("Set-Cookie", cookie) for cookie in cookies]
        start_response("200 OK", [("Content-Type", "text/plain"), *headers])
        return [b"set"]

    return path("any/", make_wsgi_view(app))


@pytest.mark.parametrize(
    "cookies",
    [
        ("c=1", "d=2"),
        ("a=b; Path=/; Secure; HttpOnly; SameSite=None; Partitioned",),
        ("c=d; Path=/; Priority=High",),
        ("g=1; Path=/x", "g=2; Path=/y", "g=3"),
        ("same=1", "same=1"),
        ('q="a b\\054c"; expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; path=/',),
        ("j={%22a%22:[1,2]}; Domain=example.org",),
        ("empty=; Path=/",),
        ("b=YQ==; Path=/",),
        ("a name=odd", "path=/a name as any other", "=nameless", "nameless", "a;b"),
    ],
    ids=lambda cookies: cookies[0],
)
def test_cookies_are_sent_as_they_were_set(site: Site, cookies: tuple[str, ...]) -> None:
    """None is lost, changed or added, whatever this Python knows of cookies."""
    with site(sets(*cookies)):
        over_wsgi = ask("/any/")
        over_asgi = asyncio.run(ask_asgi(ASGIHandler(), "/any/"))

    assert list(cookies) == [cookie.strip() for cookie in over_wsgi.cookies]
    assert cookies == over_asgi.cookies


def test_what_cannot_be_sent_is_sent_with_per_cent_signs(site: Site) -> None:
    """Under ASGI Django sends ASCII alone; an end of line would begin another header."""
    with site(sets("a=\xe9", "b=1\r\nX-Evil: 1")):
        answered = asyncio.run(ask_asgi(ASGIHandler(), "/any/"))

    assert ("a=%E9", "b=1%0D%0AX-Evil: 1") == answered.cookies
    assert "x-evil" not in answered.headers


def test_a_middleware_may_change_cookies(site: Site) -> None:
    """It finds the first of a name under it; it may add an attribute, or set another value."""
    with site(
        sets("a=1; Path=/x", "a=2", "b=3; Path=/; Priority=High"),
        MIDDLEWARE=["tests.django.test_cookies.change_cookies"],
    ):
        answered = ask("/any/")

    assert ["a=new; Path=/", "a=2; Secure", "b=3; Path=/; Priority=High; Secure"] == [
        cookie.strip() for cookie in answered.cookies
    ]


def change_cookies(get_response: Any) -> Any:
    """Make all cookies secure, and set one of them anew."""

    def middleware(request: Any) -> Any:
        response = get_response(request)
        assert "3" == response.cookies["b"].value
        for cookie in response.cookies.values():
            cookie["secure"] = True
        response.cookies["a"]["secure"] = ""
        response.set_cookie("a", "new")
        return response

    return middleware
