"""Whether a unix socket can be made at a path, and who listens there."""

import os
import socket
from contextlib import closing
from pathlib import Path

import pytest

from hospital.errors import PortError
from hospital.serving.socket_paths import AnsweredError, check_unix, listener


def listening(path: Path) -> socket.socket:
    made = socket.socket(socket.AF_UNIX)
    made.bind(str(path))
    made.listen(1)
    return made


def test_who_listens_is_named(tmp_path: Path) -> None:
    """By its pid, whatever is made of it; nothing is removed."""
    path = tmp_path / "s"
    with closing(listening(path)):
        assert os.getpid() == listener(str(path))
        with pytest.raises(AnsweredError) as caught:
            check_unix(str(path), replace=True, remedy="choose another")

    assert os.getpid() == caught.value.pid
    assert f"(pid {os.getpid()}); stop it, or choose another" in str(caught.value)
    assert path.exists()


def test_one_whose_queue_is_full_listens_too(tmp_path: Path) -> None:
    """It is busy, or stopped, and nobody may take its place."""
    path = tmp_path / "s"
    waiting = []
    with closing(listening(path)):
        for _ in range(8):
            each = socket.socket(socket.AF_UNIX)
            each.settimeout(0)
            waiting.append(each)
            if each.connect_ex(str(path)):
                break

        with pytest.raises(AnsweredError, match="in use by a process that the system does not"):
            check_unix(str(path), replace=True, remedy="choose another")

    for each in waiting:
        each.close()


def test_a_dead_socket_is_in_the_way_only_of_who_does_not_replace_it(tmp_path: Path) -> None:
    """It is left where it is in either case."""
    path = tmp_path / "s"
    listening(path).close()

    check_unix(str(path), replace=True, remedy="")
    with pytest.raises(PortError, match="remove it, or write replace = True"):
        check_unix(str(path), replace=False, remedy="")
    assert path.exists()


@pytest.mark.parametrize("length", [0, 108])
def test_a_path_has_its_length(length: int) -> None:
    """In bytes: the kernel has room for no more."""
    with pytest.raises(PortError, match=f"the path has {length} bytes, and a socket's has 1 to"):
        check_unix("ä" * (length // 2), replace=False, remedy="")
