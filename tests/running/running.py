"""Run checks in an executor and look at the outcomes."""

from collections.abc import Callable

from hospital.model import Outcome
from hospital.running.executor import Executor, Selection

WriteChecks = Callable[[str], str]
MakeExecutor = Callable[..., Executor]


def run(executor: Executor, *names: str, **selection: tuple[str, ...]) -> dict[str, Outcome]:
    """Run what is under *names*; return the outcomes by the last part of their ids."""
    report = executor.run(Selection(names, **selection))
    return {outcome.id.rpartition(".")[2]: outcome for outcome in report.outcomes}
