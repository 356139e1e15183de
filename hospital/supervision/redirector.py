"""How circusd reads what its workers print: in large pieces, and to the end.

Circus's own redirector reads 1,024 bytes at a time, tells nobody when a process has closed its
end, and throws away what a dead process has left in the pipe. Two hooks put this one in place:
``take_over`` before each spawn, ``read_to_the_end`` before each reap.

Rule: circusd has one thread, so nothing here waits.
"""

import os
import select
from typing import Any

from circus.stream.redirector import Redirector

READ_BYTES = 65_536
_MOST_LEFT_BYTES = 1 << 20  # a pipe's size at most; what outlives the process may go on writing


class LineRedirector(Redirector):  # type: ignore[misc] # circus has no types
    """Reads as Circus's own does, and reads a channel to its end before it lets go of it.

    A stream that has a method ``end(pid, name)`` is told then.
    """

    def remove_fd(self, fd: int) -> None:
        """Read what is left in the pipe, tell the stream that this was the end, forget the pipe.

        Circus calls it at the end of the file, and when the process is dead.
        """
        name, process, pipe = self.pipes.get(fd, (None, None, None))
        super().remove_fd(fd)
        stream = self.redirect.get(name)
        if stream is None or pipe is None:
            return
        for data in _left_in(pipe):
            stream({"data": data, "pid": process.pid, "name": name})
        if hasattr(stream, "end"):
            stream.end(process.pid, name)


def take_over(watcher: Any) -> None:
    """Have *watcher* read its processes with a :class:`LineRedirector`: for ``before_spawn``."""
    before = watcher.stream_redirector
    if before is None or isinstance(before, LineRedirector):
        return
    for stream in (watcher.stdout_stream, watcher.stderr_stream):
        if hasattr(stream, "watcher"):
            stream.watcher = watcher.name
    streams = watcher.stdout_stream, watcher.stderr_stream
    redirector = LineRedirector(*streams, buffer=READ_BYTES, loop=watcher.loop)
    before.stop()
    redirector.pipes.update(before.pipes)
    watcher.stream_redirector = redirector


def read_to_the_end(watcher: Any, pid: int) -> None:
    """Read what process *pid*, which is dead, has left: for ``before_reap``.

    Circus closes the pipes right after that hook.
    """
    process = watcher.processes.get(pid)
    if process is not None and watcher.stream_redirector is not None:
        watcher.stream_redirector.remove_redirections(process)


def _left_in(pipe: Any) -> list[bytes]:
    left: list[bytes] = []
    try:
        fd = pipe.fileno()
        ready = select.poll()
        ready.register(fd, select.POLLIN)
        while ready.poll(0) and sum(map(len, left)) < _MOST_LEFT_BYTES:
            data = os.read(fd, READ_BYTES)
            if not data:
                break
            left.append(data)
    except (OSError, ValueError):  # it is closed already
        pass
    return left
