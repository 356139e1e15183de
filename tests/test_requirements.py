"""Which checks a requirement means, loaded with what requires them."""

import textwrap

import pytest

from hospital.loading import Loaded, load
from hospital.requirements import KnownIds


@pytest.fixture
def here(pytester: pytest.Pytester) -> pytest.Pytester:
    """Be in an empty folder that modules can be imported from."""
    pytester.syspathinsert()
    return pytester


def write(here: pytest.Pytester, files: dict[str, str]) -> None:
    """Write *files* into the current folder."""
    for name, source in files.items():
        path = here.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("import unittest, hospital\n" + textwrap.dedent(source))


def requires(loaded: Loaded, id_: str) -> tuple[str, ...]:
    """Return what a check requires, and check that nothing went wrong."""
    assert loaded.problems == []
    return loaded.entries[id_].check.requires


SHOP = {
    "shop/__init__.py": "",
    "shop/db.py": """
        @hospital.healthcheck
        def up(): ...

        class Tables(hospital.HealthCheck):
            def test_a(self): ...
            @hospital.healthcheck(requires="test_a")
            def test_b(self): ...
            @hospital.healthcheck(requires="up")
            def test_c(self): ...
    """,
    "shop/web.py": """
        from shop import db

        @hospital.healthcheck(requires=db.up)
        def by_function(): ...

        @hospital.healthcheck(requires="shop.db.up")
        def by_id(): ...

        @hospital.healthcheck(requires="db.up")
        def by_name_in_the_package(): ...

        @hospital.healthcheck(requires="by_id")
        def by_name_in_the_module(): ...

        @hospital.healthcheck(requires=db.Tables)
        def by_class(): ...

        @hospital.healthcheck(requires=db.Tables.test_a)
        def by_method(): ...

        @hospital.healthcheck(requires="shop.db")
        def by_module(): ...

        @hospital.healthcheck(requires=["shop.db.up", db.up, "by_id"])
        def by_several(): ...
    """,
}
TABLES = tuple(f"shop.db.Tables.test_{letter}" for letter in "abc")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("by_function", ("shop.db.up",)),
        ("by_id", ("shop.db.up",)),
        ("by_name_in_the_package", ("shop.db.up",)),
        ("by_name_in_the_module", ("shop.web.by_id",)),
        ("by_class", TABLES),
        ("by_method", TABLES[:1]),
        ("by_module", (*TABLES, "shop.db.up")),
        ("by_several", ("shop.db.up", "shop.web.by_id")),
    ],
)
@pytest.mark.parametrize("named", ["shop", "itself"])
def test_what_is_required_is_found(
    here: pytest.Pytester, name: str, expected: tuple[str, ...], named: str
) -> None:
    """Whether all was named, or the dependent alone: then what it requires is pulled in."""
    write(here, SHOP)

    loaded = load(["shop" if named == "shop" else f"shop.web.{name}"])

    assert set(expected) == set(requires(loaded, f"shop.web.{name}"))
    if named == "itself":
        wanted = {*expected, f"shop.web.{name}"}
        if "shop.web.by_id" in wanted or "shop.db.Tables.test_c" in wanted:
            wanted.add("shop.db.up")
        assert wanted == set(loaded.entries)


def test_a_name_in_the_same_class_goes_first(here: pytest.Pytester) -> None:
    """Then the module, then its packages; a top-level module of that name is not meant."""
    write(
        here,
        {
            "up.py": "@hospital.healthcheck\ndef up(): ...",
            "mod.py": """
                @hospital.healthcheck
                def up(): ...
                class C(hospital.HealthCheck):
                    def up(self): ...
                    up = hospital.healthcheck(up)
                    @hospital.healthcheck(requires="up")
                    def test_it(self): ...
                @hospital.healthcheck(requires="up")
                def it(): ...
            """,
        },
    )

    loaded = load(["up", "mod"])

    assert ("mod.C.up",) == requires(loaded, "mod.C.test_it")
    assert ("mod.up",) == requires(loaded, "mod.it")


def test_an_inherited_requirement_is_that_of_the_own_class(here: pytest.Pytester) -> None:
    """Of a mixin and of a base class that is a check itself."""
    write(
        here,
        {
            "mod.py": """
                class Mixin:
                    @hospital.healthcheck
                    def test_a(self): ...
                    @hospital.healthcheck(requires=test_a)
                    def test_b(self): ...
                class One(Mixin, unittest.TestCase): ...
                class Two(One): ...
            """
        },
    )

    loaded = load(["mod"])

    assert ("mod.One.test_a",) == requires(loaded, "mod.One.test_b")
    assert ("mod.Two.test_a",) == requires(loaded, "mod.Two.test_b")


def test_functions_of_a_factory_can_be_required_as_themselves(here: pytest.Pytester) -> None:
    """Their ids are the names where they stand, not the ones that Python gave them."""
    write(
        here,
        {
            "mod.py": """
                def make():
                    @hospital.healthcheck
                    def check(): ...
                    return check
                made = make()
                @hospital.healthcheck(requires=made)
                def dependent(): ...
            """
        },
    )

    assert ("mod.made",) == requires(load(["mod"]), "mod.dependent")


def test_requirements_of_what_was_pulled_in_are_pulled_in(here: pytest.Pytester) -> None:
    """However long the chain, over as many modules."""
    files = {
        f"m{n}.py": f"@hospital.healthcheck(requires='m{n + 1}.f')\ndef f(): ..." for n in range(9)
    }
    write(here, {**files, "m9.py": "@hospital.healthcheck\ndef f(): ..."})

    loaded = load(["m0.f"])

    assert [f"m{n}.f" for n in range(10)] == list(loaded.entries)
    assert ("m9.f",) == requires(loaded, "m8.f")


def test_an_unknown_requirement_stays_as_it_was_written(here: pytest.Pytester) -> None:
    """The run tells it as the fault of the check that requires it."""
    write(here, {"mod.py": "@hospital.healthcheck(requires=['upp', 'no.such'])\ndef f(): ..."})

    assert ("upp", "no.such") == requires(load(["mod"]), "mod.f")


def test_a_requirement_that_cannot_be_imported_is_told(here: pytest.Pytester) -> None:
    """With module, cause and line, beside the check that requires it."""
    write(
        here,
        {
            "mod.py": "@hospital.healthcheck(requires='broken.up')\ndef f(): ...",
            "broken.py": "1 / 0",
        },
    )

    loaded = load(["mod"])

    assert ["mod.f"] == list(loaded.entries)
    ((name, reason),) = loaded.problems
    assert "broken" == name
    assert "cannot import 'broken': ZeroDivisionError: division by zero (broken.py:2)" == reason


def test_known_ids_are_asked_by_what_holds_them() -> None:
    """A check never requires itself by the name of its own class or module."""
    known = KnownIds(["p.m.C.a", "p.m.C.b", "p.n.f"])

    assert ["p.m.C.b"] == known.matching("p.m.C", but="p.m.C.a")
    assert ["p.m.C.a", "p.m.C.b", "p.n.f"] == known.matching("p")
    assert [] == known.matching("p.m.D")
    assert [] == known.matching("p.m.C.a.b")
