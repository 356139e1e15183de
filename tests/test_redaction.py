import json
import re
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hospital.redaction import LONGEST, clean, clean_line, redact, to_text

SCHEMES = st.sampled_from(
    ["postgresql", "postgresql+asyncpg", "redis", "amqp", "https", "mysql", "mongodb+srv"]
)
PASSWORDS = st.text(min_size=1, max_size=80).filter(
    lambda text: not any(c.isspace() for c in text) and not text.startswith("***&")
)
"""Any characters but white space."""

ODD_PIECES = [
    *("\x00", "\x1b[31m", "\r", "\r\n", "\u2028", "\u202e", "\ud800", "\udfff", "\x85", "é"),
    *("password=", "'", '"', "\\", "://", ":", "@", "token: ", "Bearer ", " ", "\t", "\n"),
]
ODD_TEXTS = st.one_of(
    st.text(),
    st.text(alphabet=st.characters(), min_size=1).map(lambda text: text * 200),
    st.lists(st.sampled_from(ODD_PIECES), max_size=60).map("".join),
)


@given(scheme=SCHEMES, user=st.from_regex(r"[a-z_][a-z0-9_@.]{0,20}", fullmatch=True), it=PASSWORDS)
@example(scheme="postgresql", user="u", it="s3cret")
@example(scheme="postgresql", user="u", it="a@b/c?d#e:f")
@example(scheme="postgresql", user="u", it='it\'s "quoted"<>'.replace(" ", ""))
@example(scheme="postgresql", user="u", it="x" * 2000)
@example(scheme="postgresql", user="me@example.org", it="s3cret")
def test_a_password_in_an_address_never_stays(scheme: str, user: str, it: str) -> None:
    """Whatever its characters, short of white space, and however it is escaped or not."""
    shown = redact(f"cannot reach {scheme}://{user}:{it}@db.example.org:5432/app now")

    assert f"cannot reach {scheme}://{user}:***@db.example.org:5432/app now" == shown


@given(it=PASSWORDS.filter(lambda text: text[0] not in "'\"" and text[-1] != "\\"))
def test_a_password_in_keywords_never_stays(it: str) -> None:
    """A DSN of keywords and values holds one that goes on until white space."""
    assert redact(f"host=h password={it} user=u") == "host=h password=*** user=u"


@given(it=st.text(min_size=1, max_size=80))
@example(it="s3 cret")
@example(it="it's \\ 'quoted'")
def test_a_quoted_password_in_keywords_never_stays(it: str) -> None:
    """PostgreSQL quotes with ``'`` and escapes with a backslash; white space may stand inside."""
    quoted = it.replace("\\", "\\\\").replace("'", "\\'")

    assert redact(f"host=h password='{quoted}' user=u") == "host=h password=*** user=u"


@example(it="TOKEN")
@example(it="https://x/?sv=1&sig=HIDDEN")
@example(it="--password HIDDEN -u shop")
@example(it="***x")
@given(it=st.text(min_size=1, max_size=80))
def test_a_password_in_json_never_stays(it: str) -> None:
    """What follows it stays readable."""
    document = json.dumps({"password": it, "user": "u"})

    assert redact(document) == '{"password": ***, "user": "u"}'


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("nothing to hide", "nothing to hide"),
        ("GET http://h/?token=abc&page=2 gave 404", "GET http://h/?token=***&page=2 gave 404"),
        ("GET http://h/?X-Amz-Signature=abc", "GET http://h/?X-Amz-Signature=***"),
        ("http://h:8080/health", "http://h:8080/health"),
        ("http://[::1]:8080/health", "http://[::1]:8080/health"),
        ("redis://:pw@h/0", "redis://:***@h/0"),
        ("DB_PASSWORD=pw DEBUG=1", "DB_PASSWORD=*** DEBUG=1"),
        ("Pwd=a;b,c)d&e", "Pwd=***"),
        ("Authorization: Bearer abc.def", "Authorization: ***"),
        ("sent 'bearer abcdefghijkl'", "sent 'bearer ***'"),
        ("connect(password='x', user='y')", "connect(password=***, user='y')"),
        ("api-key: 12345", "api-key: ***"),
        ("password='cut off in the midd", "password=***"),
        ("ghp_0123456789abcdef0123", "***"),
        ("AKIA0123456789ABCDEF", "***"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc", "***"),
    ],
)
def test_secrets_are_known_by_their_form(text: str, shown: str) -> None:
    """Passwords, headers and tokens are masked, and what is harmless stays."""
    assert shown == redact(text)


@given(text=ODD_TEXTS, longest=st.integers(min_value=0, max_value=300))
@example(text="x" * 100, longest=10)
@example(text="x" * 50_000, longest=20)
def test_clean_text_is_safe_to_show(text: str, longest: int) -> None:
    """It can be encoded, is short enough, and holds no control character but tab and line feed."""
    shown = clean(text, longest)

    assert shown.encode().decode() == shown
    assert len(shown) <= longest
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e]", shown)


@given(text=ODD_TEXTS)
def test_a_clean_line_is_one_line(text: str) -> None:
    """It has no line ends at all."""
    assert len(clean_line(text).splitlines()) <= 1


def test_text_of_50_mb_is_cut_at_once() -> None:
    """A flood costs no time, and says that it was cut."""
    began = time.thread_time()
    shown = clean("x" * 50_000_000)

    assert time.thread_time() - began < 1
    assert len(shown) == LONGEST
    assert shown.endswith(" … [cut from 50000000 characters]")


@pytest.mark.parametrize(
    "text",
    [
        "a." * 8192 + "token",
        "token='" * 2000,
        "://a:" * 3200 + "@",
        "a-token" * 2340,
        "?token" * 2700,
        "&" + "a" * 16_000,
        "password='" + "\\" * 16_000,
    ],
    ids=lambda text: text[:10],
)
def test_no_text_takes_long(text: str) -> None:
    """Patterns read each character a bounded number of times."""
    began = time.thread_time()
    clean(text)

    assert time.thread_time() - began < 0.5


def test_a_secret_at_the_cut_does_not_stay() -> None:
    """Where the ``@`` of an address was cut off, its password is masked all the same."""
    filler = "password='" + "x" * 16_000 + "' "
    address = "postgresql://u:s3cret" + "t" * 1000 + "@h/db"

    assert "s3cret" not in clean(filler + address)


def test_any_object_has_a_text() -> None:
    """``__str__`` may do what it wants."""

    class Broken:
        def __str__(self) -> str:
            raise SystemExit("no text")

    assert to_text(Broken()) == "<Broken whose text cannot be had: SystemExit>"
    assert to_text(5) == "5"


@pytest.mark.parametrize(
    "text",
    [
        "['false', '--password', 'HIDDEN']",
        "mysql --password HIDDEN -u shop",
        r"password=a\ HIDDEN user=shop",
        "SECRET_KEY=HIDDEN",
        "DB_PASS=HIDDEN",
        "password1=HIDDEN",
        "AccountKey=HIDDEN;EndpointSuffix=x",
        "https://x/?sv=1&sig=HIDDEN",
        "Authorization: ApiKey HIDDEN",
        "Authorization: Digest username=x, response=HIDDEN",
        "{'headers': {'Authorization': 'Negotiate HIDDEN'}}",
        "Cookie: session=HIDDEN; theme=dark",
        "('X-Api-Key', 'HIDDEN')",
        "https://HIDDEN-TOKEN@git.example/x",
        "github_pat_HIDDENHIDDENHIDDEN",
        "glpat-HIDDENHIDDENHIDDEN",
        "-----BEGIN RSA PRIVATE KEY-----\nHIDDEN\nHIDDEN",
        r"{\"password\": \"HIDDEN\"}",
        "{'password': ['a', 'HIDDEN']}",
        "password=SecretStr('a HIDDEN')",
        "<password>HIDDEN</password>",
    ],
)
def test_a_secret_stays_in_no_form(text: str) -> None:
    """Arguments, keywords, headers, pairs, elements, keys and tokens of known form."""
    assert "HIDDEN" not in clean(text)


@pytest.mark.parametrize(
    "text",
    [
        "expected 2 tokens, got 3",
        "the password is wrong for user bob",
        "http://user@host/path",
        "pass: 3, fail: 4",
        "cannot read the secret file /etc/shop/secret",
    ],
)
def test_words_about_secrets_stay(text: str) -> None:
    """What holds no secret is not made unreadable."""
    assert text == clean(text)
