"""The hooks that circusd calls."""

import logging
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from circus.util import DEFAULT_ENDPOINT_DEALER

from hospital.serving import beat
from hospital.serving.beat import SERVING, Beat
from hospital.supervision import hooks
from hospital.supervision.hooks import use_this_python


class Watcher:
    """What the hook touches of a Circus watcher."""

    name = "web"
    uid = gid = None

    def __init__(self, cmd: str, env: dict[str, str] | None = None, folder: str = ".") -> None:
        self.cmd = cmd
        self.env = env
        self.working_dir = folder


class Arbiter:
    """What the hook touches of a Circus arbiter."""

    sockets = {"web": object()}  # noqa: RUF012 - nothing changes it
    endpoint = "ipc://run/circusd.sock"


def call(watcher: Watcher) -> bool:
    return use_this_python(watcher=watcher, arbiter=Arbiter(), hook_name="before_start")


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("python -m x --fd 3", "{python} -m x --fd 3"),
        ("python", "{python}"),
        ("python  -c  'a  b'", "{python} -c  'a  b'"),
        ("python3 -m x", "python3 -m x"),
        ("pythonic -m x", "pythonic -m x"),
        ("/usr/bin/env python -m x", "/usr/bin/env python -m x"),
    ],
)
def test_a_leading_python_becomes_circusds_own(command: str, expected: str) -> None:
    """That one word alone, and the rest as it is written."""
    watcher = Watcher(command)

    assert call(watcher) is True
    assert expected.format(python=shlex.quote(sys.executable)) == watcher.cmd


def test_a_second_call_changes_nothing() -> None:
    """A restart calls the hook again, on what it made of the command the first time."""
    watcher = Watcher("python -m x")
    call(watcher)
    once = watcher.cmd

    call(watcher)

    assert once == watcher.cmd


def test_a_python_whose_path_needs_quoting_is_quoted(tmp_path: Path) -> None:
    """Circus splits the command as a shell does."""
    python = tmp_path / "my env" / "python"
    python.parent.mkdir()
    python.symlink_to(sys.executable)
    code = (
        "from types import SimpleNamespace as Any_\n"
        "from hospital.supervision.hooks import use_this_python\n"
        "watcher = Any_(name='web', cmd='python -m x', env={}, working_dir='.')\n"
        "use_this_python(watcher=watcher, arbiter=Any_(sockets={}), hook_name='before_start')\n"
        "print(watcher.cmd)"
    )

    command = subprocess.check_output(
        [python, "-c", code], text=True, timeout=30, env={"PYTHONPATH": os.pathsep.join(sys.path)}
    )

    assert [str(python), "-m", "x"] == shlex.split(command)


def test_workers_are_told_whose_children_they_are() -> None:
    """In an environment of their own: the configuration that Circus compares at a reload stays."""
    configured = {"PATH": "/bin"}
    watcher = Watcher("python", configured)

    call(watcher)

    assert {"PATH": "/bin", "CIRCUSD_PID": str(os.getpid())} == watcher.env
    assert {"PATH": "/bin"} == configured


@pytest.mark.parametrize(
    ("command", "starts"),
    [
        ("python --fd $(circus.sockets.web)", True),
        ("python --fd $(circus.sockets.WEB)", True),
        ("python --fd ((circus.sockets.web))", True),
        ("python --fd $(circus.sockets.wbe)", False),
        ("python --fd ((circus.sockets.wbe))", False),
        ("python --fd $(circus.sockets.web) --fd $(circus.sockets.wbe)", False),
    ],
)
def test_a_socket_that_is_not_there_is_refused(
    caplog: pytest.LogCaptureFixture,
    command: str,
    starts: bool,  # noqa: FBT001 - a column of the table
) -> None:
    """Circus would pass the text of its name, and start the worker again and again."""
    with caplog.at_level(logging.ERROR, logger="circus"):
        started = call(Watcher(command))

    assert starts is started
    assert starts is not ("cannot start web: there is no socket wbe" in caplog.text)


def test_a_circusd_that_takes_commands_from_everybody_gets_no_worker(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As where a file of a set is started without the circus.ini that includes it."""
    arbiter = Arbiter()
    arbiter.endpoint = DEFAULT_ENDPOINT_DEALER

    with caplog.at_level(logging.ERROR, logger="circus"):
        started = use_this_python(watcher=Watcher("python"), arbiter=arbiter)

    assert started is False
    (record,) = caplog.records
    said = "cannot start web: circusd listens on tcp://127.0.0.1:5555, where any local user"
    assert record.getMessage().startswith(said)
    assert "start the circus.ini that includes this file" in record.getMessage()


def test_the_parsers_own_name_is_no_variable() -> None:
    """Circus's parser leaves it in each section, and so in the environment of the workers."""
    watcher = Watcher("python", {"__name__": "env:web", "PATH": "/bin"})

    call(watcher)

    assert {"PATH", "CIRCUSD_PID"} == set(watcher.env or {})


def test_the_folder_of_heartbeats_is_made_and_swept(tmp_path: Path) -> None:
    """It is for its user alone; what the dead of an earlier circusd left there is removed."""
    watcher = Watcher("python", {"HOSPITAL_HEARTBEAT_DIR": "beats"}, str(tmp_path))
    assert call(watcher)
    folder = tmp_path / "beats"
    assert 0o700 == folder.stat().st_mode & 0o777
    own = beat.started(os.getpid())
    assert own is not None
    beat.write(folder, os.getpid(), Beat("web", own, SERVING))
    beat.write(folder, os.getppid(), Beat("web", 1, SERVING))  # another process had that pid
    (folder / ".4711.4194305").write_text("{")  # it was being written
    (folder / "README").write_text("of somebody")

    assert call(watcher)

    assert {str(os.getpid()), "README"} == {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("name", [".1.²", ".²", "²", ".1.-2", ".1.99999999999", ".1.2.3", ".."])
def test_no_name_in_the_folder_of_heartbeats_keeps_the_watcher_down(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    """Whatever its processes lay there, which may be those of another user."""
    folder = tmp_path / "beats"
    (folder / name).parent.mkdir()
    (folder / name).resolve().mkdir(exist_ok=True)

    started = call(Watcher("python", {"HOSPITAL_HEARTBEAT_DIR": "beats"}, str(tmp_path)))

    assert started
    assert (folder / name).exists()
    assert [] == caplog.records


def test_no_folder_of_heartbeats_keeps_the_watcher_down(caplog: pytest.LogCaptureFixture) -> None:
    """It is said, and the watcher starts."""
    assert call(Watcher("python", {"HOSPITAL_HEARTBEAT_DIR": "no\0folder"}))

    assert "heartbeat files" in caplog.text


def test_a_hook_that_fails_does_not_stop_the_watcher(caplog: pytest.LogCaptureFixture) -> None:
    """Circus takes its failure for a no, and stops all workers."""
    nothing = Watcher("python")

    with caplog.at_level(logging.ERROR, logger="circus"):
        answers = [
            hooks.before_spawn(nothing, Arbiter()),
            hooks.after_spawn(nothing, Arbiter(), 4711),
            hooks.before_signal(nothing, Arbiter(), 4711, 15),
            hooks.before_reap(nothing, Arbiter(), 4711),
            hooks.after_reap(nothing, Arbiter(), 4711, 0),
        ]

    assert [True] * 5 == answers
    assert 5 == caplog.text.count("a hook of web failed, and is passed over")


def test_circusd_imports_nothing_heavy_for_it() -> None:
    """With gevent loaded circusd refuses to become a daemon."""
    code = "import hospital.supervision.hooks, sys; print('gevent' in sys.modules)"

    shown: Any = subprocess.check_output([sys.executable, "-c", code], text=True, timeout=30)

    assert "False\n" == shown
