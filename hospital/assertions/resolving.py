"""Names of hosts to addresses, within a deadline.

Rule: ``getaddrinfo`` cannot be interrupted, so it runs in a daemon thread that is left behind
when the deadline passes; ``MOST_LOOKUPS`` bounds how many of them there are.
"""

import re
import socket
import threading
from ipaddress import IPv6Address
from itertools import zip_longest
from typing import Any, NamedTuple

from hospital.assertions.deadline import Deadline
from hospital.errors import SettingError

MOST_ADDRESSES = 4
MOST_LOOKUPS = 32
_LONGEST_NAME = 253
_LONGEST_LABEL = 63
_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?")

_lookups = threading.BoundedSemaphore(MOST_LOOKUPS)


class Address(NamedTuple):
    """Where a host can be reached: what ``socket.connect`` takes, and its family."""

    family: socket.AddressFamily
    sockaddr: tuple[Any, ...]


def ascii_host(host: object, name: str = "host") -> str:
    """Return *host* as the resolver takes it: a name in ASCII, or an address.

    Args:
        host: A name, unicode or not, or an IPv4 or IPv6 address without brackets.
        name: What is being set; stands in the error.

    Raises:
        SettingError: If *host* can be none of these.

    >>> ascii_host("Bücher.example"), ascii_host("::1"), ascii_host("127.0.0.1")
    ('xn--bcher-kva.example', '::1', '127.0.0.1')
    """
    if not isinstance(host, str) or not host or "@" in host or "://" in host:
        kind = "text with a password or a URL" if isinstance(host, str) and host else repr(host)
        raise SettingError(
            f"{name} is no name of a host:", kind[:80], "write a name or an address alone"
        )
    if ":" in host:
        return _ipv6(host, name)
    try:
        ascii_name = host if host.isascii() else host.encode("idna").decode("ascii")
    except UnicodeError as error:
        raise _no_host(host, name) from error
    labels = ascii_name.removesuffix(".").split(".")
    whole = all(_LABEL.fullmatch(label) and len(label) <= _LONGEST_LABEL for label in labels)
    if not whole or len(ascii_name) > _LONGEST_NAME:
        raise _no_host(host, name)
    return ascii_name


def _ipv6(host: str, name: str) -> str:
    try:
        IPv6Address(host if host.isascii() else "")
    except ValueError as error:
        raise _no_host(host, name) from error
    return host


def _no_host(host: str, name: str) -> SettingError:
    return SettingError(
        f"{name} is no name of a host:", ascii(host)[:80], "write a name or an address alone"
    )


def resolve(host: str, port: int, deadline: Deadline) -> list[Address]:
    """Return at most ``MOST_ADDRESSES`` addresses of *host*, in the order to try them.

    The families take turns, so that a machine whose IPv6 leads nowhere comes to IPv4 at once.

    Raises:
        socket.gaierror: If there is no such host, or the resolver cannot tell.
        TimeoutError: If the resolver has not answered when the *deadline* has passed.
    """
    try:
        found = _getaddrinfo(host, port, socket.AI_NUMERICHOST)
    except socket.gaierror:
        found = _in_a_thread(host, port, deadline)
    first = [each for each in found if each.family == found[0].family]
    others = [each for each in found if each.family != found[0].family]
    mixed = [each for pair in zip_longest(first, others) for each in pair if each is not None]
    return mixed[:MOST_ADDRESSES]


def _getaddrinfo(host: str, port: int, flags: int = 0) -> list[Address]:
    # Bytes: text would be encoded once more, by a codec that is loaded for it.
    found = socket.getaddrinfo(host.encode("ascii"), port, type=socket.SOCK_STREAM, flags=flags)
    inet = {socket.AF_INET, socket.AF_INET6}
    return [Address(family, sockaddr) for family, _, _, _, sockaddr in found if family in inet]


def _in_a_thread(host: str, port: int, deadline: Deadline) -> list[Address]:
    if not _lookups.acquire(timeout=deadline.left_s()):
        raise TimeoutError(f"{MOST_LOOKUPS} lookups are waiting for the resolver already")
    done = threading.Event()
    results: list[list[Address]] = []
    faults: list[Exception] = []

    def look_up() -> None:
        try:
            results.append(_getaddrinfo(host, port))
        except Exception as error:  # noqa: BLE001 - raised again where somebody waits for it
            faults.append(error)
        finally:
            _lookups.release()
            done.set()

    try:
        threading.Thread(target=look_up, name=f"look up {host}", daemon=True).start()
    except RuntimeError:
        _lookups.release()
        raise
    if not done.wait(deadline.left_s()):
        raise TimeoutError(f"the resolver has not answered for {host}")
    if faults:
        raise faults[0]
    if not results[0]:
        raise socket.gaierror(socket.EAI_NONAME, "no address of a known family")
    return results[0]
