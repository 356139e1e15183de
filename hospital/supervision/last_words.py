"""What a process said last on its standard error, and what is still in its pipes.

Rule: nothing here waits; what is remembered of a process is a few KB, until it is forgotten.
"""

import json
import os
import select
from collections.abc import Callable, Mapping
from typing import Any

from hospital.redaction import clean_line

Stream = Callable[[Mapping[str, Any]], None]

_LONGEST_TAIL = 8192
_MOST_TAILS = 256
_LONGEST_WORDS = 300
_LONGEST_READ = 65_536
_MOST_READS = 16
_FATAL = ("Fatal Python error", "Timeout (")  # faulthandler's first lines; its last ones are frames


class Remembering:
    """A stream of Circus that passes everything on, and knows the last lines of each process.

    It stands in the redirector in front of the watcher's own stream. What else the redirector
    or circusd asks of that stream, it gets from that stream.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._tails: dict[int, bytes] = {}

    def __call__(self, data: Mapping[str, Any]) -> None:
        """Take what a process wrote."""
        pid = data["pid"]
        self._tails[pid] = (self._tails.pop(pid, b"") + data["data"])[-_LONGEST_TAIL:]
        if len(self._tails) > _MOST_TAILS:  # some end where no hook is called
            del self._tails[next(iter(self._tails))]
        self._stream(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def last_words(self, pid: int) -> str:
        """Return the line of *pid* that says most about its end; empty where it said nothing."""
        return last_words(self._tails.get(pid, b""))

    def forget_words(self, pid: int) -> None:
        """Let go of what *pid* said."""
        self._tails.pop(pid, None)


def last_words(said: bytes) -> str:
    r"""Return the line that says most about why a process ended.

    >>> last_words(b"Traceback (most recent call last):\n  File 'x'\nValueError: no port\n")
    'ValueError: no port'
    >>> last_words(b'{"event": "worker_failed", "exception": [{"type": "E", "message": "no"}]}')
    'E: no'
    >>> last_words(b"Fatal Python error: Segmentation fault\n\n  File 'x' in f\n")
    'Fatal Python error: Segmentation fault'
    """
    lines = [line for line in said.decode("utf-8", "replace").splitlines() if line.strip()]
    if not lines:
        return ""
    unindented = [line for line in lines if not line[0].isspace()]
    fatal = [line for line in unindented if line.startswith(_FATAL)]
    telling = (fatal or unindented or lines)[-1]
    return clean_line(_told(telling), _LONGEST_WORDS)


def _told(line: str) -> str:
    """Return what a line says: without the program's name in front, and out of JSON."""
    if line.startswith("{"):
        try:
            event = json.loads(line)
            for cause in (event.get("exception") or [{}])[:1]:
                if cause:
                    return f"{cause['type']}: {cause['message']}"
            return str(event.get("reason") or event.get("text") or event["event"])
        except (ValueError, KeyError, TypeError, AttributeError):
            return line
    _, separator, told = line.partition(": error: ")
    return told if separator else line


def listen(watcher: Any) -> "Remembering | None":
    """Have what the watcher's processes say on standard error remembered; called again, no more.

    Returns:
        Who remembers; None where circusd does not read their standard error.
    """
    redirector = watcher.stream_redirector
    stream = redirector.get_stream("stderr") if redirector is not None else None
    if stream is None or isinstance(stream, Remembering):
        return stream
    remembering = Remembering(stream)
    redirector.change_stream("stderr", remembering)
    return remembering


def of(watcher: Any, pid: int) -> str:
    """Return the last words of the watcher's process *pid*; empty where nobody remembers any."""
    remembering = listen(watcher)
    return remembering.last_words(pid) if remembering is not None else ""


def forget(watcher: Any, pid: int) -> None:
    """Let go of what the watcher's process *pid* said."""
    remembering = listen(watcher)
    if remembering is not None:
        remembering.forget_words(pid)


def drain(watcher: Any, process: Any) -> None:
    """Give to the streams what waits in the pipes of *process*.

    circusd reads none while a hook works. At most 1 MB a pipe.
    """
    redirector = watcher.stream_redirector
    if redirector is None:
        return
    for name, pipe in redirector.get_process_pipes(process):
        if pipe is not None and not pipe.closed:
            _drain(pipe.fileno(), name, process.pid, redirector.get_stream(name))


def _drain(
    fd: int, name: str, pid: int, stream: Callable[[Mapping[str, Any]], None] | None
) -> None:
    waiting = select.poll()
    waiting.register(fd, select.POLLIN)
    for _ in range(_MOST_READS):
        if not waiting.poll(0) or not (data := os.read(fd, _LONGEST_READ)):
            return
        if stream is not None:
            stream({"data": data, "pid": pid, "name": name})
