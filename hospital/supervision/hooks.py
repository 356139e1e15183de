"""Hooks that circusd calls, named in the ``hooks.`` options of a watcher.

Rules: circusd imports this, so it is light; circusd has one thread, so every wait ends; and
circusd stops a watcher whose hook fails, so none fails but to refuse.
"""

import os
import re
import shlex
import sys
from typing import Any

from hospital.serving.lifetime import CIRCUSD_VARIABLE
from hospital.supervision import beats_folder, stopping
from hospital.supervision.care import Care

_SOCKET = re.compile(r"[$(]\(circus\.sockets\.([\w.\-]+)\)", re.IGNORECASE)
_CARE = "hospital_care"
_UNGUARDED = "tcp://127.0.0.1:5555"  # Circus's default: a part of a set was started alone


def use_this_python(watcher: Any, arbiter: Any, **_more: Any) -> bool:
    """Have the watcher's command run by the Python that runs circusd: for ``before_start``.

    A leading ``python`` of the command becomes circusd's own, so that a configuration without
    absolute paths works from a virtual environment that is not activated. Called again, at a
    restart, it changes nothing more.

    Tells the workers whose child they are (``CIRCUSD_PID``), makes the folder of their heartbeat
    files, and has a signal end circusd whenever it comes. Refuses to start them on a socket that
    circusd does not have: circusd itself would hand them the text of its name. Refuses as well
    where circusd takes commands on Circus's own TCP port, as it does where a file of a set is
    started without the one that includes it.

    Returns:
        False, and a line in circusd's log, where the watcher cannot work.
    """
    from circus import logger

    if getattr(arbiter, "endpoint", "") == _UNGUARDED:
        logger.error(
            "cannot start %s: circusd listens on %s, where any local user gives it commands; end "
            "it, and start the circus.ini that includes this file, or write endpoint and "
            "pubsub_endpoint = ipc://… under [circus]",
            watcher.name,
            _UNGUARDED,
        )
        return False
    missing = missing_sockets(watcher.cmd, arbiter.sockets)
    if missing:
        logger.error(
            "cannot start %s: there is no socket %s; write a section [socket:%s] with a host and "
            "a port that this machine has, and use_sockets = True",
            watcher.name,
            ", ".join(missing),
            missing[0],
        )
        return False
    words = watcher.cmd.split(maxsplit=1)
    if words and words[0] == "python":
        watcher.cmd = " ".join([shlex.quote(sys.executable), *words[1:]])
    watcher.env = {**(watcher.env or {}), CIRCUSD_VARIABLE: str(os.getpid())}
    watcher.env.pop("__name__", None)  # the parser's own, of the section [env:…]
    _prepare_folder(watcher, logger)
    stopping.ask_until_it_stops(arbiter)
    return True


def missing_sockets(command: str, sockets: Any) -> list[str]:
    """Return the names of sockets that *command* wants and that are not among *sockets*."""
    wanted = [name.lower() for name in _SOCKET.findall(command)]
    return [name for name in wanted if name not in sockets]


def _prepare_folder(watcher: Any, logger: Any) -> None:
    folder = beats_folder.folder_of(watcher.env, getattr(watcher, "working_dir", "."))
    if folder is None:
        return
    try:
        beats_folder.make(folder, owner_of(watcher))
    except (OSError, ValueError) as error:
        logger.warning("cannot make the folder of heartbeat files %s: %s", folder, error)
    try:
        beats_folder.sweep(folder)
    except Exception:
        logger.exception("cannot sweep the folder of heartbeat files %s", folder)


def owner_of(watcher: Any) -> tuple[int, int] | None:
    """Return the user and group that the watcher's processes get; None for circusd's own.

    Raises:
        ValueError: If there is no such user or group.
    """
    from circus.util import get_default_gid, to_gid, to_uid

    if not watcher.uid:
        return None
    uid = to_uid(watcher.uid)
    return uid, to_gid(watcher.gid) if watcher.gid else get_default_gid(uid)


def before_spawn(watcher: Any, arbiter: Any, **_more: Any) -> bool:
    """Let a process that is started after some that died young wait before it begins.

    It is told by ``HOSPITAL_START_DELAY``. The log says how many failed in a row, and why.

    Returns:
        False within a reload that is refused already: circusd then starts none.
    """
    return _harmless(watcher, arbiter, lambda care: care.may_spawn())


def after_spawn(watcher: Any, arbiter: Any, pid: int, **_more: Any) -> bool:
    """Write the first heartbeat of a process; within a reload, wait until it serves.

    Returns:
        False within a reload whose new processes do not come up: the old ones go on then.
    """
    return _harmless(watcher, arbiter, lambda care: care.born(pid))


def before_signal(watcher: Any, arbiter: Any, pid: int, signum: int, **_more: Any) -> bool:
    """Take note of whom circusd tells to end, so that this end is no failure. Lets it be sent."""
    return _harmless(watcher, arbiter, lambda care: care.told(pid, signum))


def before_reap(watcher: Any, arbiter: Any, process_pid: int, **_more: Any) -> bool:
    """Read what a dead process has left in its pipes, before circusd closes them."""
    return _harmless(watcher, arbiter, lambda care: care.dying(process_pid))


def after_reap(
    watcher: Any, arbiter: Any, process_pid: int, exit_code: int | None, **_more: Any
) -> bool:
    """Say how a process ended that nobody had asked to end; forget its heartbeat."""
    return _harmless(watcher, arbiter, lambda care: care.died(process_pid, exit_code))


def _harmless(watcher: Any, arbiter: Any, do: Any) -> bool:
    """Return what *do* says about the watcher; True where it fails, and a line in the log."""
    from circus import logger

    try:
        care = getattr(watcher, _CARE, None)
        if care is None:
            care = Care(watcher, arbiter, logger)
            setattr(watcher, _CARE, care)
        return do(care) is not False
    except Exception:  # noqa: BLE001 - circusd would stop the watcher
        logger.exception("a hook of %s failed, and is passed over", watcher.name)
        return True
