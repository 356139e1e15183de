"""The worker that circusd starts: chaussette with our gevent backend.

``python -m hospital.serving.worker --fd N hospital.wsgi.application`` takes chaussette's own
arguments; only the backend is ``gevent`` where none is named.

Rule: the first statement patches the process, before anything native is made that a later patch
would not reach. Importing this module patches nothing: it is a program.
"""

if __name__ == "__main__":
    from gevent import monkey

    monkey.patch_all()

import logging
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from hospital.errors import HospitalError, SettingError, UsageError
from hospital.redaction import clean_line
from hospital.running.import_path import standard_first
from hospital.running.sweep import adopt_orphans
from hospital.serving import lifetime
from hospital.serving.watchdog import leave_stacks_on_crashes

if TYPE_CHECKING:
    from hospital.serving.access_log import AccessLog
    from hospital.serving.vitals import Vitals
    from hospital.settings import Settings

PROGRAM = "hospital.serving.worker"
EXIT_FAILED = 1
EXIT_USAGE = 2


class ChaussetteLines(logging.Filter):
    """Keeps chaussette's own lines out of the log, and remembers what it refused.

    chaussette says why it refuses at level info, and then exits 0.
    """

    def __init__(self) -> None:
        super().__init__()
        self.refusal = ""

    def filter(self, record: logging.LogRecord) -> bool:
        """Take the line; whatever is an error comes back as an exception anyway."""
        text = record.getMessage()
        if text.startswith(("Sorry", "Reloader requires")):
            self.refusal = text
        return False


def run(arguments: Sequence[str] | None = None) -> int:
    """Serve until a signal, and return the exit code.

    Returns:
        0 after a drain, 1 where serving failed, 2 where the command line makes no sense.
    """
    lifetime.leave_at_once_on_signals()
    life = lifetime.Lifetime(os.environ)
    life.end_with_parent()
    leave_stacks_on_crashes()
    words = sys.argv[1:] if arguments is None else list(arguments)
    sys.path[:] = standard_first(sys.path)
    if any(word.startswith("hospital.") for word in words):
        adopt_orphans()  # in a worker of ours alone: another application has children of its own
    settings = _configure_logs()

    from hospital.logs import get_logger
    from hospital.serving.access_log import AccessLog
    from hospital.serving.hub_errors import log_failed_greenlets
    from hospital.serving.start_delay import start_delay_s
    from hospital.serving.vitals import Vitals

    log_failed_greenlets()
    access = AccessLog(settings.access_log, get_logger("hospital.access"))
    vitals = Vitals(settings, access.tick)
    code, reason = 0, ""
    try:
        vitals.wait(start_delay_s(os.environ))
        vitals.begin()
        _serve(words, _Serving(settings, life, access, vitals))
    except HospitalError as error:
        code, reason = EXIT_USAGE if isinstance(error, UsageError) else EXIT_FAILED, str(error)
    except Exception as error:  # noqa: BLE001 - one line for who looks, the traceback for the log
        get_logger(PROGRAM).exception("worker_failed")
        code, reason = EXIT_FAILED, f"{type(error).__name__}: {clean_line(str(error))}"
    finally:
        if reason:
            vitals.fail(reason)
            _say(reason)
        vitals.end(keep_file=bool(reason) and lifetime.CIRCUSD_VARIABLE in os.environ)
        access.summarize()
    return code


def _configure_logs() -> "Settings":
    """Log as the settings say, and return them.

    Where some cannot be used, the others count, and the application tells each client.
    """
    from hospital import logs
    from hospital.settings import read_settings

    try:
        settings, fault = read_settings(), ""
    except SettingError as error:
        settings, fault = read_settings(_usable(os.environ)), str(error)
    logs.configure(level=settings.log_level, log_format=settings.log_format)
    if fault:
        logs.get_logger(PROGRAM).error("settings_unusable", reason=fault)
    return settings


def _usable(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of *environ* that are no fault by themselves."""
    from hospital.settings import read_settings

    usable = {}
    for name, text in environ.items():
        with suppress(SettingError):
            read_settings({name: text})
            usable[name] = text
    return usable


@dataclass(frozen=True, slots=True)
class _Serving:
    """What takes part in serving."""

    settings: "Settings"
    life: lifetime.Lifetime
    access: "AccessLog"
    vitals: "Vitals"


def _serve(arguments: list[str], serving: _Serving) -> None:
    from chaussette import server
    from chaussette.util import ImportStringError

    lines = ChaussetteLines()
    logging.getLogger("chaussette").addFilter(lines)
    name = _register_backends(serving)
    sys.argv[:] = [PROGRAM, "--backend", name, *arguments]  # the last one named counts
    try:
        server.main()
    except ImportStringError as error:
        cause = error.exception
        raise UsageError(
            f"cannot import the application {error.import_name!r}:",
            clean_line(f"{type(cause).__name__}: {cause}"),
            "name it as in hospital.wsgi.application",
        ) from error
    except SystemExit as end:
        if end.code or {"-h", "--help"} & set(arguments):
            raise
        raise UsageError(clean_line(lines.refusal) or "it ended before it served") from None


def _register_backends(serving: _Serving) -> str:
    """Register our backend with chaussette, let its own ones beat too, and return ours' name."""
    from chaussette import backend as backends

    from hospital.serving import backend
    from hospital.serving.limits import Limits

    made: list[Any] = []
    backend.register(
        serving.life,
        limits=Limits.of(serving.settings),
        access=None if serving.settings.access_log == "off" else serving.access,
        on_serving=lambda: serving.vitals.serve(made[-1]),
        on_drain=serving.vitals.drain,
    )
    ours = backends.get(backend.NAME)

    def make_ours(listener: Any, application: Any, **options: Any) -> Any:
        made.append(application)
        return ours(listener, application, **options)

    def beating(make: Any) -> Any:
        def make_others(listener: Any, application: Any, **options: Any) -> Any:
            server = make(listener, application, **options)
            serving.vitals.serve(application)  # the loop runs as soon as it waits for a client
            return server

        return make_others

    for name in backends.backends():
        backends.register(name, make_ours if name == backend.NAME else beating(backends.get(name)))
    return backend.NAME


def _say(what: str) -> None:
    sys.stderr.write(f"{PROGRAM}: error: {what}\n")  # in one piece: others write there too
    sys.stderr.flush()


def main() -> NoReturn:
    """Be the program."""
    code = run()
    from hospital import logs

    logs.flush()
    sys.exit(code)


if __name__ == "__main__":
    main()
