"""What a row of the fault table is: a fault, and what was measured when it happened."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.faults.scene import Scene


@dataclass(frozen=True, slots=True)
class Figure:
    """One thing that was measured while a fault lasted, or after it.

    Attributes:
        what: What was measured.
        measured: The figure, with its unit.
        criterion: What is promised.
        ok: Whether the promise holds.
    """

    what: str
    measured: str
    criterion: str
    ok: bool

    def __str__(self) -> str:
        verdict = "ok" if self.ok else "FAILED"
        return f"{self.what} → {self.measured} ({self.criterion}) {verdict}"


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault that hospital survives.

    Attributes:
        name: What ``--only`` calls it.
        inject: Brings it about, and yields figures.
        needs: Programs that it takes, and ``root`` where an ordinary user cannot bring it about.
        quick: Whether the tests run it too.
    """

    name: str
    inject: "Callable[[Scene], Iterator[Figure]]"
    needs: tuple[str, ...] = ()
    quick: bool = False


def at_most(what: str, value: float, limit: float, unit: str = "s") -> Figure:
    """Return the figure of something that may not be more than *limit*."""
    return Figure(what, f"{value:.3g} {unit}", f"≤ {limit:g} {unit}", value <= limit)


def below(what: str, value: float | None, limit: float, unit: str = "s") -> Figure:
    """Return the figure of something that has to be less than *limit*, and to happen at all."""
    if value is None:
        return Figure(what, "never", f"< {limit:g} {unit}", ok=False)
    return Figure(what, f"{value:.3g} {unit}", f"< {limit:g} {unit}", value < limit)


def exactly(what: str, wanted: object, measured: object) -> Figure:
    """Return the figure of something that has one right value."""
    return Figure(what, str(measured), str(wanted), wanted == measured)


def holds(what: str, told: str, *, ok: bool) -> Figure:
    """Return the figure of something that is so or not; *told* is what was seen."""
    return Figure(what, told, "yes", ok)


def without(what: str, found: Iterable[object]) -> Figure:
    """Return the figure of something of which none may be found."""
    seen = list(found)
    first = f", first {str(seen[0])[:300]!r}" if seen else ""
    return Figure(what, f"{len(seen)}{first}", "0", not seen)
