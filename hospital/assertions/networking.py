"""Assertions about the reachability of hosts."""

import errno
import os
import socket
import sys
from pathlib import Path

from hospital.assertions.deadline import Deadline
from hospital.assertions.echo import Echo
from hospital.assertions.resolving import Address, ascii_host, resolve
from hospital.assertions.transport import OWN_FAULTS, why
from hospital.durations import format_duration, parse_duration
from hospital.errors import HospitalError

__unittest = True  # unittest shows the line of the check, not the lines in here

RESEND_S = 1.0
"""Seconds between two requests of one ping, as ping(8) has it."""

_PAYLOAD_BYTES = 16
_PACKET_BYTES = 2048
_PROTOCOLS = {socket.AF_INET: socket.IPPROTO_ICMP, socket.AF_INET6: socket.IPPROTO_ICMPV6}
_NOT_ALLOWED = frozenset({errno.EACCES, errno.EPERM, errno.EPROTONOSUPPORT, errno.ESOCKTNOSUPPORT})
_GROUP_RANGE = Path("/proc/sys/net/ipv4/ping_group_range")

# Of <linux/in.h> and <linux/in6.h>: tell a socket about errors such as "no route to host", which
# routers report and which the kernel otherwise keeps to itself. Python does not name them.
_IP_RECVERR = 11
_IPV6_RECVERR = 25


class PingNotAllowedError(HospitalError):
    """This process may open no socket for ICMP, so whether a host answers cannot be told."""


def assert_ping(host: str, timeout: float | str = 1, msg: str | None = None) -> None:
    """Assert that *host* answers an ICMP echo request in time.

    No program is called. Unprivileged ICMP sockets are used where the system allows them (on
    Linux: ``net.ipv4.ping_group_range``, for IPv6 too), else raw sockets (root, CAP_NET_RAW).
    A request is sent each second. Of a host with several addresses one has to answer; each but
    the last gets half of the time that is left.

    Args:
        host: Name, IPv4 or IPv6 address (without brackets).
        timeout: Seconds, or text such as ``"500ms"``, for all, the name lookup included.
        msg: Said after the message of a failure.

    Raises:
        AssertionError: If *host* has no address, is unreachable or does not answer.
        PingNotAllowedError: If this process may not ping.
        SettingError: If an argument cannot be used; it is a ValueError.
    """
    __tracebackhide__ = True
    deadline = Deadline(parse_duration(timeout, "timeout"))
    fault, cause = _fault(ascii_host(host), deadline)
    if fault:
        limit = format_duration(deadline.timeout_s)
        note = "" if msg is None else f" : {msg}"
        raise AssertionError(
            f"{host} {fault}; expected a reply to a ping within {limit}{note}"
        ) from cause


def _fault(host: str, deadline: Deadline) -> tuple[str, Exception | None]:
    """Return why *host* did not answer, and the cause; an empty text where it did."""
    try:
        addresses = resolve(host, 0, deadline)
    except TimeoutError as error:
        return "could not be looked up in time", error
    except socket.gaierror as error:
        return f"cannot be resolved: {why(error)}", error
    faults: list[str] = []
    cause: Exception | None = None
    for index, address in enumerate(addresses, 1):
        try:
            turn = Deadline(deadline.turn_s(last=index == len(addresses)))
            _ping(address, turn)
        except TimeoutError as error:
            faults.append(f"gave no reply ({address.sockaddr[0]})")
            cause = error
        except OSError as error:
            if error.errno in OWN_FAULTS:
                raise
            faults.append(f"is unreachable ({address.sockaddr[0]}): {why(error)}")
            cause = error
        else:
            return "", None
    return ", ".join(faults), cause


def _ping(address: Address, deadline: Deadline) -> None:
    """Return when *address* has answered.

    Raises:
        TimeoutError: If it did not.
        OSError: If it is unreachable; the error says how.
    """
    with _open(address) as sock:
        sock.settimeout(deadline.left_s())
        sock.connect(address.sockaddr)
        # The kernel numbers an unprivileged socket and lets only its own replies through.
        ident = sock.getsockname()[1] if sock.type == socket.SOCK_DGRAM else 0
        own_ident = ident or int.from_bytes(os.urandom(2), "big")
        echo = Echo(address.family, own_ident, os.urandom(_PAYLOAD_BYTES))
        sent = 0
        while True:
            sent += 1
            sock.settimeout(deadline.left_s())
            sock.send(echo.request(sent & 0xFFFF))
            if _answered(sock, echo, sent, deadline):
                return


def _answered(sock: socket.socket, echo: Echo, sent: int, deadline: Deadline) -> bool:
    """Return whether the reply came before the next request is due."""
    due = Deadline(min(RESEND_S, deadline.left_s()))
    try:
        while True:
            sock.settimeout(due.left_s())
            if echo.is_reply(_receive(sock), sent):
                return True
    except TimeoutError:
        return False


def _receive(sock: socket.socket) -> bytes:
    try:
        return sock.recv(_PACKET_BYTES)
    except OSError as error:
        if error.errno == errno.EMSGSIZE:  # about somebody's bigger packet, not about ours
            return b""
        raise


def _open(address: Address) -> socket.socket:
    for kind in (socket.SOCK_DGRAM, socket.SOCK_RAW):
        try:
            sock = socket.socket(address.family, kind, _PROTOCOLS[address.family])
        except OSError as error:
            if error.errno not in _NOT_ALLOWED:
                raise
        else:
            _ask_for_errors(sock)
            return sock
    raise _not_allowed(str(address.sockaddr[0]))


def _ask_for_errors(sock: socket.socket) -> None:
    if sys.platform != "linux":
        return
    if sock.family == socket.AF_INET:
        sock.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
    else:
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)


def _not_allowed(address: str) -> PingNotAllowedError:
    group = os.getegid()
    remedy = (
        f"allow its group with sysctl -w net.ipv4.ping_group_range='{group} {group}', "
        "or give it CAP_NET_RAW"
    )
    try:
        allowed = " ".join(_GROUP_RANGE.read_text().split())
    except OSError:
        allowed = "unknown"
    return PingNotAllowedError(
        f"cannot tell whether {address} answers a ping: this process (group {group}) may open "
        "neither ICMP nor raw sockets, net.ipv4.ping_group_range is",
        repr(allowed),
        remedy,
    )
