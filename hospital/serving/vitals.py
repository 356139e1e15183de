"""Show that this worker lives, from its first statement to its last, and end it when it does not.

Rules: the beat comes from the loop that answers requests, so a loop that hangs stops beating; the
import of an application does not beat, so one that never ends is noticed as well.
"""

import time
from collections.abc import Callable
from typing import Any

import gevent
from gevent import monkey

from hospital import logs
from hospital.redaction import clean_line, to_text
from hospital.serving import beat, watchdog
from hospital.serving.pulse import Pulse
from hospital.serving.watchdog import Watchdog
from hospital.settings import Settings

logger = logs.get_logger("hospital.serving")

PREPARE_S = 6.0
"""How long ``serving`` waits for the checks to be loaded; on a reload our hook waits a little more.
The socket is listened on meanwhile."""


class Vitals:
    """The heartbeat and the watchdog of a worker.

    Args:
        settings: Where the heartbeat file is, and the watchdog time.
        tick: Called with each beat.
    """

    def __init__(self, settings: Settings, tick: Callable[[], None] = lambda: None) -> None:
        folder = settings.heartbeat_dir
        self._pulse = None if folder is None else Pulse(folder, logger)
        self._watchdog = Watchdog(settings.watchdog_s)
        self._interval_s = watchdog.interval_s(settings.watchdog_s, beat.INTERVAL_S)
        self._tick = tick
        self._state = beat.STARTING
        self._ended = False
        self._greenlets: list[gevent.Greenlet[..., None]] = []

    def wait(self, seconds: float) -> None:
        """Let *seconds* pass before the start; a signal ends the process at once meanwhile."""
        if seconds <= 0:
            return
        logger.warning("start_delayed", seconds=seconds)
        logs.flush()  # the loop, which writes the log, does not run meanwhile
        # Not gevent's: a signal that comes just before the loop waits would go unnoticed.
        sleep: Any = monkey.get_original("time", "sleep")
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._say(beat.STARTING)
            sleep(min(left, beat.INTERVAL_S))

    def begin(self) -> None:
        """Begin the start: from now on it may take its time, and no more."""
        self._say(beat.STARTING)
        self._watchdog.arm_for_start()

    def serve(self, application: Any) -> None:
        """Beat from now on, and load what *application* needs, if it is one of ours."""
        self._state = beat.SERVING
        self._greenlets = [gevent.spawn(self._beat_on), gevent.spawn(self._get_ready, application)]

    def drain(self) -> None:
        """Show that no new requests are taken; the beat goes on."""
        self._state = beat.DRAINING
        self._say(beat.DRAINING)

    def fail(self, reason: str) -> None:
        """Show why this worker never served; the file stays, for our hook to read and remove."""
        if self._state == beat.STARTING:
            self._say(beat.STARTING, reason)

    def end(self, *, keep_file: bool = False) -> None:
        """Stop; from now on nobody misses the beat."""
        self._ended = True
        self._watchdog.disarm()
        gevent.killall(self._greenlets, block=False)
        if self._pulse is not None and not keep_file:
            self._pulse.end()

    def _beat_on(self) -> None:
        while not self._ended:
            self._watchdog.rearm()
            if self._pulse is not None:
                self._pulse.beat()
            self._tick()
            gevent.sleep(self._interval_s)

    def _get_ready(self, application: Any) -> None:
        fault = _prepare(application)
        if fault:
            logger.error("application_not_ready", reason=fault)
        if self._state == beat.SERVING and not self._ended:
            self._say(beat.SERVING, fault)

    def _say(self, state: str, fault: str = "") -> None:
        if self._pulse is not None:
            self._pulse.say(state, fault)


def _prepare(application: Any) -> str:
    """Return in one line why *application* is of no use; empty if it is, or is not ours."""
    prepare = getattr(application, "prepare", None)
    if not type(application).__module__.startswith("hospital.") or not callable(prepare):
        return ""  # in somebody else's application a method of that name may do anything
    try:
        return str(prepare(PREPARE_S))
    except Exception as error:  # noqa: BLE001 - it serves all the same, and each client is told
        return clean_line(f"{type(error).__name__}: {to_text(error)}")
