"""Rules of assert_ping, against the loopback address and against networks of their own."""

import os
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from shutil import which
from typing import Any

import pytest

from hospital import assert_ping
from hospital.assertions.networking import PingNotAllowedError
from hospital.errors import HospitalError, SettingError

DESCRIPTORS = Path("/proc/self/fd")
PROGRAM = """
import fcntl, os, socket, struct, subprocess, sys, time
from hospital import assert_ping

def up(name="lo"):
    with socket.socket() as sock:
        fcntl.ioctl(sock, 0x8914, struct.pack("16sh14x", name.encode(), 0x41))

def system(name, value):
    with open(f"/proc/sys/net/{name}", "w") as file:
        file.write(value)

def ask(*args):
    started = time.monotonic()
    try:
        assert_ping(*args)
    except Exception as error:
        print(f"{type(error).__name__}: {error}")
    else:
        print("answered")
    return time.monotonic() - started
"""


def may_ping() -> bool:
    """Return whether this process may ping at all."""
    try:
        assert_ping("127.0.0.1", 5)
    except PingNotAllowedError:
        return False
    return True


pinging = pytest.mark.skipif(
    not may_ping(),
    reason="no ping allowed: set net.ipv4.ping_group_range to the range of all groups",
)
isolating = pytest.mark.skipif(
    os.geteuid() != 0 or not all(map(which, ("unshare", "ip"))),
    reason="needs a network of its own: run as root, with util-linux and iproute2",
)


def run(program: str, *before: str) -> list[str]:
    """Return the lines that *program* prints in a process of its own."""
    done = subprocess.run(
        [*before, sys.executable, "-c", PROGRAM + program],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (0, "") == (done.returncode, done.stderr)
    return done.stdout.splitlines()


@pinging
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_this_machine_answers(host: str) -> None:
    """By address and by name."""
    assert_ping(host)


@pinging
def test_this_machine_answers_over_ipv6() -> None:
    """Where it has ::1."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no ::1 on this machine: enable IPv6 on the loopback interface")

    assert_ping("::1")


@pinging
def test_many_at_once_get_their_own_replies() -> None:
    """Fifty pings of one host in threads do not take each other's replies."""
    with ThreadPoolExecutor(50) as pool:
        results = list(pool.map(lambda _: assert_ping("127.0.0.1", 10), range(50)))

    assert 50 == len(results)


@pinging
@pytest.mark.skipif(not DESCRIPTORS.is_dir(), reason="no /proc: run it on Linux")
def test_no_descriptor_is_left_open() -> None:
    """Neither after a reply nor after a failure."""
    before = len(list(DESCRIPTORS.iterdir()))

    for host in ("127.0.0.1", "255.255.255.255"):
        try:
            assert_ping(host)
        except AssertionError:
            continue

    assert before == len(list(DESCRIPTORS.iterdir()))


def test_a_name_without_an_address_fails() -> None:
    """The name of RFC 6761 that never exists; a failure of the host, not of the check."""
    with pytest.raises(
        AssertionError, match=r"^hospital\.invalid (cannot be resolved|could not be)"
    ):
        assert_ping("hospital.invalid", 5)


@pytest.mark.parametrize(
    ("args", "options"),
    [
        (("",), {}), (("http://h/",), {}), (("a b",), {}), ((None,), {}), (("[::1]",), {}),
        (("127.0.0.1", 0), {}), (("127.0.0.1",), {"timeout": "soon"}),
    ],
)  # fmt: skip
def test_an_unusable_argument_is_an_error(args: Any, options: Any) -> None:
    """A mistake of the caller is no failed assertion: SettingError, which is a ValueError."""
    with pytest.raises(SettingError):
        assert_ping(*args, **options)


@isolating
def test_who_may_not_ping_is_told_what_to_set() -> None:
    """It could not tell, which is an error and no failure; the remedy names the sysctl."""
    lines = run(
        "up(); system('ipv4/ping_group_range', '1 0')\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "ask('127.0.0.1'); ask('::1')",
        "unshare", "--net",
    )  # fmt: skip

    assert issubclass(PingNotAllowedError, HospitalError)
    assert not issubclass(PingNotAllowedError, AssertionError)
    assert 2 == len(lines)
    for line, host in zip(lines, ("127.0.0.1", "::1"), strict=True):
        assert line.startswith(f"PingNotAllowedError: cannot tell whether {host} answers a ping")
        assert "net.ipv4.ping_group_range is '1 0'" in line
        assert "sysctl -w net.ipv4.ping_group_range='65534 65534'" in line


@isolating
def test_nobody_may_ping_where_the_system_allows_it() -> None:
    """Without any privilege, by ICMP sockets, over both families."""
    lines = run(
        "up(); system('ipv4/ping_group_range', '0 2147483647')\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "ask('127.0.0.1'); ask('::1')",
        "unshare", "--net",
    )  # fmt: skip

    assert ["answered", "answered"] == lines


@isolating
@pytest.mark.parametrize("groups", ["1 0", "0 2147483647"], ids=["raw sockets", "ICMP sockets"])
def test_a_silent_host_fails_at_the_deadline(groups: str) -> None:
    """With host and seconds in the message; whoever else's replies come in the meantime."""
    lines = run(
        f"up(); system('ipv4/ping_group_range', '{groups}')\n"
        "system('ipv4/icmp_echo_ignore_all', '1')\n"
        "import threading\n"
        "done = threading.Event()\n"
        "def forge():\n"
        "    from hospital.assertions.echo import Echo, checksum\n"
        "    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as sock:\n"
        "        while not done.wait(0.01):\n"
        "            for ident in range(0, 65536, 4096):\n"
        "                blank = struct.pack('!BBHHH', 0, 0, 0, ident, 1) + bytes(16)\n"
        "                right = blank[:2] + struct.pack('!H', checksum(blank)) + blank[4:]\n"
        "                sock.sendto(right, ('127.0.0.1', 0))\n"
        "thread = threading.Thread(target=forge); thread.start()\n"
        "print(0.5 <= ask('127.0.0.1', 0.5, 'is it on?') < 0.8)\n"
        "done.set(); thread.join()",
        "unshare", "--net",
    )  # fmt: skip

    message = "127.0.0.1 gave no reply (127.0.0.1); expected a reply to a ping within 500 ms"
    assert [f"AssertionError: {message} : is it on?", "True"] == lines


@isolating
@pytest.mark.parametrize("groups", ["1 0", "0 2147483647"], ids=["raw sockets", "ICMP sockets"])
def test_an_unreachable_host_fails_at_once(groups: str) -> None:
    """What the system or a router says is told, and nothing more is waited for."""
    lines = run(
        f"up(); system('ipv4/ping_group_range', '{groups}')\n"
        "def ip(command): subprocess.run(['ip', *command.split()], check=True)\n"
        "ip('link add veth0 type veth peer name veth1')\n"
        "ip('addr add 10.9.9.1/24 dev veth0')\n"
        "ip('link set veth0 up'); ip('link set veth1 up')\n"
        "system('ipv4/neigh/veth0/retrans_time_ms', '50')\n"
        "print(ask('10.9.9.2', 5) < 2, ask('198.51.100.1', 5) < 1)",
        "unshare", "--net",
    )  # fmt: skip

    wanted = "expected a reply to a ping within 5 s"
    first = f"10.9.9.2 is unreachable (10.9.9.2): no route to host; {wanted}"
    second = f"198.51.100.1 is unreachable (198.51.100.1): network is unreachable; {wanted}"
    assert [f"AssertionError: {first}", f"AssertionError: {second}", "True True"] == lines


@isolating
def test_a_lost_request_is_sent_again() -> None:
    """A host that answers only the later requests answers, within a longer timeout."""
    lines = run(
        "import threading\n"
        "up(); system('ipv4/icmp_echo_ignore_all', '1')\n"
        "wake = threading.Timer(0.5, system, ('ipv4/icmp_echo_ignore_all', '0')); wake.start()\n"
        "print(0.9 < ask('127.0.0.1', 5) < 1.5)",
        "unshare", "--net",
    )  # fmt: skip

    assert ["answered", "True"] == lines


@isolating
def test_one_family_that_is_silent_leaves_time_for_the_other() -> None:
    """Of localhost's two addresses one answers, and that is enough."""
    lines = run(
        "up(); system('ipv6/icmp/echo_ignore_all', '1')\n"
        "real = socket.getaddrinfo\n"
        "def getaddrinfo(host, port, **options):\n"
        "    if host != b'both.example': return real(host, port, **options)\n"
        "    if options.get('flags'): raise socket.gaierror(-2, 'unknown')\n"
        "    return real('::1', port, **options) + real('127.0.0.1', port, **options)\n"
        "socket.getaddrinfo = getaddrinfo\n"
        "print(0.4 < ask('both.example', 1) < 0.8)",
        "unshare", "--net",
    )  # fmt: skip

    assert ["answered", "True"] == lines


def test_it_gives_way_to_other_greenlets() -> None:
    """In a process that gevent has patched, a ping is a socket like any other."""
    if not may_ping():
        pytest.skip("no ping allowed: set net.ipv4.ping_group_range to the range of all groups")
    started = time.monotonic()

    program = "import gevent; gevent.joinall([gevent.spawn(ask, '127.0.0.1', 5) for _ in range(3)])"
    done = subprocess.run(
        [sys.executable, "-c", "from gevent import monkey; monkey.patch_all()" + PROGRAM + program],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )

    assert ["answered"] * 3 == done.stdout.splitlines()
    assert time.monotonic() - started < 10
