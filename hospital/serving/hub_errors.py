"""What gevent's hub says of a greenlet that failed, as a line of our log.

gevent prints the traceback to standard error, which is no line that a log could hold; and it
would end the process where a greenlet raises SystemExit or KeyboardInterrupt.
"""

from typing import Any

import gevent

from hospital.logs import get_logger
from hospital.redaction import clean_line, to_text

logger = get_logger("gevent")


def log_failed_greenlets() -> None:
    """Have the hub of this thread log what nobody caught, and live on whatever that is.

    What a signal handler raises has no greenlet, and ends the process as ever.
    """
    hub = gevent.get_hub()
    hub.print_exception = _report  # type: ignore[assignment, method-assign]  # as gevent says
    hub.SYSTEM_ERROR = ()
    hub.NOT_ERROR = (gevent.GreenletExit,)


def _report(context: Any, _kind: Any, error: BaseException | None, _trace: Any) -> None:
    # In a greenlet of its own: this is called in the hub, which may wait for nothing.
    gevent.spawn(_log, clean_line(to_text(context)), error)


def _log(where: str, error: BaseException | None) -> None:
    logger.error("greenlet_failed", where=where, exc_info=error)
