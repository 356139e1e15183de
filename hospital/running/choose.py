"""Choose where checks run."""

import sys
from typing import TYPE_CHECKING

from hospital.settings import EXECUTORS, one_of

if TYPE_CHECKING:
    from hospital.running.executor import Executor
    from hospital.running.output import OnOutput


def make_executor(
    kind: str,
    *,
    timeout_s: float,
    jobs: int | None = None,
    nice: int = 0,
    on_output: "OnOutput | None" = None,
) -> "Executor":
    """Return an executor.

    Args:
        kind: ``ward``: child processes that can be killed. ``thread``: threads of this process.
            ``auto``: wards where gevent has patched this process (there, one check that blocks
            would freeze it), else threads.
        timeout_s: Seconds that a check may take which does not say otherwise.
        jobs: The most checks at a time.
        nice: How much the wards yield to other processes, 0 to 19.
        on_output: Called with the id of a check and text that it printed.

    Raises:
        SettingError: If *kind* is none of these.
    """
    one_of("executor", kind, EXECUTORS)
    if kind == "ward" or (kind == "auto" and is_patched()):
        from hospital.running.process import new_token, spawn

        token = new_token()
        first = spawn(token, nice)  # it starts while the rest is imported here
        from hospital.running.wards import WardExecutor

        return WardExecutor(
            timeout_s=timeout_s, jobs=jobs, nice=nice, on_output=on_output, started=(token, first)
        )
    from hospital.running.threads import ThreadExecutor

    return ThreadExecutor(timeout_s=timeout_s, jobs=jobs, on_output=on_output)


def is_patched() -> bool:
    """Return whether gevent has made the threads of this process greenlets."""
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("threading"))
