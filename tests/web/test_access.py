"""Who may see reasons: a plain function of a request and a policy."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hospital.errors import SettingError
from hospital.web.access import (
    FORWARDING,
    Policy,
    is_loopback,
    is_loopback_host,
    may_see_reasons,
    require_token,
)

TOKEN = "correct-horse_battery.staple~/+=="  # noqa: S105 - a test's own
BEARER = Policy("token", TOKEN)
LOOPBACK = Policy("loopback")
AT_HOME = {"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "localhost:2014"}
HEADERS = st.dictionaries(st.sampled_from(["HTTP_AUTHORIZATION", "HTTP_HOST"]), st.text())


def test_the_bearer_of_the_token_sees_reasons() -> None:
    """The scheme is read in either case, the token to the letter."""
    assert may_see_reasons({"HTTP_AUTHORIZATION": f"Bearer {TOKEN}"}, BEARER)
    assert may_see_reasons({"HTTP_AUTHORIZATION": f"bearer  {TOKEN} "}, BEARER)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        TOKEN,
        f"Basic {TOKEN}",
        f"Bearer {TOKEN[:-1]}",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN}, Bearer {TOKEN}",
        f"Bearer {TOKEN.upper()}",
        "Bearer \xe4\xff",
        f"Bearer\t{TOKEN}",
    ],
)
def test_whoever_brings_another_token_is_a_stranger(header: str) -> None:
    """What is not exactly the token opens nothing."""
    assert not may_see_reasons({**AT_HOME, "HTTP_AUTHORIZATION": header}, BEARER)


@given(HEADERS)
def test_without_a_token_nobody_bears_it(headers: dict[str, str]) -> None:
    """No header opens what has no token, an empty one neither."""
    assert not may_see_reasons(headers, Policy("token", ""))


@pytest.mark.parametrize("address", ["127.0.0.1", "127.255.0.7", "::1", "::ffff:127.0.0.1"])
@pytest.mark.parametrize("host", ["localhost", "LOCALHOST.:80", "127.0.0.1:2014", "[::1]:2014"])
def test_who_asks_from_the_loopback_for_the_loopback_sees_reasons(address: str, host: str) -> None:
    """Peer and Host are both of the loopback, in any of their spellings."""
    assert may_see_reasons({"REMOTE_ADDR": address, "HTTP_HOST": host}, LOOPBACK)


@pytest.mark.parametrize(
    "address", ["", "10.0.0.1", "::", "0.0.0.1", "::ffff:10.0.0.1", "127.1", "localhost", "\0"]
)
def test_a_peer_elsewhere_is_a_stranger(address: str) -> None:
    """So is the peer of a unix socket, who has no address."""
    assert not may_see_reasons({**AT_HOME, "REMOTE_ADDR": address}, LOOPBACK)
    assert not is_loopback(address)


@pytest.mark.parametrize(
    "host",
    [
        "",
        "example.org",
        "localhost.example.org",
        "127.0.0.1.example.org",
        "evil.localhost",
        "127.1",
        "localhost:",
        "localhost:80:80",
        "localhost\r\n",
        "localhost/",
        "u@localhost",
        "[::2]",
        "[::1",
        "0.0.0.1",
    ],
)
def test_a_host_elsewhere_is_a_strangers(host: str) -> None:
    """A page of another name that resolves to the loopback gets no reasons."""
    assert not may_see_reasons({**AT_HOME, "HTTP_HOST": host}, LOOPBACK)
    assert not is_loopback_host(host)


def test_a_request_without_host_is_a_strangers() -> None:
    """What is not said is not loopback."""
    assert not may_see_reasons({"REMOTE_ADDR": "127.0.0.1"}, LOOPBACK)


@pytest.mark.parametrize(
    "header",
    [
        *sorted(FORWARDING),
        "HTTP_X_FORWARDED_FOR",
        "HTTP_X_FORWARDED_PROTO",
        "HTTP_X_FORWARDED",
        "HTTP_X_ORIGINAL_URL",
        "HTTP_X_ENVOY_EXTERNAL_ADDRESS",
    ],
)
def test_whoever_comes_through_a_proxy_is_a_stranger(header: str) -> None:
    """A forwarding header closes the door, an empty one too."""
    assert not may_see_reasons({**AT_HOME, header: ""}, LOOPBACK)


def test_the_loopback_does_not_count_where_a_token_is_asked_for() -> None:
    """Each mode has its own rule and no other."""
    assert not may_see_reasons(AT_HOME, BEARER)
    assert not may_see_reasons({"HTTP_AUTHORIZATION": f"Bearer {TOKEN}"}, LOOPBACK)


def test_everyone_sees_reasons_where_everyone_may() -> None:
    """The mode everyone asks for nothing."""
    assert may_see_reasons({}, Policy("everyone"))


def test_an_unknown_mode_is_for_nobody() -> None:
    """What is not known opens nothing."""
    bearer = {**AT_HOME, "HTTP_AUTHORIZATION": f"Bearer {TOKEN}"}

    assert not may_see_reasons(bearer, Policy("all", TOKEN))


def test_the_token_shows_in_no_repr() -> None:
    """A policy that is printed keeps its secret."""
    assert TOKEN not in repr(BEARER)


@pytest.mark.parametrize("token", ["", " ", "a b", "a\n", "ä", "x" * 513])
def test_what_no_header_can_hold_is_no_token(token: str) -> None:
    """The error does not show what was given."""
    with pytest.raises(SettingError) as caught:
        require_token(token)

    assert (
        str(caught.value) == "token cannot be a bearer token; use 1 to 512 visible ASCII characters"
    )
