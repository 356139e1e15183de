"""Which circusd a plugin belongs to."""

import os
import socket
from contextlib import closing
from pathlib import Path

import pytest

from hospital.supervision.parentage import NOBODY, circusd_of

PARENT = 4711


def test_it_is_who_listens_on_the_control_socket(tmp_path: Path) -> None:
    """Whoever is the parent; a socket that nobody listens on is that of the dead."""
    endpoint = f"ipc://{tmp_path}/c.sock"
    with closing(socket.socket(socket.AF_UNIX)) as listener:
        listener.bind(f"{tmp_path}/c.sock")
        listener.listen()

        living = circusd_of(endpoint, PARENT)

    assert os.getpid() == living
    assert NOBODY == circusd_of(endpoint, PARENT)


@pytest.mark.parametrize("endpoint", ["tcp://127.0.0.1:1", "ipc://no/such.sock", "ipc://@name"])
def test_where_the_socket_does_not_say_the_parent_does(endpoint: str) -> None:
    """But for the one that orphans are given to, which is no circusd."""
    assert PARENT == circusd_of(endpoint, PARENT)
    assert NOBODY == circusd_of(endpoint, 1)
