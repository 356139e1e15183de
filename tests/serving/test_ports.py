"""Why an address cannot be listened on, and what to do."""

import errno
import os
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hospital.errors import PortError
from hospital.serving import ports

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def taken() -> "Iterator[int]":
    """A port on which this very process listens."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        yield listener.getsockname()[1]


def name_of_this_process() -> str:
    import psutil

    return str(psutil.Process().name())


def test_a_taken_port_names_address_holder_and_remedy(taken: int) -> None:
    """The line says all that is needed to mend it."""
    with pytest.raises(PortError) as caught:
        ports.listen("127.0.0.1", taken)

    expected = (
        f"cannot listen on 127.0.0.1:{taken}: the port is in use by {name_of_this_process()} "
        f"(pid {os.getpid()}); stop it, or choose another port with --port"
    )
    assert expected == str(caught.value)


@pytest.mark.parametrize("host", ["0.0.0.0", "localhost", ""])  # noqa: S104 - that address is the case
def test_the_holder_is_found_for_overlapping_addresses(taken: int, host: str) -> None:
    """Every address includes the one that is taken."""
    assert f"{name_of_this_process()} (pid {os.getpid()})" == ports.holder(host, taken)


def test_a_holder_of_another_user_is_called_that(taken: int) -> None:
    """Where the system does not show the process, the line says whose it is not."""
    if os.getuid() != 0:
        pytest.skip("run the tests as root: it takes a second user")
    code = (
        "import os, psutil\n"  # imported while the folder of the environment can still be read
        "from hospital.serving import ports\n"
        "os.setgid(65534); os.setuid(65534)\n"
        f"print(ports.holder('127.0.0.1', {taken}))"
    )

    shown = subprocess.check_output([sys.executable, "-c", code], text=True, timeout=30)

    assert "a process of another user\n" == shown


def test_a_free_port_is_listened_on() -> None:
    """Port 0 gets one that is free."""
    with closing(ports.listen("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
        with closing(socket.create_connection(address)) as client:
            assert address == client.getpeername()


def test_ipv6_is_listened_on() -> None:
    """An address of the other family says so itself."""
    try:
        listener = ports.listen("::1", 0)
    except PortError:
        pytest.skip("enable IPv6 on the loopback interface")
    with closing(listener):
        assert socket.AF_INET6 == listener.family


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.EACCES, "127.0.0.1:80: ports below 1024 need a privilege that this user lacks; "),
        (errno.EADDRNOTAVAIL, "127.0.0.1:80: this machine has no such address; "),
        (errno.EMFILE, "127.0.0.1:80: too many open files; "),
    ],
)
def test_each_cause_is_told(number: int, said: str) -> None:
    """In words, with something to do."""
    error = ports.port_error("127.0.0.1", 80, OSError(number, os.strerror(number)))

    assert f"cannot listen on {said}" in str(error)
    assert error.remedy


@pytest.mark.parametrize(
    ("host", "port", "said"),
    [
        ("127.0.0.1", 65_536, "cannot listen on port 65536; choose one of 1 to 65535"),
        ("127.0.0.1", -1, "cannot listen on port -1"),
        ("192.0.2.1", 0, "this machine has no such address"),
        ("no.such.host.invalid", 1, "no.such.host.invalid:1: the host is unknown"),
        ("a" * 300, 1, "the host is unknown"),
    ],
)
def test_what_can_be_no_address_is_told(host: str, port: int, said: str) -> None:
    """Before anything is bound."""
    with pytest.raises(PortError) as caught:
        ports.listen(host, port)

    assert said in str(caught.value)


def test_an_ipv6_address_is_written_in_brackets() -> None:
    """Else nobody could tell the port from the address."""
    error = ports.port_error("::1", 80, OSError(errno.EACCES, ""))

    assert "cannot listen on [::1]:80: " in str(error)


def test_a_stale_unix_socket_is_replaced(tmp_path: Path) -> None:
    """A dead server's file is in nobody's way."""
    path = tmp_path / "s"
    ports.listen_unix(str(path)).close()
    assert path.exists()

    with closing(ports.listen_unix(str(path))) as listener:
        assert str(path) == listener.getsockname()


@pytest.mark.parametrize("kind", ["listening", "file"])
def test_a_path_in_use_is_left_alone(tmp_path: Path, kind: str) -> None:
    """Neither a living server nor a file is replaced."""
    path = tmp_path / "s"
    with closing(ports.listen_unix(str(path if kind == "listening" else tmp_path / "other"))):
        if kind == "file":
            path.write_text("precious")

        with pytest.raises(PortError, match="address already in use; choose another path"):
            ports.listen_unix(str(path))

    assert path.exists()


def test_a_socket_that_was_handed_down_is_its_supervisors(tmp_path: Path) -> None:
    """To stop a worker is no help: who holds the socket too would start another."""
    program = tmp_path / "supervisor.py"
    program.write_text(
        "import os, socket, subprocess, sys\n"
        "listener = socket.create_server(('127.0.0.1', 0))\n"
        "number = listener.fileno()\n"
        "code = 'print(flush=True); input()'\n"
        "child = subprocess.Popen([sys.executable, '-c', code], pass_fds=[number],\n"
        "    stdin=subprocess.PIPE, stdout=subprocess.PIPE)\n"
        "child.stdout.readline()\n"
        "print(listener.getsockname()[1], flush=True)\n"
        "input()\n"
    )
    with subprocess.Popen(
        [sys.executable, str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as supervisor:
        assert supervisor.stdout is not None
        port = int(supervisor.stdout.readline())

        found = ports.holder("127.0.0.1", port)

        supervisor.kill()
    assert f"(pid {supervisor.pid})" in found
