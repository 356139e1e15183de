"""What ``--list`` shows: the checks that would run."""

from collections.abc import Iterator
from typing import Any

from hospital.durations import format_duration
from hospital.model import Check
from hospital.redaction import clean, clean_line
from hospital.running.executor import Catalog
from hospital.verdict import EXIT_GREEN, EXIT_NOT_GREEN


def as_text(catalog: Catalog, timeout_s: float, *, verbose: bool = False) -> str:
    """Return the ids, one a line; with *verbose* what is known of each beneath it.

    Args:
        catalog: What was found.
        timeout_s: Seconds for the checks that have no timeout of their own.
        verbose: Whether title, tags, owner and timeout are shown.
    """
    lines = []
    for check in catalog.checks:
        lines.append(clean_line(check.id))
        if verbose:
            lines += [f"    {label}: {text}" for label, text in _facts(check, timeout_s) if text]
    return "".join(f"{line}\n" for line in lines)


def as_json(catalog: Catalog, timeout_s: float) -> bytes:
    """Return a JSON list with an object for each check; arguments as for :func:`as_text`."""
    from json import dumps

    listed = [_described(check, timeout_s) for check in catalog.checks]
    return f"{dumps(listed, indent=4, ensure_ascii=False, allow_nan=False)}\n".encode()


def faults(catalog: Catalog) -> Iterator[str]:
    """Yield a line for each thing that could not be used, and one where nothing was found."""
    for problem in catalog.problems:
        first, *rest = clean(problem.reason).split("\n")
        yield "\n  ".join([f"{clean_line(problem.id)}: {first}", *rest])
    if not catalog.checks and not catalog.problems:
        yield "no health check is selected"


def exit_code(catalog: Catalog) -> int:
    """Return 0 where something was found and all of it can be used, else 1."""
    return EXIT_NOT_GREEN if catalog.problems or not catalog.checks else EXIT_GREEN


def _facts(check: Check, timeout_s: float) -> Iterator[tuple[str, str]]:
    yield "title", clean_line(check.title) if check.title != check.id else ""
    yield "tags", clean_line(", ".join(check.tags))
    yield "owner", clean_line(check.owner)
    yield "severity", check.severity if check.severity != "critical" else ""
    yield "requires", clean_line(", ".join(check.requires))
    yield "timeout", format_duration(check.timeout_s or timeout_s)


def _described(check: Check, timeout_s: float) -> dict[str, Any]:
    return {
        "id": clean_line(check.id),
        "title": clean_line(check.title),
        "tags": [clean_line(tag) for tag in check.tags],
        "owner": clean_line(check.owner),
        "fix": clean(check.fix),
        "severity": check.severity,
        "requires": [clean_line(each) for each in check.requires],
        "timeout_s": check.timeout_s or timeout_s,
    }
