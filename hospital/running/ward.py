"""The child process in which checks run: ``python -P -m hospital.running.ward``.

Rule: it outlives neither its parent nor its channel. The kernel kills its whole process group
when the parent's end of the lifeline closes, even while a check holds the interpreter's lock.

Rule: the main thread alone tells outcomes. A signal that a check sends to its own process meets
the main thread first, so a check that ends its process that way never passes before it is dead.
"""

import contextlib
import faulthandler
import fcntl
import gc
import os
import select
import signal
import socket
import sys
import threading
import time
from collections import deque
from typing import NoReturn

from hospital.errors import HospitalError
from hospital.loading import Entry, Loaded, load
from hospital.model import Check, Outcome, Status
from hospital.redaction import clean
from hospital.running import protocol
from hospital.running.choose import is_patched
from hospital.running.output import MOST_CHARACTERS, route_standard_streams
from hospital.running.stamps import stamps_of_modules
from hospital.running.unit import run_unit
from hospital.running.workers import Workers

_POLL_MS = 20
_LONGEST_TELLING_S = 5.0
_monotonic, _sleep = time.monotonic, time.sleep  # a check may replace those of the module
_Work = tuple[int, list[str]]


class Ward:
    """One ward: reads what the parent wants in its main thread, runs checks in others."""

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._channel = socket.socket(fileno=protocol.CHANNEL_FD)
        self._channel.setblocking(True)  # noqa: FBT003 - no name for it
        self._sending = threading.Lock()
        self._decoder = protocol.Decoder()
        self._loaded = Loaded()
        self._workers: Workers[_Work] | None = None
        self._working = 0
        self._counting = threading.Lock()
        self._ticking: threading.Event | None = None
        self._children: set[int] = set()
        self._outbox: deque[tuple[bytes, threading.Event | None]] = deque()
        self._is_woken = False
        self._wake, self._waker = _pipe_out_of_the_way()
        self.lost: set[int] = set()
        for descriptor in (protocol.CHANNEL_FD, protocol.LIFELINE_FD, protocol.DUMP_FD):
            os.set_inheritable(descriptor, False)  # noqa: FBT003 - no name for it
        _die_with_parent()
        faulthandler.register(
            protocol.DUMP_SIGNAL, file=protocol.DUMP_FD, all_threads=True, chain=False
        )
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    def serve(self) -> None:
        """Do what the parent wants until it says bye or is gone."""
        while True:
            data, descriptors = self._receive()
            if not data:
                _end_group()
            for frame in self._decoder.feed(data):
                if frame[0] == "bye":
                    return
                if frame[0] == "fork":
                    if self._fork(frame[1], descriptors):
                        break  # this is the child, with a channel of its own
                else:
                    getattr(self, f"_do_{frame[0]}")(*frame[1:])

    def send(self, *frame: object) -> None:
        """Tell the parent; end the process if the channel is lost."""
        self.send_wire(protocol.encode(*frame))

    def send_wire(self, wire: bytes) -> None:
        """Tell the parent in frames that are encoded already."""
        if os.getpid() != self._pid:
            return
        try:
            with self._sending:
                self._channel.sendall(wire)
        except OSError:
            os._exit(protocol.LOST_CHANNEL_EXIT)

    def _receive(self) -> tuple[bytes, list[int]]:
        poller = select.poll()  # gevent's own where a module has patched: greenlets go on then
        poller.register(protocol.CHANNEL_FD, select.POLLIN)
        poller.register(self._wake, select.POLLIN)
        is_asked = False
        while not is_asked:
            ready = dict(poller.poll(_POLL_MS if self._children else None))
            if self._wake in ready:
                self._empty_outbox()
            self._reap()
            is_asked = protocol.CHANNEL_FD in ready
        try:
            data, descriptors, _flags, _address = socket.recv_fds(self._channel, 262_144, 8)
        except OSError:
            os._exit(protocol.LOST_CHANNEL_EXIT)
        return data, descriptors

    def post(self, wire: bytes, sent: threading.Event | None = None) -> None:
        """Have the main thread tell the parent, and set *sent* then."""
        if os.getpid() != self._pid:
            return
        self._outbox.append((wire, sent))
        if not self._is_woken:
            self._is_woken = True
            try:
                os.write(self._waker, b".")
            except OSError:
                os._exit(protocol.LOST_CHANNEL_EXIT)

    def _empty_outbox(self) -> None:
        try:
            os.read(self._wake, 64)
        except OSError:
            os._exit(protocol.LOST_CHANNEL_EXIT)
        self._is_woken = False
        posted = [self._outbox.popleft() for _ in range(len(self._outbox))]
        self.send_wire(b"".join(wire for wire, _sent in posted))
        for _wire, sent in posted:
            if sent is not None:
                sent.set()

    def _reap(self) -> None:
        for pid in list(self._children):
            with contextlib.suppress(ChildProcessError):
                done, status = os.waitpid(pid, os.WNOHANG)
                if not done:
                    continue
                self.send("gone", pid, status)
            self._children.discard(pid)

    def _do_load(self, names: list[str], path: list[str], broken: dict[str, str]) -> None:
        sys.path[:] = path
        _set_up_django()
        self._loaded = load(names, announce=self._announce, broken=broken)
        sys.stdout.flush()
        problems = list(self._loaded.problems)
        checks = [entry.check.to_wire() for entry in self._loaded.entries.values()]
        stamps = None if problems else stamps_of_modules()
        self.send("loaded", checks, problems, stamps, _count_threads() == 1)

    def _announce(self, name: str, file: str) -> None:
        self.send("loading", name, file)

    def _do_run(self, threads: int, works: list[_Work]) -> None:
        if self._workers is None:
            # Not before: a module may have had gevent replace threads and events.
            self._workers = Workers(threads, self._work, "hospital-check")
            self._ticking = threading.Event()
            tick = threading.Thread(
                target=self._tick, args=(self._ticking,), name="hospital-tick", daemon=True
            )
            tick.start()
        with self._counting:
            self._working += len(works)
        if self._ticking is not None:
            self._ticking.set()
        for work in works:
            try:
                self._workers.put(work)
            except HospitalError as error:
                self._give_back(work, str(error))

    def _give_back(self, work: _Work, reason: str) -> None:
        with self._counting:
            self._working -= 1
        self.send("failed", work[0], reason)

    def _do_lose(self, number: int) -> None:
        self.lost.add(number)

    def _do_drop(self) -> None:
        dropped = self._workers.drop() if self._workers else []
        with self._counting:
            self._working -= len(dropped)
        self.send("dropped", [number for number, _ids in dropped])

    def _tick(self, ticking: threading.Event) -> None:
        sleep = time.sleep if is_patched() else _sleep
        while True:
            ticking.wait()
            self.send("tick")
            sleep(protocol.TICK_S)
            with self._counting:
                if not self._working:
                    ticking.clear()

    def _work(self, work: _Work) -> None:
        number, ids = work
        entries = [self._loaded.entries[id_] for id_ in ids if id_ in self._loaded.entries]
        watcher = _Watcher(self, number)
        # With no fixture after it, the outcome can travel with the word that all has ended.
        watcher.holds = len(entries) == 1 and _has_no_fixture(entries[0])
        try:
            for id_ in ids:
                if id_ not in self._loaded.entries:
                    watcher.finished(_vanished(id_))
            run_unit(entries, watcher, self._on_output)
        except BaseException as error:  # noqa: BLE001 - a fault of ours must not lose the others
            if os.getpid() != self._pid:
                os._exit(0)
            self.send("failed", number, clean(f"{type(error).__name__}: {error}"))
        with self._counting:
            self._working -= 1
        self.post(watcher.held + protocol.encode("ended", number))

    def _on_output(self, check_id: str, text: str) -> None:
        self.send("output", check_id, text[:MOST_CHARACTERS])

    def _fork(self, number: int, descriptors: list[int]) -> bool:
        """Fork a ward with the *descriptors* it gets; return whether this is the child."""
        gc.freeze()
        pid = os.fork()
        if pid:
            for descriptor in descriptors:
                os.close(descriptor)
            self._children.add(pid)
            self.send("forked", number, pid)
            return False
        os.setsid()
        channel, lifeline, dump, output = descriptors
        loaded = self._loaded
        self._channel.detach()
        for end in (self._wake, self._waker):
            os.close(end)
        for source, target in (
            (channel, protocol.CHANNEL_FD),
            (lifeline, protocol.LIFELINE_FD),
            (dump, protocol.DUMP_FD),
            (output, 1),
            (output, 2),
        ):
            os.dup2(source, target)
        for descriptor in set(descriptors):
            os.close(descriptor)
        self.__init__()  # type: ignore[misc]  # a ward anew, in a process of its own
        self._loaded = loaded
        return True


class _Watcher:
    def __init__(self, ward: Ward, number: int) -> None:
        self._ward = ward
        self._number = number
        self.holds = False
        self.held = b""
        self._told: threading.Event | None = None

    def started(self, check_id: str, phase: str) -> None:
        if self._number in self._ward.lost:
            raise SystemExit  # what comes next runs elsewhere, once this ward is dead
        if self._told is not None:  # else what this check does could be blamed on the next
            self._told.wait(_LONGEST_TELLING_S)
            self._told = None
        self._ward.send(
            "started", self._number, check_id, phase, threading.get_ident(), _monotonic()
        )

    def finished(self, outcome: Outcome) -> None:
        wire = protocol.encode("finished", self._number, outcome.to_wire())
        if self.holds:
            self.held += wire
        else:
            self._told = threading.Event()
            self._ward.post(wire, self._told)


def _pipe_out_of_the_way() -> tuple[int, int]:
    """Return a pipe with descriptors that a check which closes low ones does not meet."""
    low = os.pipe()
    high = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, protocol.DUMP_FD + 1) for end in low]
    for end in low:
        os.close(end)
    os.set_blocking(high[1], False)
    return high[0], high[1]


def _has_no_fixture(entry: Entry) -> bool:
    return entry.function is not None and entry.check.unit == entry.check.id


def _vanished(id_: str) -> Outcome:
    check = Check(id=id_, title=id_, unit=id_)
    return Outcome.of(check, Status.ERROR, "it was there when it was looked for, and is not now")


def _die_with_parent() -> None:
    """Have the kernel kill this process group when the parent's end of the lifeline closes.

    A signal from the kernel needs no thread of ours and no interpreter lock. (A parent death
    signal would reach this process alone, and follows the thread that spawned it.)
    """
    lifeline = protocol.LIFELINE_FD
    if hasattr(fcntl, "F_SETSIG"):
        fcntl.fcntl(lifeline, fcntl.F_SETOWN, -os.getpgrp())
        fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
        flags = fcntl.fcntl(lifeline, fcntl.F_GETFL)
        fcntl.fcntl(lifeline, fcntl.F_SETFL, flags | os.O_ASYNC)
    poller = select.poll()
    poller.register(lifeline, select.POLLIN)
    if poller.poll(0):
        _end_group()


def _end_group() -> NoReturn:
    os.killpg(0, signal.SIGKILL)
    os._exit(protocol.LOST_CHANNEL_EXIT)


def _count_threads() -> int:
    try:
        return len(os.listdir("/proc/self/task"))  # noqa: PTH208 - no paths are wanted
    except OSError:
        return threading.active_count()


def _set_up_django() -> None:
    if not os.environ.get("DJANGO_SETTINGS_MODULE"):
        return
    with contextlib.suppress(ImportError):
        import django

        try:
            django.setup()
        except Exception as error:  # noqa: BLE001 - the checks that need it will say more
            sys.stderr.write(f"django.setup() failed: {type(error).__name__}: {error}\n")


def main() -> None:
    """Serve as a ward on the descriptors that the parent opened."""
    sys.dont_write_bytecode = True  # else an edit within a second could run as what it was before
    if len(sys.argv) > 1:
        os.nice(int(sys.argv[1]))
    route_standard_streams()
    Ward().serve()


if __name__ == "__main__":
    main()
