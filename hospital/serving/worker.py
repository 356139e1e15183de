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
from collections.abc import Sequence
from typing import NoReturn

from hospital.errors import HospitalError, SettingError, UsageError
from hospital.redaction import clean_line
from hospital.running.import_path import standard_first
from hospital.running.sweep import adopt_orphans
from hospital.serving import lifetime

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
    words = sys.argv[1:] if arguments is None else list(arguments)
    sys.path[:] = standard_first(sys.path)
    if any(word.startswith("hospital.") for word in words):
        adopt_orphans()  # in a worker of ours alone: another application has children of its own
    try:
        _configure_logs()
        _serve(words, life)
    except HospitalError as error:
        return _say(str(error), EXIT_USAGE if isinstance(error, UsageError) else EXIT_FAILED)
    except Exception as error:  # noqa: BLE001 - one line for who looks, the traceback for the log
        from hospital.logs import get_logger

        get_logger(PROGRAM).exception("worker_failed")
        return _say(f"{type(error).__name__}: {clean_line(str(error))}", EXIT_FAILED)
    return 0


def _configure_logs() -> None:
    """Log as the settings say; where they cannot be used, the application tells each client."""
    from hospital import logs
    from hospital.settings import read_settings

    try:
        settings = read_settings()
    except SettingError as error:
        logs.configure()
        logs.get_logger(PROGRAM).error("settings_unusable", reason=str(error))
    else:
        logs.configure(level=settings.log_level, log_format=settings.log_format)


def _serve(arguments: list[str], life: lifetime.Lifetime) -> None:
    from chaussette import server
    from chaussette.util import ImportStringError

    from hospital.serving import backend

    lines = ChaussetteLines()
    logging.getLogger("chaussette").addFilter(lines)
    backend.register(life)
    sys.argv[:] = [PROGRAM, "--backend", backend.NAME, *arguments]  # the last one named counts
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


def _say(what: str, code: int) -> int:
    sys.stderr.write(f"{PROGRAM}: error: {what}\n")  # in one piece: others write there too
    sys.stderr.flush()
    return code


def main() -> NoReturn:
    """Be the program."""
    code = run()
    from hospital import logs

    logs.flush()
    sys.exit(code)


if __name__ == "__main__":
    main()
