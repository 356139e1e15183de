"""The pytest plugin, seen from outside: each test runs pytest in a process of its own."""

import subprocess
import sys

import pytest

THREE_TESTS = """
    import unittest
    import hospital

    @hospital.healthcheck
    def test_database_answers():
        pass

    class TestAccounts(unittest.TestCase):
        @hospital.healthcheck
        def test_open(self):
            pass

        def test_sum(self):
            pass
"""


def run(pytester: pytest.Pytester, source: str, *options: str) -> pytest.RunResult:
    """Run pytest on *source* in a process of its own."""
    pytester.makepyfile(test_foo=source)
    return pytester.runpytest_subprocess("-p", "no:cacheprovider", *options)


def test_marked_tests_are_selected_by_the_marker(pytester: pytest.Pytester) -> None:
    """``-m healthcheck`` runs what ``hospital.healthcheck`` marks."""
    result = run(pytester, THREE_TESTS, "-m", "healthcheck", "-v")

    result.assert_outcomes(passed=2, deselected=1)
    result.stdout.fnmatch_lines(["*::test_database_answers PASSED*", "*::test_open PASSED*"])


def test_the_others_are_selected_by_its_negation(pytester: pytest.Pytester) -> None:
    """``-m "not healthcheck"`` runs the rest."""
    result = run(pytester, THREE_TESTS, "-m", "not healthcheck", "-v")

    result.assert_outcomes(passed=1, deselected=2)
    result.stdout.fnmatch_lines(["*::test_sum PASSED*"])


def test_the_marker_is_registered(pytester: pytest.Pytester) -> None:
    """``--strict-markers`` accepts it on its own, and ``--markers`` explains it."""
    source = "import pytest\n@pytest.mark.healthcheck\ndef test_it(): pass"

    run(pytester, source, "--strict-markers").assert_outcomes(passed=1)
    listed = run(pytester, source, "--markers")

    listed.stdout.fnmatch_lines(["@pytest.mark.healthcheck: a health check; *"])


def test_the_plugin_names_itself_in_the_header(pytester: pytest.Pytester) -> None:
    """The ``plugins:`` line names hospital."""
    result = run(pytester, THREE_TESTS)

    result.stdout.re_match_lines([r"plugins: (.*, )?hospital-\d.*"])


def test_every_kind_of_check_is_marked_whatever_its_name(pytester: pytest.Pytester) -> None:
    """Functions, methods, classes, subclasses of HealthCheck and heirs of marked classes count."""
    result = run(
        pytester,
        """
        import unittest
        import pytest
        import hospital

        @hospital.healthcheck
        def accounts_are_open(): pass

        @hospital.healthcheck
        @pytest.mark.parametrize("disk", ["a", "b"])
        def disk_is_there(disk): pass

        class Method(unittest.TestCase):
            @hospital.healthcheck
            def replicas_follow(self): pass

            @hospital.healthcheck
            def test_named(self): pass

        @hospital.healthcheck
        class Whole(unittest.TestCase):
            def test_of_class(self): pass

        class Heir(Whole):
            def test_of_heir(self): pass

        class Derived(hospital.HealthCheck):
            def test_derived(self): pass

        class TestWithoutBase:
            @hospital.healthcheck
            def finds_its_way(self): pass

        def test_no_check(): pass
        """,
        "-m",
        "healthcheck",
        "-v",
    )

    result.assert_outcomes(passed=10, deselected=1)
    result.stdout.fnmatch_lines_random(
        [
            "*::accounts_are_open PASSED*",
            "*::disk_is_there?b? PASSED*",
            "*::Method::replicas_follow PASSED*",
            "*::Heir::test_of_class PASSED*",
            "*::Derived::test_derived PASSED*",
            "*::TestWithoutBase::finds_its_way PASSED*",
        ]
    )


def test_an_oddly_named_method_can_be_asked_for(pytester: pytest.Pytester) -> None:
    """Its node id works, as those of others do."""
    source = """
        import unittest
        import hospital

        class Method(unittest.TestCase):
            @hospital.healthcheck
            def replicas_follow(self): pass
        """

    result = run(pytester, source, "test_foo.py::Method::replicas_follow")

    result.assert_outcomes(passed=1)


ASYNC_CHECKS = """
    import asyncio
    import unittest
    import hospital
    import pytest

    @pytest.fixture
    def answer():
        return 42

    @hospital.healthcheck
    async def function(answer):
        await asyncio.sleep(0)
        assert answer == 0, "function was awaited"

    class TestWithoutBase:
        @hospital.healthcheck
        async def test_it(self):
            assert False, "method was awaited"

    class Plain(unittest.TestCase):
        @hospital.healthcheck
        async def test_it(self):
            self.fail("method of plain TestCase was awaited")

    @hospital.healthcheck
    class Whole(unittest.TestCase):
        async def test_it(self):
            self.fail("method of marked TestCase was awaited")

    class Heir(Whole):
        async def test_more(self):
            self.fail("method of its heir was awaited")

    class Isolated(unittest.IsolatedAsyncioTestCase):
        @hospital.healthcheck
        async def test_it(self):
            self.fail("method of IsolatedAsyncioTestCase was awaited")
"""


def test_coroutines_are_awaited(pytester: pytest.Pytester) -> None:
    """No ``async def`` check passes unrun, not even in a plain TestCase."""
    result = run(pytester, ASYNC_CHECKS)

    result.assert_outcomes(failed=7)
    result.stdout.fnmatch_lines_random(
        [
            f"*{text} was awaited*"
            for text in (
                "function",
                "method",
                "method of plain TestCase",
                "method of marked TestCase",
                "method of its heir",
                "method of IsolatedAsyncioTestCase",
            )
        ]
    )


def test_coroutines_that_are_no_checks_are_left_alone(pytester: pytest.Pytester) -> None:
    """The plugin is about health checks: pytest's own verdict on others stands."""
    source = """
        import hospital

        @hospital.healthcheck
        async def is_check(): pass

        async def test_no_check(): pass
        """

    result = run(pytester, source, "-v")

    outcomes = result.parseoutcomes()
    assert outcomes.get("failed", outcomes.get("skipped")) == 1
    result.stdout.fnmatch_lines(["*::is_check PASSED*"])


@pytest.mark.parametrize("order", ["tryfirst=True", ""])
def test_another_plugin_may_take_the_coroutines(pytester: pytest.Pytester, order: str) -> None:
    """A plugin that awaits them itself, as anyio's does, is asked first."""
    pytester.makeconftest(
        f"""
        import inspect
        import pytest

        @pytest.hookimpl({order})
        def pytest_pyfunc_call(pyfuncitem):
            if inspect.iscoroutinefunction(pyfuncitem.obj):
                pyfuncitem.obj().close()
                print("taken by the other plugin")
                return True
        """
    )
    source = """
        import hospital

        @hospital.healthcheck
        async def not_run_by_us(): assert False
        """

    result = run(pytester, source, "-rP")

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["taken by the other plugin"])


def test_it_works_with_xdist(pytester: pytest.Pytester) -> None:
    """Marks, coroutines and warnings are right in the workers too."""
    source = """
        import hospital

        @hospital.healthcheck
        async def fails(): assert False

        @hospital.healthcheck
        def warns(): hospital.warn("nearly full")

        @hospital.healthcheck(severity="warning")
        def softly_fails(): assert False

        def test_no_check(): pass
        """

    result = run(pytester, source, "-n", "2", "-m", "healthcheck")

    result.assert_outcomes(passed=2, failed=1, warnings=2)
    result.stdout.fnmatch_lines_random(
        ["*HealthWarning: nearly full", "*HealthWarning: assert False"]
    )


def test_it_works_with_doctest_modules(pytester: pytest.Pytester) -> None:
    """Doctests are no health checks, those of a check included."""
    source = '''
        import hospital

        @hospital.healthcheck
        def disk():
            """The disk is there.

            >>> 1 + 1
            2
            """
        '''

    both = run(pytester, source, "--doctest-modules")
    checks = run(pytester, source, "--doctest-modules", "-m", "healthcheck")

    both.assert_outcomes(passed=2)
    checks.assert_outcomes(passed=1, deselected=1)


def test_a_run_without_checks_is_left_alone(pytester: pytest.Pytester) -> None:
    """Where nobody imports hospital, nothing of it is loaded but the plugin."""
    source = """
        import sys
        import unittest

        class Case(unittest.TestCase):
            def test_it(self): pass

        def test_modules():
            loaded = sorted(name for name in sys.modules if name.startswith("hospital"))
            assert ["hospital", "hospital.pytest_plugin"] == loaded
        """

    run(pytester, source, "-W", "error").assert_outcomes(passed=2)


def test_the_plugin_brings_nothing_with_it() -> None:
    """It is loaded in each run of everybody: no machinery, no asyncio, gevent, structlog."""
    code = (
        "import sys, pytest; before = set(sys.modules); import hospital.pytest_plugin;"
        "print(*sorted(set(sys.modules) - before))"
    )

    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )

    assert loaded.stdout.split() == ["hospital", "hospital.pytest_plugin"]
