"""Rules of host names and their lookup."""

import socket
import subprocess
import sys

import pytest

from hospital.assertions.deadline import Deadline
from hospital.assertions.resolving import MOST_ADDRESSES, ascii_host, resolve
from hospital.errors import SettingError


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("example.org", "example.org"),
        ("example.org.", "example.org."),
        ("a_b.example", "a_b.example"),
        ("Bücher.example", "xn--bcher-kva.example"),
        ("例え.jp", "xn--r8jz45g.jp"),
        ("127.0.0.1", "127.0.0.1"),
        ("::1", "::1"),
        ("fe80::1%eth0", "fe80::1%eth0"),
        ("a" * 63 + ".example", "a" * 63 + ".example"),
    ],
)
def test_names_and_addresses_are_taken(host: str, expected: str) -> None:
    """As the resolver wants them."""
    assert expected == ascii_host(host)


@pytest.mark.parametrize(
    "host",
    [
        "", None, 5, b"h", ".", "a..b", "-a", "a b", "a/b", "a\n", "h:80", "[::1]", "http://h",
        "::1%\xe9", "a" * 64, ".".join(["a" * 60] * 5), "\u202eh", "é" * 70, "a\0b", "1::2::3",
    ],
)  # fmt: skip
def test_anything_else_is_an_error(host: object) -> None:
    """A host that cannot be one is a mistake of the caller."""
    with pytest.raises(SettingError):
        ascii_host(host)


def test_an_error_about_a_host_holds_no_password() -> None:
    """Who passes a URL instead of a host does not find its password in the log."""
    with pytest.raises(SettingError) as caught:
        ascii_host("u:s3cret@h")

    assert "s3cret" not in str(caught.value)


def test_an_address_needs_no_lookup() -> None:
    """A literal resolves to itself, with the port."""
    found = resolve("127.0.0.1", 80, Deadline(5))

    assert [(socket.AF_INET, ("127.0.0.1", 80))] == [tuple(each) for each in found]


def test_a_name_is_looked_up() -> None:
    """Localhost is a loopback address, of either family."""
    found = resolve("localhost", 80, Deadline(5))

    assert 1 <= len(found) <= MOST_ADDRESSES
    assert {address.sockaddr[0] for address in found} <= {"127.0.0.1", "::1"}


def test_a_resolver_that_hangs_costs_the_deadline_only() -> None:
    """The deadline holds though getaddrinfo cannot be interrupted, and lookups stay bounded.

    The process gets a resolver of its own that hangs, as one does whose servers are gone.
    """
    program = """
import socket, threading, time
forever = threading.Event()
real = socket.getaddrinfo
def getaddrinfo(host, *args, **options):
    if options.get("flags"):
        return real(host, *args, **options)
    forever.wait()
socket.getaddrinfo = getaddrinfo

from hospital import assert_http_response, assert_ping
from hospital.assertions.resolving import MOST_LOOKUPS
for ask in (lambda: assert_http_response("http://h.example/", timeout=0.3),
            lambda: assert_ping("h.example", timeout=0.3)):
    started = time.monotonic()
    try:
        ask()
    except AssertionError as error:
        print(error, time.monotonic() - started < 0.6)
for _ in range(2 * MOST_LOOKUPS):
    try:
        assert_ping("h.example", timeout=0.005)
    except AssertionError:
        pass
print(threading.active_count() == MOST_LOOKUPS + 1)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True
    )

    http, ping, bounded = done.stdout.splitlines()
    wanted = "http://h.example/ gave no whole answer within 300 ms, timed out looking up h.example"
    assert f"{wanted}; expected 200 OK True" == http
    wanted = "h.example could not be looked up in time; expected a reply to a ping within 300 ms"
    assert f"{wanted} True" == ping
    assert "True" == bounded
