"""What is answered to whom: one report, rendered at most once for each audience."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from hospital.formats import json
from hospital.model import Outcome, Report, Status

SERVER_ERROR = 500
UNAVAILABLE = 503

ALWAYS = (
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
)


@dataclass(frozen=True, slots=True)
class Response:
    """The parts of an HTTP response.

    Attributes:
        status: Code and phrase, as WSGI wants them.
        headers: Without ``Age``, which changes.
        body: The bytes.
    """

    status: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


def build_response(
    code: int, content_type: str, body: bytes, extra: tuple[tuple[str, str], ...] = ()
) -> Response:
    """Return the response of *body* with the headers that each response has."""
    try:
        phrase = HTTPStatus(code).phrase
    except ValueError:
        phrase = "Not Green"
    headers = (
        ("Content-Type", content_type),
        ("Content-Length", str(len(body))),
        *ALWAYS,
        *extra,
    )
    return Response(f"{code} {phrase}", headers, body)


class Answer:
    """A report, and how it is told.

    Args:
        report: What was found.
        code: The HTTP status.
        incidents: For the id of each check with a reason, where it stands in the log.
        began_at: When the run began, on the clock of the source; None for what is no run.
        ended_at: When the run ended, on the same clock.
    """

    def __init__(
        self,
        report: Report,
        code: int,
        *,
        incidents: Mapping[str, str],
        began_at: float | None = None,
        ended_at: float = 0.0,
    ) -> None:
        self.report = report
        self.code = code
        self.began_at = began_at
        self.ended_at = ended_at
        self._incidents = incidents
        self._lock = threading.Lock()
        self._responses: dict[bool, Response] = {}

    def response(self, *, reasons: bool) -> Response:
        """Return the response for who may see reasons, or may not."""
        found = self._responses.get(reasons)
        if found is not None:
            return found
        with self._lock:
            if reasons not in self._responses:
                body = json.render(self.report, reasons=reasons, incidents=self._incidents)
                self._responses[reasons] = build_response(self.code, json.CONTENT_TYPE, body)
            return self._responses[reasons]


def fault(name: str, title: str, reason: str, time: float = 0.0) -> Report:
    """Return a report with one ``error`` detail, for a fault that is no check's."""
    outcome = Outcome(id=name, title=title, status=Status.ERROR, reason=reason, time=time)
    return Report((outcome,), time)
