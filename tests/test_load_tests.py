"""Modules whose ``load_tests`` decides what their checks are."""

import pytest

from hospital.loading import load
from tests.written import ids, loaded_of, write


@pytest.fixture
def here(pytester: pytest.Pytester) -> pytest.Pytester:
    """Be in an empty folder that modules can be imported from."""
    pytester.syspathinsert()
    return pytester


LOAD_TESTS = {
    "instances with parameters and one id": (
        """
        class Host(hospital.HealthCheck):
            def __init__(self, name="test_up", host=""):
                super().__init__(name)
                self.host = host
            def test_up(self): assert self.host
        def load_tests(loader, tests, pattern):
            return unittest.TestSuite(Host("test_up", host) for host in "abc")
        """,
        ["mod.Host.test_up", "mod.Host.test_up#2", "mod.Host.test_up#3"],
    ),
    "classes that cannot be instantiated otherwise": (
        """
        class Host(hospital.HealthCheck):
            def __init__(self, name, host): super().__init__(name)
            def test_up(self): ...
        def load_tests(loader, tests, pattern): return [Host("test_up", "a")]
        """,
        ["mod.Host.test_up"],
    ),
    "some left out": (
        """
        class C(hospital.HealthCheck):
            def test_a(self): ...
            def test_b(self): ...
        @hospital.healthcheck
        def function(): ...
        def load_tests(loader, tests, pattern):
            return unittest.TestSuite(t for t in tests if "test_a" in t.id())
        """,
        ["mod.C.test_a", "mod.function"],
    ),
    "functions as test cases": (
        """
        @hospital.healthcheck
        def up(): ...
        def ordinary(): ...
        def load_tests(loader, tests, pattern):
            return [unittest.FunctionTestCase(up), unittest.FunctionTestCase(ordinary)]
        """,
        ["mod.up"],
    ),
}


@pytest.mark.parametrize("case", LOAD_TESTS)
@pytest.mark.parametrize("names", [["mod"], ["mod", "mod", "./mod.py"]])
def test_load_tests_decides(here: pytest.Pytester, case: str, names: list[str]) -> None:
    """A module's ``load_tests`` is asked once, however often the module is named."""
    source, expected = LOAD_TESTS[case]

    assert expected == ids(loaded_of(here, source, *names))


def test_a_class_named_by_itself_is_what_load_tests_made_of_it(here: pytest.Pytester) -> None:
    """So that an id means the same, however it was reached."""
    source = LOAD_TESTS["instances with parameters and one id"][0]

    found = ids(loaded_of(here, source, "mod.Host", "mod.Host.test_up", "mod"))

    assert ["mod.Host.test_up", "mod.Host.test_up#2", "mod.Host.test_up#3"] == found


def test_instances_of_load_tests_keep_their_parameters_in_each_run(here: pytest.Pytester) -> None:
    """Each run gets a copy, whose method is bound to it and which shares no cleanups."""
    source = LOAD_TESTS["instances with parameters and one id"][0]
    entry = loaded_of(here, source).entries["mod.Host.test_up#2"]

    assert entry.make
    first, second = entry.make(), entry.make()

    assert first is not second
    assert {"b"} == {vars(each)["host"] for each in (first, second)}
    assert vars(first)["_cleanups"] is not vars(second)["_cleanups"]


def test_load_tests_of_a_package_answers_for_all_of_it(here: pytest.Pytester) -> None:
    """The recipe of unittest's documentation, which discovers its own folder, ends."""
    check = "import hospital\n@hospital.healthcheck\ndef up(): ..."
    recipe = """
        import os, unittest, hospital
        class Own(hospital.HealthCheck):
            def test_it(self): ...
        def load_tests(loader, standard_tests, pattern):
            found = loader.discover(start_dir=os.path.dirname(__file__), pattern=pattern)
            standard_tests.addTests(found)
            return standard_tests
    """
    write(here, {"p/__init__.py": recipe, "p/a.py": check, "p/sub/__init__.py": check})

    assert ["p.Own.test_it", "p.a.up", "p.sub.up"] == ids(load(["p"]))
