"""Cookies that a WSGI application sets, handed to Django as they are.

Django sends what stands in ``response.cookies``. Reading a header into that would lose what the
Python of the site does not know, such as ``Partitioned``, and all but one cookie of a name.
"""

import string
from collections.abc import Container
from http.cookies import Morsel
from typing import Any
from urllib.parse import quote

_KEPT = string.ascii_letters + string.digits + string.punctuation + " "


def add_cookie(cookies: dict[str, Any], header: str) -> None:
    """Put the value of a ``Set-Cookie`` *header* into *cookies*, beside what is there.

    The first of a name stands under it, and others under what cannot be a name. What cannot be
    sent, control characters and what is not ASCII, is sent with per cent signs.

    >>> from http.cookies import SimpleCookie
    >>> cookies = SimpleCookie()
    >>> add_cookie(cookies, "shop=north; Path=/n; Priority=High")
    >>> add_cookie(cookies, "shop=south; Path=/s; Partitioned")
    >>> for cookie in cookies.values():
    ...     print(cookie)
    Set-Cookie: shop=north; Path=/n; Priority=High
    Set-Cookie: shop=south; Path=/s; Partitioned
    """
    cookie = SentCookie(quote(header.strip(), safe=_KEPT, encoding="latin-1"))
    key = cookie.key
    while key in cookies:
        key += ";"
    cookies[key] = cookie


class SentCookie(Morsel[str]):
    """A cookie that is sent as it was set; whoever adds an attribute finds it at the end.

    Args:
        line: What follows ``Set-Cookie:``, fit to be sent.
    """

    def __init__(self, line: str) -> None:
        super().__init__()
        pair = line.partition(";")[0]
        name, _, value = pair.partition("=") if "=" in pair else ("", "", pair)
        name, value = name.strip(), value.strip()
        state = {"key": name, "value": value.strip('"'), "coded_value": value}
        super().__setstate__(state)  # type: ignore[misc]  # there, and takes names that set() refuses
        self._line = line

    def set(self, key: str, val: str, coded_val: str) -> None:
        """Become another cookie, of which nothing is left to send as it was."""
        super().set(key, val, coded_val)
        self._line = f"{key}={coded_val}"

    def OutputString(self, attrs: Container[str] | None = None) -> str:  # noqa: N802 - Morsel's name
        """Return what was set, and what has been added."""
        added = super().OutputString(attrs).removeprefix(f"{self.key}={self.coded_value}")
        return self._line + added
