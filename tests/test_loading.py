"""What counts as a health check, and that none is lost in silence."""

import sys
import time
from collections.abc import Sequence

import pytest

from hospital.loading import HealthCheckLoader, load
from tests.written import ids, loaded_of, write

PACKAGE = {
    "shop/__init__.py": """
        from hospital import healthcheck
        from shop.db import up

        @healthcheck
        def open_for_business(): "The shop is open."
    """,
    "shop/db.py": """
        import unittest
        from hospital import healthcheck

        @healthcheck
        def up(): ...

        @healthcheck
        class Tables(unittest.TestCase):
            def test_there(self): ...
            def test_full(self): ...

        class Mixed(unittest.TestCase):
            @healthcheck
            def test_checked(self): ...
            def test_ordinary(self): ...

        def test_ordinary(): ...
    """,
    "shop/deep/below/web.py": """
        from hospital import healthcheck
        from shop.db import *

        @healthcheck
        async def page(): ...
    """,
    "shop/__main__.py": "raise SystemExit('the program of the package')",
}
OF_DB = [
    "shop.db.Tables.test_full",
    "shop.db.Tables.test_there",
    "shop.db.Mixed.test_checked",
    "shop.db.up",
]


@pytest.fixture
def here(pytester: pytest.Pytester) -> pytest.Pytester:
    """Be in an empty folder that modules can be imported from."""
    pytester.syspathinsert()
    return pytester


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["shop.db"], OF_DB),
        (["shop.db.Tables"], OF_DB[:2]),
        (["shop.db.Tables.test_full"], OF_DB[:1]),
        (["shop.db.Mixed"], OF_DB[2:3]),
        (["shop.db.up"], ["shop.db.up"]),
        (["shop.deep.below.web.page"], ["shop.deep.below.web.page"]),
        (["shop.deep.below.web.up"], ["shop.db.up"]),
        (["./shop/db.py"], OF_DB),
        (["shop/__init__.py"], ["shop.db.up", "shop.open_for_business"]),
    ],
)
def test_a_name_stands_for_all_beneath_it(
    here: pytest.Pytester, names: Sequence[str], expected: Sequence[str]
) -> None:
    """Modules, classes, methods, functions and files are named alike."""
    write(here, PACKAGE)

    assert expected == ids(load(names))


@pytest.mark.parametrize(
    "names",
    [
        ["shop"],
        ["./shop"],
        ["shop/"],
        ["."],
        ["shop", "shop.db", "shop.db.up", "./shop/db.py"],
        ["shop.db.up", "shop"],
    ],
)
def test_each_check_is_loaded_once(here: pytest.Pytester, names: Sequence[str]) -> None:
    """A package is walked with its own ``__init__``, whatever is re-exported or named twice."""
    write(here, PACKAGE)

    expected = {*OF_DB, "shop.open_for_business", "shop.deep.below.web.page"}
    found = ids(load(names))
    assert expected == set(found)
    assert len(expected) == len(found)


def test_a_title_is_the_first_line_of_the_docstring(here: pytest.Pytester) -> None:
    """Without a docstring it is the id; a class may give its tests titles of its own."""
    loaded = loaded_of(
        here,
        """
        import functools

        @hospital.healthcheck
        def told():
            '''
            It is told.

            At length.
            '''

        @hospital.healthcheck
        def untold(): ...

        def greet(name): "Somebody is greeted."
        partial = hospital.healthcheck(functools.partial(greet, "you"))

        @hospital.healthcheck
        class Case(unittest.TestCase):
            def shortDescription(self): return "my own title"
            def test_it(self): "not this"
        """,
    )

    assert {
        "mod.Case.test_it": "my own title",
        "mod.told": "It is told.",
        "mod.untold": "mod.untold",
        "mod.partial": "Somebody is greeted.",
    } == {id_: entry.check.title for id_, entry in loaded.entries.items()}


def test_options_of_a_method_go_before_those_of_its_class(here: pytest.Pytester) -> None:
    """Tags and requirements add up, and so do those of a base class."""
    loaded = loaded_of(
        here,
        """
        @hospital.healthcheck(timeout=5, tags="db", owner="ops", severity="warning")
        class Base(unittest.TestCase):
            @hospital.healthcheck(timeout=1, tags="slow", severity="critical", fix="restart it")
            def test_a(self): ...
            def test_b(self): ...

        @hospital.healthcheck(tags="eu", isolated=True)
        class Derived(Base): ...
        """,
    )

    method, inherited = (
        loaded.entries[f"mod.{id_}"].check for id_ in ("Base.test_a", "Base.test_b")
    )
    assert (1.0, ("db", "slow"), "ops", "critical", "restart it") == (
        method.timeout_s,
        method.tags,
        method.owner,
        method.severity,
        method.fix,
    )
    assert (5.0, ("db",), "warning") == (inherited.timeout_s, inherited.tags, inherited.severity)
    derived = loaded.entries["mod.Derived.test_b"].check
    assert (("db", "eu"), True, "mod.Derived.test_b") == (
        derived.tags,
        derived.isolated,
        derived.unit,
    )


MARKED = {
    "a method with another name": (
        "class C(unittest.TestCase):\n @hospital.healthcheck\n def answers(self): ...",
        ["mod.C.answers"],
    ),
    "runTest alone": (
        "@hospital.healthcheck\nclass C(unittest.TestCase):\n def runTest(self): ...",
        ["mod.C.runTest"],
    ),
    "tests of a mixin": (
        """
        class Mixin:
            @hospital.healthcheck
            def test_it(self): ...
        class A(Mixin, unittest.TestCase): ...
        class B(Mixin, unittest.TestCase): ...
        """,
        ["mod.A.test_it", "mod.B.test_it"],
    ),
    "tests that are inherited": (
        """
        class Base(hospital.HealthCheck):
            __test__ = False
            def test_it(self): ...
        class A(Base):
            __test__ = True
        """,
        ["mod.A.test_it"],
    ),
    "an abstract base is none": (
        """
        import abc
        class Base(hospital.HealthCheck, abc.ABC):
            @abc.abstractmethod
            def test_it(self): ...
        class A(Base):
            def test_it(self): ...
        """,
        ["mod.A.test_it"],
    ),
    "a class within a class": (
        "class Group:\n @hospital.healthcheck\n class C(unittest.TestCase):\n  def test(self): ...",
        ["mod.Group.C.test"],
    ),
    "functions made by a factory": (
        """
        def make(host):
            @hospital.healthcheck
            def check(): assert host
            return check
        a, b = make("a"), make("b")
        also_a = a
        """,
        ["mod.a", "mod.b"],
    ),
    "classes made in a loop": (
        """
        for name in ("A", "B"):
            globals()[name] = hospital.healthcheck(
                type("Case", (unittest.TestCase,), {"test_it": lambda self: None}))
        """,
        ["mod.A.test_it", "mod.B.test_it"],
    ),
    "methods set in a loop": (
        """
        @hospital.healthcheck
        class C(unittest.TestCase): ...
        for name in "ab":
            setattr(C, f"test_{name}", lambda self, name=name: None)
        """,
        ["mod.C.test_a", "mod.C.test_b"],
    ),
    "a lambda, a partial, a cached function": (
        """
        import functools
        small = hospital.healthcheck(lambda: None)
        part = hospital.healthcheck(functools.partial(print, end=""))
        @hospital.healthcheck
        @functools.cache
        def above(): ...
        @functools.lru_cache
        @hospital.healthcheck
        def below(): ...
        """,
        ["mod.small", "mod.part", "mod.above", "mod.below"],
    ),
    "decorators above and below": (
        """
        import functools
        def decorator(function):
            @functools.wraps(function)
            def run(*args): return function(*args)
            return run
        @decorator
        @hospital.healthcheck(tags="x")
        def above(): ...
        @hospital.healthcheck
        @decorator
        def below(): ...
        class Callable:
            def __init__(self, function): functools.update_wrapper(self, function)
            def __call__(self): ...
        @Callable
        @hospital.healthcheck
        def instance(): ...
        """,
        ["mod.above", "mod.below", "mod.instance"],
    ),
    "asynchronous ones": (
        """
        @hospital.healthcheck
        async def function(): ...
        @hospital.healthcheck
        class C(unittest.IsolatedAsyncioTestCase):
            async def test_it(self): ...
        """,
        ["mod.C.test_it", "mod.function"],
    ),
    "what __test__ forbids is left out": (
        """
        @hospital.healthcheck
        class C(unittest.TestCase):
            __test__ = False
            def test_it(self): ...
        @hospital.healthcheck
        def off(): ...
        off.__test__ = False
        @hospital.healthcheck
        def on(): ...
        """,
        ["mod.on"],
    ),
    "lazy objects are not woken": (
        """
        class Lazy:
            def __getattribute__(self, name): raise RuntimeError("woken")
        class LazyClass:
            @property
            def __class__(self): raise RuntimeError("woken")
        class Any:
            def __getattr__(self, name): return True
        class LazyMeta(type):
            def __getattr__(cls, name): raise RuntimeError("woken")
            def __dir__(cls): raise RuntimeError("woken")
        class LaziestClass(metaclass=LazyMeta): ...
        lazy, lazier, agreeable = Lazy(), LazyClass(), Any()
        @hospital.healthcheck
        def up(): ...
        """,
        ["mod.up"],
    ),
    "attributes of a class that raise": (
        """
        class Raises:
            def __get__(self, instance, owner): raise RuntimeError("not here")
        class Meta(type):
            @property
            def is_healthcheck(cls): return False
        @hospital.healthcheck
        class C(unittest.TestCase):
            connection = Raises()
            def test_it(self): ...
        """,
        ["mod.C.test_it"],
    ),
}


@pytest.mark.parametrize("case", MARKED)
def test_what_is_marked_is_found(here: pytest.Pytester, case: str) -> None:
    """However a marked test came to be, it is found under the name where it stands."""
    source, expected = MARKED[case]

    assert expected == ids(loaded_of(here, source))


def test_a_check_is_named_where_it_is_defined_whichever_module_comes_first(
    here: pytest.Pytester,
) -> None:
    """One that a factory made is looked for in the module of the factory's caller too."""
    source = """
        import functools, hospital
        def make():
            @hospital.healthcheck
            def check(): ...
            return check
        made = make()
        @hospital.healthcheck
        def plain(): ...
    """
    write(here, {"p/__init__.py": "", "p/a.py": "from p.z import *", "p/z.py": source})

    assert ["p.z.made", "p.z.plain"] == ids(load(["p"]))


def test_modules_that_import_each_other_are_loaded(here: pytest.Pytester) -> None:
    """A circle of imports is nothing special."""
    source = "import hospital, {0}\n@hospital.healthcheck\ndef up_{0}(): ..."
    write(here, {"a.py": source.format("b"), "b.py": source.format("a")})

    assert ["a.up_b", "b.up_a"] == ids(load(["a", "b"]))


BROKEN = {
    "load_tests raises": (
        "def load_tests(loader, tests, pattern): raise KeyError('no host')",
        [("mod.load_tests", "cannot load 'mod.load_tests': KeyError: 'no host'")],
    ),
    "load_tests forgets to return": (
        "def load_tests(loader, tests, pattern): ...",
        [("mod", "load_tests returned None; it has to return a suite")],
    ),
    "load_tests hands on what cannot be loaded": (
        "def load_tests(loader, tests, pattern): return loader.loadTestsFromName('mod.nothing')",
        [("mod.nothing", "the module 'mod' has no 'nothing'")],
    ),
    "nothing is marked": (
        "def test_it(): ...",
        [("mod", "no health check under 'mod': mark tests there with @healthcheck")],
    ),
    "a decorator hides a mark": (
        """
        def decorator(function):
            def run(): return function()
            return run
        @decorator
        @hospital.healthcheck
        def up(): ...
        """,
        [
            (
                "mod.up",
                (
                    "'mod.up' is marked @healthcheck, but a decorator above the mark hides it; "
                    "put @healthcheck on top"
                ),
            )
        ],
    ),
    "the class of a marked method is no test case": (
        "class Up:\n @hospital.healthcheck\n def test_it(self): ...",
        [
            (
                "mod.Up",
                (
                    "'mod.Up' holds tests marked @healthcheck, but is no unittest.TestCase; "
                    "derive it from unittest.TestCase"
                ),
            )
        ],
    ),
    "a test cannot even be looked at": (
        """
        class Raises:
            def __get__(self, instance, owner): raise SystemExit("no")
        class C(hospital.HealthCheck):
            test_it = Raises()
        """,
        [("mod.C", "cannot load 'mod.C': SystemExit: no")],
    ),
    "an option is mistyped": (
        "@hospital.healthcheck(timout=1)\ndef up(): ...",
        [
            (
                "mod",
                (
                    "cannot import 'mod': MarkingError: @healthcheck has no option 'timout'; "
                    "did you mean 'timeout'? (mod.py:2)"
                ),
            )
        ],
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_cannot_be_loaded_is_a_problem(here: pytest.Pytester, case: str) -> None:
    """Each fault is told once, with its name and its cause, and nothing is raised."""
    source, expected = BROKEN[case]

    loaded = loaded_of(here, source)

    assert (expected, {}) == (loaded.problems, loaded.entries)


@pytest.mark.parametrize("name", ["mod.ordinary", "mod.Plain", "mod.Plain.test_it", "mod.number"])
def test_what_is_named_but_not_marked_is_a_problem(here: pytest.Pytester, name: str) -> None:
    """A function, class or method without a mark is never a green nothing."""
    source = """
        number = 1
        def ordinary(): ...
        class Plain(unittest.TestCase):
            def test_it(self): ...
    """

    ((problem, reason),) = loaded_of(here, source, name).problems

    assert name == problem
    assert "marked @healthcheck" in reason


def test_a_module_that_skips_itself_is_skipped(here: pytest.Pytester) -> None:
    """As with unittest and pytest, ``SkipTest`` on import is no error."""
    write(here, {"mod.py": "import unittest\nraise unittest.SkipTest('not on this machine')"})

    (entry,) = load(["mod"]).entries.values()

    assert entry.function
    with pytest.raises(unittest_skip(), match="not on this machine"):
        entry.function()


def unittest_skip() -> type[Exception]:
    """Return unittest's exception, which pytest would take for its own in the test's body."""
    import unittest

    return unittest.SkipTest


def test_units_follow_the_fixtures(here: pytest.Pytester) -> None:
    """A class is a unit, a module with fixtures is, functions and all; else a function is one."""
    source = """
        import hospital
        class C(hospital.HealthCheck):
            def test_a(self): ...
            def test_b(self): ...
        @hospital.healthcheck
        def f(): ...
        @hospital.healthcheck(isolated=True)
        def alone(): ...
    """
    write(here, {"a.py": source, "b.py": source + "\n        def setUpModule(): ..."})

    units = {id_: entry.check.unit for id_, entry in load(["a", "b"]).entries.items()}

    assert {
        "a.C.test_a": "a.C",
        "a.C.test_b": "a.C",
        "a.f": "a.f",
        "a.alone": "a.alone",
        "b.C.test_a": "b",
        "b.C.test_b": "b",
        "b.f": "b",
        "b.alone": "b.alone",
    } == units


def test_ten_thousand_checks_are_loaded_in_a_time_that_grows_with_their_number(
    here: pytest.Pytester,
) -> None:
    """Ten times the checks, each requiring the one before, take no more than 30 times as long."""
    took = {}
    for count in (500, 5000):
        lines = ["import hospital", "@hospital.healthcheck", "def f0(): ..."]
        for n in range(1, count):
            lines += [f"@hospital.healthcheck(requires='f{n - 1}')", f"def f{n}(): ..."]
        write(here, {f"m{count}.py": "\n".join(lines)})
        __import__(f"m{count}")
        began = time.perf_counter()
        assert count == len(ids(load([f"m{count}"])))
        took[count] = time.perf_counter() - began

    assert took[5000] < 30 * took[500]


def test_hospital_itself_can_be_named() -> None:
    """Its own test cases, made for other runners, are no checks."""
    assert "hospital.healthchecks.host.memory" in ids(load(["hospital.healthchecks"]))
    assert {} == load(["hospital.suites"]).entries


def test_the_loader_is_a_loader_of_unittest() -> None:
    """It takes the place of unittest's own."""
    loader = HealthCheckLoader()

    assert [] == loader.errors
    assert loader.discover("hospital.healthchecks.predictable").countTestCases() == 1
    assert "hospital.healthchecks.predictable" in sys.modules
