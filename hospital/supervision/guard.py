"""The guard: a Circus plugin that kills the processes that have stopped beating.

circusd notices a process that died, never one that hangs. This one looks at the heartbeat files
and kills what fell silent; circusd then replaces it.

Rules: it kills children of its own circusd alone, and only who is still the process that the file
is about; what lies in the folder besides is nothing to it; it keeps no state on the disk.
"""

import logging
import math
import os
import signal
import stat
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any, NoReturn

from circus import logger as circus_logger
from circus.plugins import CircusPlugin

from hospital.durations import parse_duration
from hospital.errors import SettingError, did_you_mean
from hospital.serving import beat
from hospital.serving.lifetime import Lifetime
from hospital.supervision.event_lines import event_line
from hospital.supervision.log_files import LogFile
from hospital.supervision.parentage import circusd_of
from hospital.supervision.silence import Sighting, Silence, Silent

NAME = "hospital.guard"
INTERVAL_S = 0.25
OPTIONS = {
    "heartbeat_dir": "",
    "watchdog": "10s",
    "log_file": "",
    "log_max_bytes": "1000000",
    "log_backup_count": "2",
}
"""What a ``[plugin:…]`` section may say to it, and what counts where it does not."""

_FROM_CIRCUS = frozenset({"__name__", "active", "name"})
_MOST_BEATS = 4096
_PAUSE_AFTER_A_FAULT_S = 5.0


class Guard(CircusPlugin):  # type: ignore[misc] # circus has no types
    """Looks four times a second at the beat of each process, and kills the silent.

    Args:
        arguments: What Circus hands to each plugin.
        options: Those of its section, see ``OPTIONS``, and some of Circus's own.
    """

    name = "hospital-guard"

    def __init__(self, *arguments: Any, **options: str) -> None:
        options = mended(options)
        super().__init__(*arguments, **options)
        faults = option_faults(options)
        values = {**OPTIONS, **options}
        file = values["log_file"]
        limits = [int(values[key]) if values[key].isdecimal() else 0 for key in _COUNTS]
        self._log = LogFile(file, *limits) if file else None
        if faults:
            self._give_up(faults)
        self._folder = Path(values["heartbeat_dir"])
        self._life = Lifetime(circusd=circusd_of(self.endpoint, os.getppid()))
        watchdog_s = parse_duration(values["watchdog"], "watchdog", zero=True)
        self._silence = Silence(watchdog_s or math.inf)
        self._is_folder_missed = False

    def handle_init(self) -> None:
        """Begin to look; Circus calls it before its own loop begins."""
        self._life.end_with_parent()
        self._say("info", "guard_started", heartbeat_dir=str(self._folder))
        self._look_on()

    def handle_recv(self, data: Any) -> None:
        """Pass over what circusd publishes: the files say all that counts."""

    def _look_on(self) -> None:
        # by seconds from now: what Circus's loop takes for a time of day may be set back
        self.loop.call_later(INTERVAL_S, self._look_on)
        if self._life.is_orphan():
            os._exit(0)
        for each in self._silence.look(time.monotonic(), self._sightings()):
            self._end(each)

    def _sightings(self) -> list[Sighting]:
        try:
            found = list(sightings(self._folder))
        except OSError as error:
            if not self._is_folder_missed:
                reason = (error.strerror or str(error)).lower()
                self._say("warning", "heartbeats_unreadable", reason=reason)
            self._is_folder_missed = True
            return []
        self._is_folder_missed = False
        return found

    def _end(self, silent: Silent) -> None:
        fields = {
            "process": silent.pid,
            "watcher": silent.beat.watcher,
            "state": silent.beat.state,
            "silent_s": round(silent.silent_s, 2),
        }
        try:
            if kill(silent.pid, silent.beat.started, os.getppid()):
                self._say("error", "process_killed", **fields)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            self._say("error", "process_not_killed", reason=reason, **fields)

    def _say(self, level: str, event: str, **fields: Any) -> None:
        line = event_line(level, event, logger=NAME, **fields)
        if self._log is not None:
            self._log.write(line)
        else:
            with suppress(OSError):
                os.write(2, line)

    def _give_up(self, faults: list[str]) -> NoReturn:
        self._say("error", "guard_unusable", reason=" · ".join(faults))
        time.sleep(_PAUSE_AFTER_A_FAULT_S)  # circusd starts it again at once
        sys.exit(1)


_COUNTS = ("log_max_bytes", "log_backup_count")


def is_plugin_process(argv: Sequence[str]) -> bool:
    """Tell whether a process with this command line is the one that circusd starts for the guard.

    >>> is_plugin_process(["-c", "--endpoint", "ipc://c", "hospital.supervision.guard.Guard"])
    True
    """
    return argv[:1] == ["-c"] and argv[-1] == f"{__name__}.{Guard.__name__}"


# Circus says there that it loads a plugin, and after a reloadconfig it says so in plain text on
# circusd's standard error: it forgets the plugin's log level, and that its output is nobody's.
if is_plugin_process(sys.argv) and "DEBUG" not in sys.argv:
    circus_logger.setLevel(logging.WARNING)


def mended(options: Mapping[str, str]) -> dict[str, str]:
    """Return *options* as they stand in the section.

    Circus joins them with ``:::`` to ``copy_path::::heartbeat_dir:x``, and takes that apart so
    that an option without a value is lost, and the name of the next one becomes a part of its
    value.

    >>> mended({"": "heartbeat_dir:run/beats", "watchdog": "10s"})
    {'watchdog': '10s', 'heartbeat_dir': 'run/beats'}
    """
    named = {name: value for name, value in options.items() if name}
    name, separator, value = options.get("", "").partition(":")
    return {**named, name: value} if separator else named


def option_faults(options: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with the *options* of the guard's section.

    >>> option_faults({"heartbeat_dir": "run/beats", "watchdgo": "10s"})
    ["unknown option 'watchdgo'; did you mean 'watchdog'?"]
    """
    from hospital.supervision.known_options import PLUGIN

    faults = []
    for name in options.keys() - OPTIONS.keys() - PLUGIN - _FROM_CIRCUS:
        remedy = did_you_mean(name, OPTIONS) or f"there are {', '.join(OPTIONS)}"
        faults.append(f"unknown option {name!r}; {remedy}")
    if not options.get("heartbeat_dir"):
        faults.append("there is no heartbeat_dir; name the folder of the heartbeat files")
    try:
        parse_duration(options.get("watchdog", OPTIONS["watchdog"]), "watchdog", zero=True)
    except SettingError as error:
        faults.append(str(error))
    counts = {name: str(options.get(name, 0)) for name in _COUNTS}
    return faults + [
        f"{name} is {count!r}; give a number"
        for name, count in counts.items()
        if not count.isdecimal()
    ]


def sightings(folder: Path) -> Iterator[Sighting]:
    """Yield the heartbeat files in *folder*; anything else in it is passed over.

    Raises:
        OSError: If the folder cannot be read.
    """
    with os.scandir(folder) as entries:
        yield from islice(_sightings(entries), _MOST_BEATS)


def _sightings(entries: Iterable["os.DirEntry[str]"]) -> Iterator[Sighting]:
    for entry in entries:
        path = Path(entry.path)
        pid = beat.pid_of(path)
        if pid is None:
            continue
        with suppress(OSError):
            found = entry.stat(follow_symlinks=False)
            said = beat.read(path) if stat.S_ISREG(found.st_mode) else None
            if said is not None:
                yield Sighting(pid, said, found.st_mtime_ns)


def kill(pid: int, started: int, parent: int) -> bool:
    """Kill the process *pid*, if it is the one that was *started* then, and a child of *parent*.

    Returns:
        Whether it was there to be killed; not so where it is dead and merely not collected yet.

    Raises:
        OSError: If it may not be killed.
    """
    try:
        process = os.pidfd_open(pid)  # from here on no other process can be meant
    except ProcessLookupError:
        return False
    try:
        if beat.started(pid) != started or not is_living_child(pid, parent):
            return False
        signal.pidfd_send_signal(process, signal.SIGKILL)
    except ProcessLookupError:
        return False
    finally:
        os.close(process)
    return True


def is_living_child(pid: int, parent: int) -> bool:
    """Tell whether the process *pid* lives and is a child of *parent*."""
    try:
        said = Path(f"/proc/{pid}/stat").read_bytes()
        state, ppid, *_ = said[said.rindex(b")") + 1 :].split()
    except (OSError, ValueError):
        return False
    return state not in {b"Z", b"X"} and int(ppid) == parent
