"""The head of a response, as it is made from what an application says."""

import re
from time import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hospital.serving import response
from hospital.serving.heads import Refusal
from hospital.serving.response import ResponseHead, date_line, refusal_bytes


def lines_of(head: bytes) -> list[str]:
    assert head.endswith(b"\r\n\r\n")
    return head.decode("latin-1")[:-4].split("\r\n")


def test_what_the_server_decides_is_left_out() -> None:
    """How long the connection lives, and how the body is framed, is no business of applications."""
    given_headers = [("Connection", "x"), ("Transfer-Encoding", "gzip"), ("Keep-Alive", "y")]

    lines = lines_of(ResponseHead("200 OK", given_headers).to_bytes("", "", "id"))

    assert ["HTTP/1.1 200 OK", "Server: hospital"] == [lines[0], lines[2]]
    assert 3 == len(lines)


def test_the_application_may_name_date_and_server() -> None:
    """Its own words stand where ours would."""
    named = ResponseHead("200 OK", [("date", "today"), ("SERVER", "mine")])

    assert ["date: today", "SERVER: mine"] == lines_of(named.to_bytes("", "", "id"))[1:]


@pytest.mark.parametrize("name", ["Content-Length", "content-length"])
def test_the_length_is_read_however_it_is_written(name: str) -> None:
    """It is written by who frames the body."""
    assert 12 == ResponseHead("200 OK", [(name, "12")]).length


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        ("OK", []),
        ("2000 OK", []),
        ("100 Continue", []),
        ("103 Early Hints", []),
        ("200 OK\r\nX: y", []),
        ("200 OK", [("X", "a\r\nY: b")]),
        ("200 OK", [("X", "a\nb")]),
        ("200 OK", [("X", "a\x00b")]),
        ("200 OK", [("X: Y", "a")]),
        ("200 OK", [("", "a")]),
        ("200 OK", [("X\r\n", "a")]),
        ("200 OK", [("Content-Length", "-1")]),
        ("200 OK", [("Content-Length", "\xb2")]),
    ],
)
def test_what_cannot_be_sent_is_an_error(status: str, headers: list[tuple[str, str]]) -> None:
    """Nothing that an application says can end a line."""
    with pytest.raises(ValueError, match="the application gave"):
        ResponseHead(status, headers)


@given(st.lists(st.tuples(st.text(max_size=8), st.text(max_size=8)), max_size=3))
def test_a_head_has_a_line_for_each_header(headers: list[tuple[str, str]]) -> None:
    """Whatever the text: it is refused, or it is one line."""
    try:
        head = ResponseHead("200 OK", headers).to_bytes("", "", "id")
    except (ValueError, UnicodeEncodeError):
        return
    assert len(lines_of(head)) <= 3 + len(headers)
    assert not re.search(rb"(?<!\r)\n|\r(?!\n)", head)


def test_lines_that_differ_each_time_do_not_fill_the_memory() -> None:
    """Those that each response repeats are remembered up to a number."""
    for number in range(2000):
        ResponseHead("200 OK", [("Retry-After", str(number))])

    assert 0 < len(response._known) <= response._MOST_KNOWN


@pytest.mark.parametrize("name", ["Content-Length", "content-length"])
def test_lengths_are_not_remembered(name: str) -> None:
    """They differ each time, and would push out what is used again."""
    ResponseHead("200 OK", [(name, "4711")])

    assert (name, "4711") not in response._known


@pytest.mark.parametrize(("status", "told"), [("200 OK", False), ("503 Unavailable", True)])
def test_the_id_is_told_where_something_is_wrong(
    status: str,
    told: bool,  # noqa: FBT001 - a column of the table
) -> None:
    """Whoever reads the answer finds the line of the log."""
    assert told is (b"X-Request-Id: id\r\n" in ResponseHead(status, []).to_bytes("", "", "id"))


def test_a_refusal_is_a_whole_response() -> None:
    """Status, one line of text, and the end."""
    head, _, body = refusal_bytes(Refusal("400 Bad Request", "no"), "id").partition(b"\r\n\r\n")

    assert b"400 Bad Request: no\n" == body
    assert b"Content-Length: %d\r\n" % len(body) in head
    assert head.endswith(b"Connection: close")


def test_the_date_is_of_now() -> None:
    """As RFC 9110 writes it."""
    from email.utils import parsedate_to_datetime

    said = parsedate_to_datetime(date_line().removeprefix("Date: ").strip())

    assert abs(said.timestamp() - time()) < 2
