"""URLs as requests need them, and as messages may show them.

Rule: what is shown of a URL holds no credentials, no query and no fragment.
"""

import base64
from dataclasses import dataclass, field
from urllib.parse import SplitResult, quote, unquote, unquote_to_bytes, urlsplit

from hospital.assertions.resolving import ascii_host
from hospital.errors import SettingError, did_you_mean

DEFAULT_PORTS = {"http": 80, "https": 443}
_EXAMPLE = "write it as https://example.org:8443/path"
_KEPT_IN_PATH = "/%:@!$&'()*+,;=~-._"
_KEPT_IN_QUERY = _KEPT_IN_PATH + '?[]|^`{}\\"'


@dataclass(frozen=True, slots=True)
class Url:
    """A URL in its parts; its repr holds nothing secret.

    Attributes:
        scheme: ``http`` or ``https``.
        host: Name in ASCII, or address; IPv6 without brackets.
        port: The port, the scheme's own where none was written.
        path: The path, percent-encoded.
        query: What follows the question mark, percent-encoded; may be empty.
        authorization: Value of the ``Authorization`` header that the userinfo stands for.
    """

    scheme: str
    host: str
    port: int
    path: str
    query: str = field(default="", repr=False)
    authorization: str | None = field(default=None, repr=False)

    @property
    def netloc(self) -> str:
        """Host, and port where it is not the scheme's own; as the ``Host`` header has it."""
        host = f"[{self.host.partition('%')[0]}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def authority(self) -> str:
        """Host and port, always both; as ``CONNECT`` takes them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def origin(self) -> tuple[str, str, int]:
        """Whom the credentials are for."""
        return self.scheme, self.host.lower(), self.port

    @property
    def target(self) -> str:
        """What a request asks the server for."""
        return f"{self.path}?{self.query}" if self.query else self.path

    @property
    def shown(self) -> str:
        """The URL as messages show it."""
        return f"{self.scheme}://{self.netloc}{self.path}"


def parse_url(text: object, name: str = "url") -> Url:
    """Return *text* in its parts.

    Args:
        text: An absolute URL, ``http`` or ``https``.
        name: What is being set; stands in the error.

    Raises:
        SettingError: If *text* is no such URL; the message holds none of its secrets.

    >>> parse_url("https://u:p@h/x?token=1#top").shown
    'https://h/x'
    """
    if not isinstance(text, str) or not text:
        kind = repr(text) if text is None or text == "" else type(text).__name__
        raise SettingError(f"{name} is no URL:", kind, _EXAMPLE)
    if any(character <= " " or character == "\x7f" for character in text):
        raise SettingError(f"{name} holds a space or a control character", "", "percent-encode it")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise SettingError(f"{name} has no usable host and port", "", _EXAMPLE) from error
    if parts.scheme not in DEFAULT_PORTS or not parts.netloc:
        raise _bad_scheme(parts, name)
    if not parts.hostname or port == 0:
        raise SettingError(f"{name} has no usable host and port", "", _EXAMPLE)
    return Url(
        scheme=parts.scheme,
        host=ascii_host(unquote(parts.hostname), f"host of {name}"),
        port=port or DEFAULT_PORTS[parts.scheme],
        path=_encode(parts.path, _KEPT_IN_PATH) or "/",
        query=_encode(parts.query, _KEPT_IN_QUERY),
        authorization=_basic(parts),
    )


def _encode(text: str, kept: str) -> str:
    return quote(text, safe=kept, errors="surrogatepass")


def _bad_scheme(parts: SplitResult, name: str) -> SettingError:
    if not parts.scheme or not parts.netloc:  # "u:p@h" reads as a scheme: show none of it
        return SettingError(f"{name} does not begin with http:// or https://", "", _EXAMPLE)
    hint = did_you_mean(parts.scheme, DEFAULT_PORTS) or "write http or https"
    return SettingError(f"{name} has a scheme other than http and https:", parts.scheme, hint)


def _basic(parts: SplitResult) -> str | None:
    if not parts.username and not parts.password:
        return None
    credentials = b":".join(
        unquote_to_bytes(part or "") for part in (parts.username, parts.password)
    )
    return "Basic " + base64.b64encode(credentials).decode("ascii")
