"""Ids under which a withheld reason can be found in the log."""

import secrets
import threading
from collections.abc import Mapping

from hospital.logs import Logger
from hospital.model import Outcome, Report, Status

_ID_BYTES = 5
_Said = tuple[tuple[Status, str], ...]


class Incidents:
    """Gives each check that has a reason an id, and tells the log what changed.

    The id stays while status and reason of the check do; the log hears of changes only.

    Args:
        logger: What hears of them.
    """

    def __init__(self, logger: Logger) -> None:
        self._logger = logger
        self._lock = threading.Lock()
        self._known: dict[str, tuple[_Said, str]] = {}

    def of(self, report: Report) -> Mapping[str, str]:
        """Return an incident id for the id of each check of *report* that has a reason."""
        spoken: dict[str, list[Outcome]] = {}
        for outcome in report.outcomes:
            if outcome.reason or outcome.status.is_red:
                spoken.setdefault(outcome.id, []).append(outcome)
        with self._lock:
            before, self._known = self._known, {}
            for check, outcomes in spoken.items():
                said = tuple((outcome.status, outcome.reason) for outcome in outcomes)
                known = before.get(check)
                if known is not None and known[0] == said:
                    self._known[check] = known
                else:
                    incident = secrets.token_hex(_ID_BYTES)
                    self._known[check] = (said, incident)
                    self._tell(incident, outcomes)
            self._tell_recovered(before, report)
            return {check: incident for check, (_, incident) in self._known.items()}

    def _tell(self, incident: str, outcomes: list[Outcome]) -> None:
        for outcome in outcomes:
            fields = {
                "incident": incident,
                "check": outcome.id,
                "status": outcome.status.value,
                "reason": outcome.reason,
            }
            fields |= {name: text for name in ("fix", "owner") if (text := getattr(outcome, name))}
            if outcome.status.is_red:
                self._logger.error("check_not_green", **fields)
            elif outcome.status is Status.WARN:
                self._logger.warning("check_noted", **fields)
            else:
                self._logger.info("check_noted", **fields)

    def _tell_recovered(self, before: Mapping[str, tuple[_Said, str]], report: Report) -> None:
        reported = {outcome.id: outcome.status for outcome in report.outcomes}
        for check, (said, incident) in before.items():
            was_red = any(status.is_red for status, _ in said)
            status = reported.get(check)
            if was_red and status is not None and status.is_green:
                self._logger.info(
                    "check_green_again", incident=incident, check=check, status=status.value
                )
