"""The stream class that circusd uses for the output of its workers: whole lines, rotated.

Circus's own writes whatever a read returned, which tears lines apart. Name this one in a watcher,
for both streams and with the same file:

    stdout_stream.class = hospital.supervision.streams.LineStream
    stdout_stream.filename = deploy/var/log/hospital-web.log
    stdout_stream.max_bytes = 10000000
    stdout_stream.backup_count = 5

Rule: circusd has one thread, so nothing here waits, and nothing raises once a stream is made.
"""

import asyncio
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from hospital.errors import SettingError, did_you_mean
from hospital.settings import LOG_FORMATS
from hospital.supervision.event_lines import event_line, output_line
from hospital.supervision.log_files import shared
from hospital.supervision.printed import Printed

OPTIONS = ("filename", "max_bytes", "backup_count", "format")
MAX_BYTES, BACKUP_COUNT = 10_000_000, 5

GATHER_S = 0.1
"""Seconds for which lines that are no events are gathered, so that a traceback stays one event."""

_LOOK_S = 1.0
_SHARE = 0.2
_BURST_S = 1.0


class LineStream:
    """Writes the output of a watcher's processes into a file, in whole lines.

    In the format ``json`` each line is one JSON object. A line that is an event of hospital passes
    as it is. What else is printed, such as a traceback, becomes an event ``output``: what one
    process prints within ``GATHER_S`` is one, up to 8,000 characters. Making events of a flood
    takes a fifth of circusd's time at most; what is beyond is counted in ``output_lines_dropped``.

    Args:
        filename: The file; see :class:`hospital.supervision.log_files.LogFile`.
        max_bytes: At which size it is rotated; 0 for never.
        backup_count: How many old ones are kept.
        format: ``json`` or ``console``.
        more: There are no more: an unknown option is an error.

    Raises:
        SettingError: If an option is unknown or cannot be used. All faults are told together.
    """

    def __init__(
        self,
        filename: str = "",
        max_bytes: str | int = MAX_BYTES,
        backup_count: str | int = BACKUP_COUNT,
        format: str = "json",  # noqa: A002 - the name of the option
        **more: Any,
    ) -> None:
        given = {"filename": filename, "max_bytes": max_bytes, "backup_count": backup_count}
        found = faults({**given, "format": format, **more})
        if found:
            raise SettingError(" · ".join(found))
        self.watcher = Path(filename).stem
        self._format = format
        self._file = shared(filename, int(max_bytes), int(backup_count), log_format=format)
        self._channels: dict[tuple[int, str], Printed] = {}
        self._dropped = 0
        self._credit_s, self._credited_at = _BURST_S, time.monotonic()
        self._timer: asyncio.TimerHandle | None = None

    def __call__(self, data: Mapping[str, Any]) -> None:
        """Take what the process ``pid`` printed on ``name``: the bytes ``data``."""
        key = data["pid"], data["name"]
        channel = self._channels.get(key)
        if channel is None:
            self._end_the_dead()
            wrap = partial(self._wrap, *key)
            channel = self._channels[key] = Printed(self._format, wrap)
        channel.taken_at = time.monotonic()
        lines = channel.take(data["data"])
        if lines:
            self._file.write(lines)
        if channel.has_block or channel.has_rest or self._dropped:
            self._look_later(GATHER_S if channel.has_block else _LOOK_S)

    def end(self, pid: int, name: str) -> None:
        """Write what is left of what process *pid* printed on *name*: nothing more comes."""
        channel = self._channels.pop((pid, name), None)
        if channel is not None:
            self._file.write(channel.end())

    def open(self) -> None:
        """Do nothing, since the file is opened with the first line. Circus calls it at a start."""

    def close(self) -> None:
        """Write what is left, and let go of the file. Circus calls it at a stop."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for key in list(self._channels):
            self.end(*key)
        self._file.write(self._take_dropped())
        self._file.close()

    def _look_later(self, delay_s: float) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # nobody will call us back
            self._look()
            return
        if self._timer is not None and self._timer.when() > loop.time() + delay_s:
            self._timer.cancel()
            self._timer = None
        if self._timer is None:
            self._timer = loop.call_later(delay_s, self._look_again)

    def _look_again(self) -> None:
        self._timer = None
        self._look()
        if any(channel.has_rest for channel in self._channels.values()):
            self._look_later(_LOOK_S)

    def _look(self) -> None:
        lines = [channel.flush() for channel in self._channels.values()]
        self._file.write(b"".join([*lines, self._take_dropped()]))
        self._end_the_dead()

    def _end_the_dead(self) -> None:
        # for a watcher without redirector.take_over, which tells when a channel ends
        silent_since = time.monotonic() - _LOOK_S  # else there may be more in the pipe
        for (pid, name), channel in list(self._channels.items()):
            if channel.taken_at < silent_since and _is_dead(pid):
                self.end(pid, name)

    def _wrap(self, pid: int, name: str, text: bytes, lines: int, is_cut: bool) -> bytes:  # noqa: FBT001 - called by position
        now = time.monotonic()
        earned_s = _SHARE * (now - self._credited_at)
        self._credit_s, self._credited_at = min(_BURST_S, self._credit_s + earned_s), now
        if self._credit_s <= 0:
            self._dropped += lines
            return b""
        said = self._take_dropped() + output_line(
            text,
            level="error" if name == "stderr" else "info",
            logger=f"{self.watcher}.{name}",
            pid=pid,
            log_format=self._format,
            is_cut=is_cut,
        )
        self._credit_s -= time.monotonic() - now
        return said

    def _take_dropped(self) -> bytes:
        dropped, self._dropped = self._dropped, 0
        if not dropped:
            return b""
        event, fields = "output_lines_dropped", {"dropped": dropped}
        logger, log_format = self.watcher, self._format
        return event_line("warning", event, logger=logger, log_format=log_format, **fields)


def faults(options: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with *options*, those of a ``stdout_stream`` without their prefix.

    >>> faults({"filename": "web.log", "max_byte": "9"})
    ["unknown option 'max_byte'; did you mean 'max_bytes'?"]
    >>> faults({"class": "hospital.supervision.streams.LineStream", "filename": "web.log"})
    []
    """
    found = []
    for name in options.keys() - {"class", *OPTIONS}:
        remedy = did_you_mean(name, OPTIONS) or f"there are {', '.join(OPTIONS)}"
        found.append(f"unknown option {name!r}; {remedy}")
    found += [
        f"{name} is {options[name]!r}; give a number"
        for name in ("max_bytes", "backup_count")
        if not str(options.get(name, 0)).isdecimal()
    ]
    if options.get("format", LOG_FORMATS[0]) not in LOG_FORMATS:
        found.append(f"format is {options['format']!r}; give {' or '.join(LOG_FORMATS)}")
    if not options.get("filename"):
        found.append("there is no filename; name the file of the log")
    return sorted(found, key=lambda fault: not fault.startswith("unknown"))


def _is_dead(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b") ")[2][:1] in b"ZX"
    except OSError:
        return True
