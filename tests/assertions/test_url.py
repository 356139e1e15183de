"""Rules of URLs: what is sent of them, and what is shown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hospital.assertions.url import parse_url
from hospital.errors import SettingError


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://u:p@h/x?token=1#frag", "https://h/x"),
        ("http://h", "http://h/"),
        ("HTTP://H:8080/A", "http://h:8080/A"),
        ("https://h:443/", "https://h/"),
        ("https://h:80/", "https://h:80/"),
        ("http://[::1]:81/x", "http://[::1]:81/x"),
        ("http://[fe80::1%25eth0]/", "http://[fe80::1]/"),
        ("http://bücher.example/ü", "http://xn--bcher-kva.example/%C3%BC"),
        ("http://h/a%20b\u202e", "http://h/a%20b%E2%80%AE"),
    ],
)
def test_the_shown_url(text: str, shown: str) -> None:
    """Scheme, host, port where it is another one, and path; nothing else."""
    assert shown == parse_url(text).shown


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("http://h?x=1", "/?x=1"),
        ("http://h/a?b=c&d=é#f", "/a?b=c&d=%C3%A9"),
        ("http://h/a;p=1?x[]=|", "/a;p=1?x[]=|"),
    ],
)
def test_the_target_of_a_request(text: str, target: str) -> None:
    """Path and query as they were written, what is not ASCII percent-encoded."""
    assert target == parse_url(text).target


@pytest.mark.parametrize(
    ("text", "authorization"),
    [
        ("http://h/", None),
        ("http://@h/", None),
        ("http://u@h/", "Basic dTo="),
        ("http://:p@h/", "Basic OnA="),
        ("http://u:p@w@h/", "Basic dTpwQHc="),
    ],
)
def test_credentials(text: str, authorization: str | None) -> None:
    """The userinfo is what stands before the last at-sign."""
    assert authorization == parse_url(text).authorization


@pytest.mark.parametrize(
    "text",
    [
        "", None, 7, "h", "//h", "u:s3cret@h", "mailto:s3cret", "ftp://u:s3cret@h/", "http://",
        "http://u:s3cret@/", "http://u:s3cret@h:port/", "http://u:s3cret@h:0/",
        "http://u:s3cret@h:65536/", "http://u:s3cret@[::1/", "http://u:s3cret@[::g]/",
        "http://u:s3cret@a b/", "http://u:s3cret@h/\n", "http://u:s3cret@h%00/",
        "http://u:s3cret#x@h/", "http://u:s3cret@a..b/", " http://u:s3cret@h/",
    ],
)  # fmt: skip
def test_an_unusable_url_is_an_error_without_its_secret(text: object) -> None:
    """A SettingError that says what to write, and holds no password."""
    with pytest.raises(SettingError) as caught:
        parse_url(text)

    assert "s3cret" not in str(caught.value)


def test_a_mistyped_scheme_gets_a_hint() -> None:
    """The nearest scheme is named."""
    with pytest.raises(SettingError, match="did you mean 'https'"):
        parse_url("htps://h/")


@given(st.text(max_size=60))
def test_any_text_is_a_url_or_an_error(rest: str) -> None:
    """Whatever the text, it is understood or refused, and no line can be smuggled in."""
    try:
        url = parse_url("http://h" + rest)
    except SettingError:
        return
    assert url.target.isascii()
    assert not set(url.target + url.netloc) & set(" \r\n\0")


def test_the_repr_holds_no_secret() -> None:
    """A debugger or a traceback with values shows none either."""
    shown = repr(parse_url("https://u:s3cret@h/x?token=hush"))

    assert "s3cret" not in shown
    assert "czNjcmV0" not in shown
    assert "hush" not in shown
