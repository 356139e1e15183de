"""What every executor does, and which one suits this process."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from hospital.model import Check, Outcome, Report


@dataclass(frozen=True, slots=True)
class Selection:
    """What to run.

    Attributes:
        names: Dotted names, files, folders.
        tags: A check must have one of these tags; empty for any.
        exclude: Tags, ids, dotted prefixes or patterns (``*.slow_*``) of what is left out.
    """

    names: tuple[str, ...]
    tags: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Catalog:
    """What was found under a selection.

    Attributes:
        checks: The checks, in the order in which they were found.
        problems: An ``error`` outcome for each name, tag or module that could not be used.
    """

    checks: tuple[Check, ...]
    problems: tuple[Outcome, ...]


class Executor(Protocol):
    """Loads and runs checks; each of its methods may be called again and again."""

    def collect(self, selection: Selection) -> Catalog:
        """Return what is there under *selection*, without running it."""

    def run(
        self,
        selection: Selection,
        on_outcome: Callable[[Outcome], None] | None = None,
        on_catalog: Callable[[Catalog], None] | None = None,
    ) -> Report:
        """Run what is there under *selection*.

        Never raises for what checks do. Calls from several threads wait for each other.

        Args:
            selection: What to run.
            on_outcome: Called with each outcome as it becomes known, in the caller's thread.
            on_catalog: Called once with what is about to run, before any outcome.
        """

    def close(self) -> None:
        """End everything that was started; it can not be used again."""
