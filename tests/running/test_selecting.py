"""What is chosen of what was found, and that a mistyped word is never green."""

import time

import pytest

from hospital.model import Check, Status, errors
from hospital.running.executor import Catalog, Selection
from hospital.running.selecting import select


def check(id_: str, *tags: str, requires: tuple[str, ...] = ()) -> Check:
    """Return a check."""
    return Check(id=id_, title=id_, unit=id_, tags=tags, requires=requires)


CHECKS = (
    check("shop.db.up", "db", "fast"),
    check("shop.db.slow_tables", "db", requires=("shop.db.up",)),
    check("shop.web.page", "web", requires=("shop.db.slow_tables",)),
    check("shop.dbx.up"),
)
CATALOG = Catalog(CHECKS, ())


def chosen(
    *, tags: tuple[str, ...] = (), exclude: tuple[str, ...] = (), catalog: Catalog = CATALOG
) -> tuple[list[str], list[str]]:
    """Return the ids that are selected, and the reasons of problems."""
    selected = select(catalog, Selection(("shop",), tags, exclude))
    assert all(problem.status is Status.ERROR for problem in selected.problems)
    return [c.id for c in selected.checks], [problem.reason for problem in selected.problems]


@pytest.mark.parametrize(
    ("tags", "exclude", "expected"),
    [
        ((), (), [0, 1, 2, 3]),
        (("fast",), (), [0]),
        (("fast", "db"), (), [0, 1]),
        (("web",), (), [0, 1, 2]),
        ((), ("db",), [2, 3]),
        ((), ("shop.db",), [2, 3]),
        ((), ("shop.db.up",), [1, 2, 3]),
        ((), ("*.slow_*",), [0, 2, 3]),
        ((), ("shop.*.up", "web"), [1]),
        (("db",), ("fast",), [1]),
    ],
)
def test_tags_and_exclusions_choose(
    tags: tuple[str, ...], exclude: tuple[str, ...], expected: list[int]
) -> None:
    """Any of the tags; what they require comes along, unless it is left out on purpose."""
    assert ([CHECKS[n].id for n in expected], []) == chosen(tags=tags, exclude=exclude)


def test_what_was_left_out_is_remembered() -> None:
    """So that who requires it runs all the same."""
    selected = select(CATALOG, Selection(("shop",), exclude=("db",)))

    assert {"shop.db.up", "shop.db.slow_tables"} == selected.excluded


@pytest.mark.parametrize(
    ("tags", "exclude", "reason"),
    [
        (("dbb",), (), "no check has the tag 'dbb'; did you mean 'db'?"),
        (("zzz",), (), "no check has the tag 'zzz'; known are db, fast, web"),
        (("db", "webb"), (), "no check has the tag 'webb'; did you mean 'web'?"),
        ((), ("fats",), "nothing to exclude is called 'fats'; did you mean 'fast'?"),
        ((), ("shop.db.upp",), "nothing to exclude is called 'shop.db.upp'; did you mean"),
        ((), ("*.zzz",), "nothing to exclude is called '*.zzz'"),
        ((), ("shop.d",), "nothing to exclude is called 'shop.d'"),
    ],
)
def test_a_word_that_matches_nothing_is_a_problem(
    tags: tuple[str, ...], exclude: tuple[str, ...], reason: str
) -> None:
    """With the nearest one, whether or not other words match."""
    _ids, (told,) = chosen(tags=tags, exclude=exclude)

    assert told.startswith(reason)


def test_no_tags_at_all_are_told() -> None:
    """Rather than an empty list of known ones."""
    _ids, (told,) = chosen(tags=("db",), catalog=Catalog((check("a.b"),), ()))

    assert "no check has the tag 'db'; no check has any tag" == told


@pytest.mark.parametrize(
    ("catalog", "selection", "reason"),
    [
        (Catalog((), ()), Selection(("shop",)), "no health check was found"),
        (Catalog((), ()), Selection(()), "no name of a check was given"),
        (
            CATALOG,
            Selection(("shop",), (), ("*",)),
            "none of 4 health checks is left after selection",
        ),
    ],
)
def test_a_selection_of_nothing_is_a_problem(
    catalog: Catalog, selection: Selection, reason: str
) -> None:
    """Never a green nothing."""
    selected = select(catalog, selection)

    assert () == selected.checks
    assert [reason] == [problem.reason for problem in selected.problems]


def test_problems_of_loading_are_kept() -> None:
    """They come first, and stand for the rest where nothing was found."""
    problems = errors([("shop.web", "cannot import 'shop.web'")])

    assert ([], ["cannot import 'shop.web'"]) == chosen(tags=("db",), catalog=Catalog((), problems))
    assert 5 == sum(map(len, chosen(catalog=Catalog(CHECKS, problems))))


def test_ten_thousand_checks_are_chosen_from_in_no_time() -> None:
    """Also where they require each other in one long chain."""
    checks = tuple(
        check(f"m.f{n}", "even" if n % 2 else "odd", requires=(f"m.f{n - 1}",) if n else ())
        for n in range(10_000)
    )
    began = time.perf_counter()

    ids, problems = chosen(tags=("even",), exclude=("*.f77", "typo"), catalog=Catalog(checks, ()))

    assert 9998 == len(ids)  # nobody else requires f76
    assert 1 == len(problems)
    assert time.perf_counter() - began < 2.0
