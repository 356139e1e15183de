"""Hooks that circusd calls, named in the ``hooks.`` options of a watcher.

Rule: circusd imports this, so it is light, and it never blocks: circusd has one thread.
"""

import os
import re
import shlex
import sys
from typing import Any

from hospital.serving.lifetime import CIRCUSD_VARIABLE

_SOCKET = re.compile(r"[$(]\(circus\.sockets\.([\w.\-]+)\)", re.IGNORECASE)


def use_this_python(watcher: Any, arbiter: Any, **_more: Any) -> bool:
    """Have the watcher's command run by the Python that runs circusd: for ``before_start``.

    A leading ``python`` of the command becomes circusd's own, so that a configuration without
    absolute paths works from a virtual environment that is not activated. Called again, at a
    restart, it changes nothing more.

    Tells the workers whose child they are (``CIRCUSD_PID``), and refuses to start them on a
    socket that circusd does not have: circusd itself would hand them the text of its name.

    Returns:
        False, and a line in circusd's log, where the watcher cannot work.
    """
    from circus import logger

    missing = _missing_sockets(watcher.cmd, arbiter.sockets)
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
    return True


def _missing_sockets(command: str, sockets: Any) -> list[str]:
    wanted = [name.lower() for name in _SOCKET.findall(command)]
    return [name for name in wanted if name not in sockets]
