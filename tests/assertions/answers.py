"""Answers that a server of a test gives, and what assert_http_response says of them."""

from typing import Any

import pytest

from hospital import assert_http_response

OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def empty(status: str, *headers: str) -> str:
    """Return an answer without a body."""
    lines = [f"HTTP/1.1 {status}", "Content-Length: 0", *headers, "", ""]
    return "\r\n".join(lines)


def failure(url: str, *args: Any, **options: Any) -> str:
    """Return the message of the assertion, which has to fail."""
    with pytest.raises(AssertionError) as caught:
        assert_http_response(url, *args, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message
