"""Where answers come from: a fixed one, or a run on demand.

Rule: nothing that threads need is made before the first request of a process, or before a worker
has it prepared, so that it is made after a fork and after gevent has patched the process.
"""

import os
import weakref
from typing import Protocol

from hospital.logs import get_logger
from hospital.model import Report
from hospital.redaction import clean_line
from hospital.web.answers import SERVER_ERROR, Answer
from hospital.web.incidents import Incidents
from hospital.web.runs import Plan, SharedRuns


class Source(Protocol):
    """Where answers come from."""

    def get(self) -> Answer:
        """Return the answer to a request that came now."""

    def prepare(self, timeout_s: float) -> str:
        """Load what answers need, waiting *timeout_s* at most; return in one line what is wrong."""

    def close(self) -> None:
        """Let go of everything."""


class FixedSource:
    """Always the same answer, for a fault that does not pass by itself.

    Args:
        report: What is wrong; its reasons go to the log once.
        code: The HTTP status.
    """

    def __init__(self, report: Report, code: int = SERVER_ERROR) -> None:
        incidents = Incidents(get_logger("hospital.web")).of(report)
        self._answer = Answer(report, code, incidents=incidents)

    def get(self) -> Answer:
        """Return the answer."""
        return self._answer

    def prepare(self, timeout_s: float) -> str:  # noqa: ARG002 - a Source's
        """Return the fault, in one line; nothing is left to load."""
        return next((clean_line(each.reason) for each in self._answer.report.outcomes), "")

    def close(self) -> None:
        """Do nothing: nothing is held."""


class OnDemandSource:
    """Runs the checks when somebody asks; each process that asks has runs of its own.

    Args:
        plan: What to run, and how long its reports are served.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        # What a parent process made stays here after a fork, untouched: its threads do not
        # exist in the child, and the processes its executor started are not the child's to end.
        self._by_pid: dict[int, SharedRuns] = {}

    def get(self) -> Answer:
        """Return the answer of the last run, of the one under way, or of a new one."""
        runs = self._by_pid.get(os.getpid())
        return (self._begin() if runs is None else runs).get()

    def prepare(self, timeout_s: float) -> str:
        """Load the checks in this process, as the first request would."""
        return self._begin().prepare(timeout_s)

    def close(self) -> None:
        """End everything that was started; who asks later gets a 503."""
        self._begin().close()

    def _begin(self) -> SharedRuns:
        pid = os.getpid()
        mine = SharedRuns(self._plan)
        runs = self._by_pid.setdefault(pid, mine)  # atomic: two first requests share one
        if runs is mine:
            weakref.finalize(self, _close_in, pid, runs)
        return runs


def _close_in(pid: int, runs: SharedRuns) -> None:
    if os.getpid() == pid:
        runs.close()
