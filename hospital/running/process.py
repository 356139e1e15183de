"""One ward as its parent sees it: descriptors, frames, signals, exit status.

Rule: nothing here blocks, but for the fraction of a second that a killed process takes to die.
"""

import contextlib
import errno
import fcntl
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from hospital.errors import WardError
from hospital.running import protocol
from hospital.running.places import is_whole
from hospital.settings import WARD_VARIABLE

_READ = 1 << 18
_DEATH_S = 1.0
_DUMP_FRESH_S = 0.05

_DUMP_BEGINS_S = 0.15
"""A ward that has written nothing of its stacks for so long can write nothing."""

_DUMP_ENDS_S = 0.5
_DUMP_QUIET_S = 0.1
"""So long may a ward that has begun to write its stacks pause; they have no mark of their end."""


_live: set[int] = set()
"""The wards of this process: children are a property of the process, whoever made them."""


@dataclass(slots=True, eq=False)
class WardProcess:
    """A ward process.

    Attributes:
        pid: Its process id, 0 until a zygote has forked it.
        channel: Our end of the socket pair.
        lifeline: Our end of the pipe whose closing kills the ward.
        dump: Where its stacks can be read.
        output: Where what it writes to descriptors 1 and 2 can be read.
        forked: Whether a zygote is its parent, so that we cannot wait for it.
        status: Wait status once it has ended.
        heard_at: Monotonic time of the latest word from it.
        eof: Whether its channel is closed.
        garbled: Whether something other than frames came out of its channel.
        closed: Whether our own descriptors are closed.
        mute: Whether nobody can write to its descriptors 1 and 2 any more.
        ended: Whether the process is gone, with a status or without.
    """

    channel: int
    lifeline: int
    dump: int
    output: int
    pid: int = 0
    forked: bool = False
    status: int | None = None
    heard_at: float = field(default_factory=time.monotonic)
    eof: bool = False
    garbled: bool = False
    closed: bool = False
    mute: bool = False
    ended: bool = False
    eof_at: float = 0.0
    _dumped: tuple[float, str] = (0.0, "")
    _decoder: protocol.Decoder = field(default_factory=protocol.Decoder)
    _unsent: bytearray = field(default_factory=bytearray)

    def send(self, *frame: object) -> None:
        """Send *frame*, now or as soon as the ward reads."""
        self._unsent += protocol.encode(*frame)
        self.flush()

    @property
    def has_unsent(self) -> bool:
        """Whether something waits to be sent."""
        return bool(self._unsent) and not self.eof

    def flush(self) -> None:
        """Send what waits, as far as the ward takes it."""
        try:
            while self._unsent:
                sent = os.write(self.channel, self._unsent)
                del self._unsent[:sent]
        except BlockingIOError:
            return
        except OSError:
            self._note_eof()

    def send_descriptors(self, descriptors: list[int], *frame: object) -> bool:
        """Send *frame* with *descriptors*; return whether the ward took it."""
        self.flush()
        if self._unsent or self.eof:
            return False
        with socket.socket(fileno=os.dup(self.channel)) as channel:
            try:
                socket.send_fds(channel, [protocol.encode(*frame)], descriptors)
            except OSError:
                return False
        return True

    def read(self) -> Iterator[protocol.Frame]:
        """Yield the frames that have come."""
        while not self.eof:
            try:
                data = os.read(self.channel, _READ)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._note_eof()
                return
            self.heard_at = time.monotonic()
            try:
                yield from self._decoder.feed(data)
            except WardError:
                self.garbled = True
                self._note_eof()
            if len(data) < _READ:
                return

    def read_output(self) -> str:
        """Return some of what came out of descriptors 1 and 2."""
        if self.closed or self.mute:
            return ""
        try:
            data = os.read(self.output, _READ)
        except OSError:
            return ""
        self.mute = not data
        return data.decode(errors="replace")

    def stacks(self) -> str:
        """Return the stacks of all threads, as faulthandler writes them without any lock."""
        if not self.pid or self.ended or self.closed:
            return ""
        at, text = self._dumped
        if time.monotonic() - at > _DUMP_FRESH_S:  # many deadlines may pass at once
            text = self._dump()
            self._dumped = time.monotonic(), text
        return text

    def _dump(self) -> str:
        _drain(self.dump)
        with contextlib.suppress(OSError):
            os.kill(self.pid, protocol.DUMP_SIGNAL)
        dumped = ""
        end = time.monotonic() + _DUMP_ENDS_S
        patience = _DUMP_BEGINS_S
        poller = select.poll()
        poller.register(self.dump, select.POLLIN)
        while not is_whole(dumped) and (left := end - time.monotonic()) > 0:
            if not poller.poll(max(1, int(min(left, patience) * 1000))):
                break
            text = _drain(self.dump)
            if not text:
                break
            dumped += text
            patience = _DUMP_QUIET_S
        return dumped

    def poll_exit(self) -> bool:
        """Return whether it has ended; its status is known then, where it can be."""
        if not self.ended and self.pid and not self.forked:
            try:
                done, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:  # somebody else has taken its status
                self.end(None)
            else:
                if done:
                    self.end(status)
        return self.ended

    def end(self, status: int | None) -> None:
        """Note that the process is gone, and with which wait status if that is known."""
        self.ended = True
        self.status = status
        _live.discard(self.pid)

    def begin(self, pid: int) -> None:
        """Note the process that a zygote has forked."""
        self.pid = pid
        _live.add(pid)

    def kill(self) -> bool:
        """Kill it with its whole process group, and wait until it is dead.

        Returns:
            Whether it is; a process in uninterruptible input or output is not.
        """
        if not self.pid:
            return True
        for end in (os.killpg, os.kill):
            with contextlib.suppress(OSError):
                end(self.pid, signal.SIGKILL)
        deadline = time.monotonic() + _DEATH_S
        pause = 0.0005
        while not (self.poll_exit() or (self.forked and not is_alive(self.pid))):
            if time.monotonic() > deadline:
                return False
            time.sleep(pause)
            pause = min(pause * 2, 0.02)
        _live.discard(self.pid)
        return True

    def close(self) -> None:
        """Close our descriptors; whatever is left of it is killed by that."""
        if self.closed:
            return
        self.closed = True
        for descriptor in (self.channel, self.lifeline, self.dump, self.output):
            with contextlib.suppress(OSError):
                os.close(descriptor)
        self.eof = True

    def _note_eof(self) -> None:
        if not self.eof:
            self.eof = True
            self.eof_at = time.monotonic()


@dataclass(slots=True)
class Ends:
    """The descriptors of a ward: ours, and those it gets."""

    ward: WardProcess
    channel: int
    lifeline: int
    dump: int
    output: int

    @property
    def theirs(self) -> list[int]:
        """Those of the ward: channel, lifeline, dump, output."""
        return [self.channel, self.lifeline, self.dump, self.output]

    def close_theirs(self) -> None:
        """Close the ward's ends in this process, once it has its own."""
        for descriptor in self.theirs:
            os.close(descriptor)


def make_ends() -> Ends:
    """Open the descriptors of a new ward.

    Raises:
        WardError: If this process has no more descriptors.
    """
    with contextlib.ExitStack() as opened:
        try:
            ours, theirs = socket.socketpair()
            channel, their_channel = ours.detach(), theirs.detach()
            _close_later(opened, channel, their_channel)
            their_lifeline, lifeline = os.pipe()
            _close_later(opened, their_lifeline, lifeline)
            dump, their_dump = os.pipe()
            _close_later(opened, dump, their_dump)
            output, their_output = os.pipe()
        except OSError as error:
            raise _cannot_start(error) from error
        opened.pop_all()
    for descriptor in (channel, dump, output):
        os.set_blocking(descriptor, False)
    os.set_blocking(their_channel, True)
    ward = WardProcess(channel=channel, lifeline=lifeline, dump=dump, output=output)
    return Ends(ward, their_channel, their_lifeline, their_dump, their_output)


def _close_later(opened: contextlib.ExitStack, *descriptors: int) -> None:
    for descriptor in descriptors:
        opened.callback(os.close, descriptor)


def _cannot_start(error: OSError) -> WardError:
    remedy = "raise the limit of " + (
        "open files" if error.errno in {errno.EMFILE, errno.ENFILE} else "processes or memory"
    )
    return WardError("cannot start a ward with", f"{sys.executable}: {error.strerror}", remedy)


def live_pids() -> frozenset[int]:
    """Return the wards of this process, whichever executor they belong to."""
    return frozenset(_live)


def new_token() -> str:
    """Return a text that stands in the environment of nothing else."""
    return f"{os.getpid()}-{os.urandom(8).hex()}"


def spawn(token: str, nice: int) -> WardProcess:
    """Start a ward in a clean interpreter, in a session of its own.

    Args:
        token: Put into its environment, so that all that descends from it can be found.
        nice: How much it yields to other processes.
    """
    ends = make_ends()
    spare: list[int] = []
    environment = {**os.environ, WARD_VARIABLE: token}
    environment.pop("PYTHONOPTIMIZE", None)  # with it, assert would assert nothing
    try:
        for descriptor in ends.theirs:
            command, lowest = fcntl.F_DUPFD_CLOEXEC, protocol.LOWEST_SPARE_FD
            spare.append(fcntl.fcntl(descriptor, command, lowest))
        channel, lifeline, dump, output = spare
        pid = os.posix_spawn(
            sys.executable,
            [sys.executable, "-P", "-m", "hospital.running.ward", str(nice)],
            environment,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, output, 1),
                (os.POSIX_SPAWN_DUP2, output, 2),
                (os.POSIX_SPAWN_DUP2, channel, protocol.CHANNEL_FD),
                (os.POSIX_SPAWN_DUP2, lifeline, protocol.LIFELINE_FD),
                (os.POSIX_SPAWN_DUP2, dump, protocol.DUMP_FD),
            ],
            setsid=True,
            setsigmask=(),
        )
    except OSError as error:
        ends.ward.close()
        raise _cannot_start(error) from error
    finally:
        for descriptor in spare:
            os.close(descriptor)
        ends.close_theirs()
    ends.ward.begin(pid)
    return ends.ward


def is_alive(pid: int) -> bool:
    """Return whether a process is there and no zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return not Path("/proc/self").exists() and _answers(pid)
    return stat.rpartition(b") ")[2][:1] not in b"ZX"


def _answers(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


def _drain(descriptor: int) -> str:
    taken = bytearray()
    try:
        while data := os.read(descriptor, _READ):
            taken += data
    except OSError:
        pass
    return taken.decode(errors="replace")
