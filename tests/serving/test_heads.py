"""What counts as the head of an HTTP request, and what is refused."""

import time
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hospital.serving import heads
from hospital.serving.heads import Head, Refusal

GET = b"GET / HTTP/1.1\r\n"
HOST = b"Host: test\r\n"


def read_head(line: bytes, fields: Sequence[bytes]) -> Head:
    return heads.read_head(b"".join([line, *fields]).removesuffix(b"\r\n"))


def status_of(line: bytes, *fields: bytes) -> str:
    with pytest.raises(Refusal) as caught:
        read_head(line, fields)
    return caught.value.status[:3]


@pytest.mark.parametrize(
    "line",
    [
        b"GET /\r\n",
        b"GET / HTTP/1.1\n",
        b"GET  / HTTP/1.1\r\n",
        b"GET / HTTP/1.1 \r\n",
        b" GET / HTTP/1.1\r\n",
        b"GET /a b HTTP/1.1\r\n",
        b"GET\t/ HTTP/1.1\r\n",
        b"GET / http/1.1\r\n",
        b"GET / HTTP/1.10\r\n",
        b"GET /\x00 HTTP/1.1\r\n",
        b"GET /\xe4 HTTP/1.1\r\n",
        b"G(T / HTTP/1.1\r\n",
        b"GET * HTTP/1.1\r\n",
        b"GET path HTTP/1.1\r\n",
        b"GET ftp://host/ HTTP/1.1\r\n",
        b"GET http:///path HTTP/1.1\r\n",
        b"GET http://user@host/ HTTP/1.1\r\n",
        b'GET http://ho"st/ HTTP/1.1\r\n',
        b"GET http://host:80:80/ HTTP/1.1\r\n",
        b"GET http://host:port/ HTTP/1.1\r\n",
        b"GET http://<host>/ HTTP/1.1\r\n",
        b"GET http://:80/ HTTP/1.1\r\n",
        b"CONNECT host:443 HTTP/1.1\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n",
    ],
)
def test_a_malformed_request_line_is_refused(line: bytes) -> None:
    """A line that two programs could read differently is read by nobody."""
    assert "400" == status_of(line, HOST)


@pytest.mark.parametrize("version", [b"0.9", b"1.2", b"2.0", b"3.0"])
def test_an_unknown_version_is_refused(version: bytes) -> None:
    """HTTP/1.1 and HTTP/1.0 are spoken here."""
    assert "505" == status_of(b"GET / HTTP/" + version + b"\r\n", HOST)


@pytest.mark.parametrize(
    "field",
    [
        b"Name value\r\n",
        b"Name : value\r\n",
        b" Name: value\r\n",
        b"\tfolded\r\n",
        b": value\r\n",
        b"Na me: value\r\n",
        b"Name: value\n",
        b"Name: va\rlue\r\n",
        b"Name: va\x00lue\r\n",
        b"Name: va\x1blue\r\n",
        b"Name: va\x7flue\r\n",
        b"N\xe4me: value\r\n",
        b"Host: other\r\n",
        b"Content-Length: \r\n",
        b"Content-Length: +1\r\n",
        b"Content-Length: -1\r\n",
        b"Content-Length: 0x1\r\n",
        b"Content-Length: 1, 1\r\n",
        b"Content-Length: 1_0\r\n",
        b"Content-Length: 1 0\r\n",
        b"Content-Length: \xb2\r\n",
        b"Content-Length: 1111111111111111\r\n",
    ],
)
def test_a_malformed_field_is_refused(field: bytes) -> None:
    """Folded lines, stray controls and odd lengths are what requests are smuggled with."""
    assert "400" == status_of(GET, HOST, field)


@pytest.mark.parametrize("name", [b"Content-Length: 1\r\n", b"Transfer-Encoding: chunked\r\n"])
def test_what_says_where_the_body_ends_stands_once(name: bytes) -> None:
    """Even twice the same is refused."""
    assert "400" == status_of(GET, HOST, name, name)


@pytest.mark.parametrize(
    ("encoding", "length", "status"),
    [
        (b"chunked", b"3", "400"),
        (b"gzip", None, "501"),
        (b"chunked, identity", None, "501"),
        (b"\x0bchunked", None, "400"),
        (b"chunked", None, "411"),
    ],
)
def test_transfer_encoding_is_refused(encoding: bytes, length: bytes | None, status: str) -> None:
    """Bodies come with their length: without chunks there is nothing to read in two ways."""
    fields = [HOST, b"Transfer-Encoding: " + encoding + b"\r\n"]
    if length is not None:
        fields.append(b"Content-Length: " + length + b"\r\n")

    assert status == status_of(GET, *fields)


def test_a_host_is_needed() -> None:
    """HTTP/1.1 requires it; HTTP/1.0 does not know it."""
    assert "400" == status_of(GET)
    assert "HTTP/1.0" == read_head(b"GET / HTTP/1.0\r\n", []).version


@pytest.mark.parametrize(
    ("target", "path", "query", "host"),
    [
        (b"/", "/", "", "test"),
        (b"/a%2Fb%c3%a4?x=%20", "/a/b\xc3\xa4", "x=%20", "test"),
        (b"//double", "//double", "", "test"),
        (b"/?a?b", "/", "a?b", "test"),
        (b"http://other:81/p?q", "/p", "q", "other:81"),
        (b"HTTP://other", "/", "", "other"),
        (b"https://other?q", "/", "q", "other"),
    ],
)
def test_the_target_is_taken_apart(target: bytes, path: str, query: str, host: str) -> None:
    """The path is decoded as WSGI wants it; the host of an absolute target outranks the header."""
    environ = read_head(b"GET " + target + b" HTTP/1.1\r\n", [HOST]).environ

    assert (path, query, host) == (
        environ["PATH_INFO"],
        environ["QUERY_STRING"],
        environ["HTTP_HOST"],
    )


@pytest.mark.parametrize(
    ("version", "connection", "keeps"),
    [
        (b"1.1", None, True),
        (b"1.1", b"close", False),
        (b"1.1", b"TE, Close", False),
        (b"1.1", b"not-close", True),
        (b"1.0", None, False),
        (b"1.0", b"Keep-Alive", True),
        (b"1.0", b"keep-alive, close", False),
    ],
)
def test_who_may_send_another_request(
    version: bytes,
    connection: bytes | None,
    keeps: bool,  # noqa: FBT001 - a column of the table
) -> None:
    """The version has a default, the Connection header outranks it."""
    fields = [HOST] if connection is None else [HOST, b"Connection: " + connection + b"\r\n"]

    assert keeps is read_head(b"GET / HTTP/" + version + b"\r\n", fields).keep_alive


def test_a_field_with_an_underscore_cannot_pose_as_another() -> None:
    """X_Forwarded_For would get the key of X-Forwarded-For."""
    environ = read_head(GET, [HOST, b"X_Forwarded_For: 1\r\n"]).environ

    assert "HTTP_X_FORWARDED_FOR" not in environ


def test_names_of_strangers_do_not_fill_the_memory() -> None:
    """Names are remembered up to a number, and read beyond it all the same."""
    for number in range(2000):
        name = f"X-{number}"
        environ = read_head(GET, [HOST, f"{name}: y\r\n".encode()]).environ
        assert "y" == environ[f"HTTP_X_{number}"]

    assert len(heads._known_keys) <= heads._MOST_KNOWN_KEYS


def test_short_heads_are_remembered_and_those_with_secrets_are_not() -> None:
    """Who probes sends the same each time; what a client keeps secret stays nowhere."""
    plain = GET + b"Host: remembered"
    secrets = [
        GET + b"Host: t\r\n" + name + b": s3cret"
        for name in (b"Cookie", b"Authorization", b"Proxy-Authorization", b"cookie")
    ]
    long = GET + b"Host: t\r\nX: " + b"y" * heads._LONGEST_KNOWN_HEAD_BYTES

    first = heads.read_head(plain)
    for each in (*secrets, long):
        heads.read_head(each)

    assert first is heads.read_head(plain)
    assert not {*secrets, long} & set(heads._known_heads)


def test_heads_of_strangers_do_not_fill_the_memory() -> None:
    """Heads are remembered up to a number, and read beyond it all the same."""
    for number in range(10 * heads._MOST_KNOWN_HEADS):
        head = heads.read_head(GET + b"Host: h%d" % number)
        assert f"h{number}" == head.environ["HTTP_HOST"]
        assert len(heads._known_heads) <= heads._MOST_KNOWN_HEADS

    assert b"h%d" % number in b"".join(heads._known_heads)


PIECES = st.sampled_from(
    [
        b"GET / HTTP/1.1",
        b"\r\n",
        b"\r",
        b"\n",
        b"X: y",
        b" ",
        b"\x16",
        b"a" * 4000,
        b"b: c\r\n" * 60,
    ]
)


@given(st.lists(PIECES, max_size=14), st.lists(st.integers(0, 30_000), max_size=6))
def test_a_head_that_comes_in_pieces_is_refused_as_one_that_comes_at_once(
    pieces: list[bytes], cuts: list[int]
) -> None:
    """However it is cut: what has been looked at need not be looked at again."""
    whole = b"".join(pieces)

    def status_after(ends: list[int]) -> str:
        begun = heads.BegunHead()
        for end in ends:
            try:
                begun.check(whole[:end])
            except Refusal as refusal:
                return refusal.status
        return ""

    at_once = status_after([len(whole)])
    in_pieces = status_after([*sorted(min(each, len(whole)) for each in cuts), len(whole)])

    assert bool(at_once) is bool(in_pieces)


def test_a_long_head_that_comes_byte_by_byte_costs_little() -> None:
    """Each byte is looked at once: 29 KB are no 29,000 times 29 KB."""
    fields = b"".join(b"X-%d: %b\r\n" % (number, b"y" * 960) for number in range(30))
    whole = GET + fields
    begun = heads.BegunHead()
    began = time.process_time()

    for end in range(1, len(whole)):
        begun.check(whole[:end])

    assert time.process_time() - began < 1.0  # 4 s, where each byte has all looked at again


@given(st.binary(max_size=80), st.lists(st.binary(max_size=40), max_size=4))
def test_any_bytes_are_read_or_refused(line: bytes, fields: list[bytes]) -> None:
    """Whatever a client sends, there is a head or a refusal, and no other exception."""
    try:
        head = read_head(line + b"\r\n", [field + b"\r\n" for field in fields])
    except Refusal:
        return
    assert isinstance(head, Head)


@given(st.text(alphabet="abc /%:?#@\t\x00é", max_size=30), st.sampled_from(["1.0", "1.1"]))
def test_a_path_never_holds_what_the_line_did_not(target: str, version: str) -> None:
    """What reaches the application begins as a path does."""
    try:
        head = read_head(f"GET {target} HTTP/{version}\r\n".encode(), [HOST])
    except Refusal:
        return
    assert head.environ["PATH_INFO"].startswith("/")
