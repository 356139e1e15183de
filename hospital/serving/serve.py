"""hospital-serve: answer HTTP with the state of health checks, until it is told to stop.

Rule: the process is patched before anything else is imported, so nothing but the standard
library's lightest modules may be imported above :func:`main`.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

if TYPE_CHECKING:
    from hospital.serving.serve_options import Options
    from hospital.settings import Settings

EXIT_FAILED = 1
EXIT_USAGE = 2


def run() -> NoReturn:
    """Be the command ``hospital-serve``."""
    from gevent import monkey

    monkey.patch_all()

    from hospital.cli.streams import drop_what_cannot_be_written
    from hospital.running.import_path import import_from_here
    from hospital.running.sweep import adopt_orphans
    from hospital.serving import lifetime
    from hospital.serving.hub_errors import log_failed_greenlets

    import_from_here()

    lifetime.leave_at_once_on_signals()
    adopt_orphans()
    log_failed_greenlets()
    code = main()
    from hospital import logs

    logs.flush()
    drop_what_cannot_be_written()
    sys.exit(code)


def main(
    arguments: Sequence[str] | None = None,
    stream: TextIO | None = None,
    make_app: "Callable[[Options], Any] | None" = None,
) -> int:
    """Serve as the command line *arguments* say, and return the exit code.

    Args:
        arguments: Those of this process by default.
        stream: Where help and the address go; standard output by default.
        make_app: Makes the WSGI application; ``HealthCheckApp`` by default.

    Returns:
        0 after a drain, 1 where it cannot serve, 2 where the command line makes no sense.
    """
    from hospital.errors import HospitalError, UsageError
    from hospital.serving.serve_options import PROGRAM

    stream = stream or sys.stdout
    try:
        return _main(sys.argv[1:] if arguments is None else arguments, stream, make_app)
    except UsageError as error:
        return _complain(f"{PROGRAM}: error: {error}; see {PROGRAM} --help", EXIT_USAGE)
    except HospitalError as error:
        return _complain(f"{PROGRAM}: error: {error}", EXIT_FAILED)


def _main(
    arguments: Sequence[str],
    stream: TextIO,
    make_app: "Callable[[Options], Any] | None",
) -> int:
    from hospital.serving.serve_options import PROGRAM, make_parser, read_options
    from hospital.settings import read_settings

    options = read_options(arguments, read_settings)
    if options.help:
        return _show(make_parser().format_help(), stream)
    if options.version:
        from hospital import __version__

        return _show(f"{PROGRAM} {__version__}\n", stream)

    from hospital import logs

    settings = read_settings()
    undo = logs.configure(level=settings.log_level, log_format=settings.log_format, fd=2)
    try:
        _serve(options, stream, make_app or _make_app, settings)
    finally:
        undo()
    return 0


def _serve(
    options: "Options",
    stream: TextIO,
    make_app: "Callable[[Options], Any]",
    settings: "Settings",
) -> None:
    from hospital.logs import get_logger
    from hospital.serving import backend, ports
    from hospital.serving.access_log import AccessLog
    from hospital.serving.limits import Limits

    listener = ports.listen(options.host, options.port)
    host, port = listener.getsockname()[:2]
    # never summed up: it writes to the terminal of whoever started it
    access = AccessLog(settings.access_log, get_logger("hospital.access"))
    # nobody would start it again after so many requests
    limits = replace(Limits.of(settings), max_requests=0)
    server = backend.Server(listener, make_app(options), limits=limits, access=access)
    server.start()
    _show(f"Serving on {host} port {port}...\n", stream)
    server.serve_forever()


def _make_app(options: "Options") -> Any:
    from hospital.wsgi import HealthCheckApp

    return HealthCheckApp(
        names=options.names,
        timeout=options.timeout_s,
        cache_ttl=options.cache_ttl_s,
        tags=options.tags,
        exclude=options.exclude,
        executor=options.executor,
        reasons=options.reasons,
    )


def _show(text: str, stream: TextIO) -> int:
    """Print *text* now; nobody there to read it is no reason not to serve."""
    try:
        stream.write(text)
        stream.flush()
    except OSError:
        return EXIT_FAILED
    return 0


def _complain(what: str, code: int) -> int:
    print(what, file=sys.stderr, flush=True)  # noqa: T201 - a command's last word
    return code


if __name__ == "__main__":
    run()
