"""Where assert_http_response goes, and what it takes with it."""

import base64
from typing import Any

import pytest

from hospital import assert_http_response
from tests.assertions.answers import OK, empty, failure


def test_redirects_are_not_followed_unless_asked(serve: Any) -> None:
    """A redirect is an answer; the message says where it leads, without the query."""
    server = serve.answer(empty("302 Found", "Location: /login?next=%2F"))

    assert_http_response(server.url(), 302)
    message = failure(server.url())

    assert f"answered 302 Found and redirects to {server.url('/login')}; expected" in message


def test_redirects_are_followed_to_their_end(serve: Any) -> None:
    """Asked to, the status is that of the last address; relative addresses are resolved."""
    answers = {
        "/a/b": empty("301 Moved", "Location: c d"),
        "/a/c%20d": empty("307 Temporary", "Location: /e?q=1"),
        "/e?q=1": OK,
    }
    server = serve.route(lambda head: answers[head.split(" ")[1]])

    assert_http_response(server.url("/a/b"), follow_redirects=True)

    assert list(answers) == [head.split(" ")[1] for head in server.heads]


def test_a_failure_behind_a_redirect_names_both(serve: Any) -> None:
    """Who was asked, and who failed."""
    server = serve.route(
        lambda head: empty("302 F", "Location: /b") if "/a " in head else empty("500 E")
    )

    message = failure(server.url("/a"), follow_redirects=True)

    wanted = f"{server.url('/b')} (redirected from {server.url('/a')}) answered 500"
    assert message.startswith(wanted)


def test_a_circle_of_redirects_ends(serve: Any) -> None:
    """After ten redirects it is a failure that says so."""
    server = serve.answer(empty("302 Found", "Location: /"))

    message = failure(server.url(), follow_redirects=True)

    assert "redirects more than 10 times" in message
    assert 11 == len(server.heads)


@pytest.mark.parametrize("target", ["ftp://h/", "http://[::1", "http://h:99999/", "file:///etc"])
def test_a_redirect_to_no_usable_url_fails(serve: Any, target: str) -> None:
    """The server is at fault then, not the caller: a failure, no error."""
    server = serve.answer(empty("302 Found", f"Location: {target}"))

    message = failure(server.url(), follow_redirects=True)

    assert "redirects to no usable URL (302 Found)" in message


def test_credentials_are_sent_as_the_user_meant_them(serve: Any) -> None:
    """Percent-encoding in the userinfo is undone; what is sent is UTF-8."""
    server = serve.answer(OK)

    assert_http_response(f"http://j%C3%BCrg:p%40ss%3Aw%2F@127.0.0.1:{server.port}/")

    expected = base64.b64encode("jürg:p@ss:w/".encode()).decode()
    assert f"Authorization: Basic {expected}\r\n" in server.heads[0]


def test_credentials_and_headers_stay_with_the_first_host(serve: Any) -> None:
    """A redirect to another host (or port) gets neither; one to the same host gets both."""
    other = serve.answer(OK)
    first = serve.route(
        lambda head: empty(
            "302 F",
            "Location: /b" if "/a " in head else f"Location: http://u:p@localhost:{other.port}/",
        )
    )

    assert_http_response(
        f"http://u:s3cret@127.0.0.1:{first.port}/a",
        follow_redirects=True,
        headers={"X-Api-Key": "hush"},
    )

    assert all("Authorization: Basic" in head for head in first.heads)
    assert all("X-Api-Key: hush" in head for head in first.heads)
    assert 2 == len(first.heads)
    assert "authorization" not in other.heads[0].lower()
    assert "hush" not in other.heads[0]


def test_credentials_stay_away_when_another_host_redirects_back(serve: Any) -> None:
    """The other host chose that address, so the request must not carry the caller's rights."""
    home: list[str] = []
    back = serve.route(lambda _head: empty("302 F", f"Location: {home[0]}"))
    first = serve.route(
        lambda head: OK if "/delete " in head else empty("302 F", f"Location: {back.url()}")
    )
    home.append(first.url("/delete"))

    assert_http_response(f"http://u:p@127.0.0.1:{first.port}/", follow_redirects=True)

    assert "Authorization" in first.heads[0]
    assert "Authorization" not in first.heads[1]
