"""Select among the checks that were found, by tag and by exclusion."""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from hospital.errors import did_you_mean
from hospital.model import Check, Outcome, errors
from hospital.running.executor import Catalog, Selection


@dataclass(frozen=True, slots=True)
class Selected:
    """What is to run.

    Attributes:
        checks: Those selected, and what they require.
        problems: Those of loading, and of the selection itself.
        excluded: Ids left out on purpose.
    """

    checks: tuple[Check, ...]
    problems: tuple[Outcome, ...]
    excluded: frozenset[str]


def select(catalog: Catalog, selection: Selection) -> Selected:
    """Return what *selection* takes of *catalog*.

    A tag or an exclusion that matches nothing, and a selection that leaves nothing, are
    problems: a mistyped word never makes a green run.
    """
    problems = list(catalog.problems)
    problems += errors(_unknown_words(catalog.checks, selection))
    excluded = frozenset(
        check.id for check in catalog.checks if any(_is(check, word) for word in selection.exclude)
    )
    kept = [check for check in catalog.checks if check.id not in excluded]
    wanted = [check for check in kept if _has_tag(check, selection.tags)]
    chosen = _with_requirements(wanted, {check.id: check for check in kept})
    checks = tuple(check for check in kept if check.id in chosen)
    if not checks and not problems:
        problems += errors([("selection", _nothing(catalog, selection))])
    return Selected(checks=checks, problems=tuple(problems), excluded=excluded)


def _has_tag(check: Check, tags: Sequence[str]) -> bool:
    return not tags or any(tag in check.tags for tag in tags)


def _is(check: Check, word: str) -> bool:
    return (
        word in check.tags
        or check.id == word
        or check.id.startswith(word + ".")
        or fnmatchcase(check.id, word)
    )


def _with_requirements(wanted: Sequence[Check], kept: dict[str, Check]) -> set[str]:
    chosen: set[str] = set()
    queue = [check.id for check in wanted]
    while queue:
        id_ = queue.pop()
        if id_ not in chosen:
            chosen.add(id_)
            queue += [each for each in kept[id_].requires if each in kept]
    return chosen


def _unknown_words(checks: Sequence[Check], selection: Selection) -> list[tuple[str, str]]:
    if not checks:
        return []
    tags = sorted({tag for check in checks for tag in check.tags})
    faults = []
    for tag in dict.fromkeys(selection.tags):
        if tag not in tags:
            known = f"known are {', '.join(tags)}" if tags else "no check has any tag"
            hint = did_you_mean(tag, tags) or known
            faults.append((f"tag {tag}", f"no check has the tag {tag!r}; {hint}"))
    for word in dict.fromkeys(selection.exclude):
        if not any(_is(check, word) for check in checks):
            hint = did_you_mean(word, [*tags, *(check.id for check in checks)])
            reason = f"nothing to exclude is called {word!r}"
            faults.append((f"exclusion {word}", f"{reason}; {hint}" if hint else reason))
    return faults


def _nothing(catalog: Catalog, selection: Selection) -> str:
    if not selection.names:
        return "no name of a check was given"
    if not catalog.checks:
        return "no health check was found"
    return f"none of {len(catalog.checks)} health checks is left after selection"
