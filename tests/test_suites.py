"""The loader in the hands of unittest, whose runners know test cases and nothing else."""

import io
import textwrap
import unittest

import pytest

from hospital.loading import HealthCheckLoader

CHECKS = """
    import asyncio, functools, unittest, hospital

    log = []

    def setUpModule(): log.append("setUpModule")
    def tearDownModule(): log.append("tearDownModule")

    @hospital.healthcheck
    def function():
        "A function."
        log.append("function")

    @hospital.healthcheck
    def fails(): assert 1 == 2

    @hospital.healthcheck
    async def awaits_and_fails():
        await asyncio.sleep(0)
        raise AssertionError("awaited")

    later = hospital.healthcheck(functools.wraps(function)(lambda: awaits_and_fails()))

    @hospital.healthcheck
    def returns_false(): return False

    @hospital.healthcheck
    @unittest.expectedFailure
    def fails_as_expected(): assert False

    @hospital.healthcheck
    @unittest.skip("not now")
    def skips(): ...

    class Case(unittest.TestCase):
        @classmethod
        def setUpClass(cls): log.append("setUpClass")

        @hospital.healthcheck
        def test_marked(self): log.append("test_marked")

        @hospital.healthcheck
        def test_returns_false(self): return False

        @hospital.healthcheck
        async def test_awaits_and_fails(self): self.fail("awaited")

        def test_ordinary(self): log.append("never")
"""


@pytest.fixture
def here(pytester: pytest.Pytester) -> pytest.Pytester:
    """Be in a folder with a module of checks."""
    pytester.syspathinsert()
    (pytester.path / "mod.py").write_text(textwrap.dedent(CHECKS))
    (pytester.path / "good.py").write_text("import hospital\n@hospital.healthcheck\ndef up(): ...")
    return pytester


def run(suite: unittest.TestSuite) -> unittest.TestResult:
    """Run *suite* as ``python -m unittest`` does."""
    return unittest.TextTestRunner(stream=io.StringIO()).run(suite)


def named(outcomes: list[tuple[unittest.TestCase, str]]) -> list[str]:
    """Return the ids in a list of a result."""
    return sorted(test.id() for test, _text in outcomes)


@pytest.mark.usefixtures("here")
def test_a_suite_tells_what_hospital_tells() -> None:
    """Nothing passes under unittest that would not here, fixtures included."""
    suite = HealthCheckLoader().discover("mod")

    result = run(suite)

    assert 10 == result.testsRun
    failed = ["mod.Case.test_awaits_and_fails", "mod.awaits_and_fails", "mod.fails", "mod.later"]
    assert failed == named(result.failures)
    assert ["mod.Case.test_returns_false", "mod.returns_false"] == named(result.errors)
    assert ["mod.skips"] == named(result.skipped)
    assert ["mod.fails_as_expected"] == named(result.expectedFailures)
    log = __import__("mod").log
    assert ["setUpModule", "setUpClass", "test_marked"] == log[:3]
    assert ["function", "tearDownModule"] == [log[3], log[-1]]
    assert 1 == log.count("setUpModule")


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("name", ["nothing", "mod.nothing", "./nothing.py", ""])
def test_what_cannot_be_loaded_errs(name: str) -> None:
    """A runner that knows nothing of hospital is not green either."""
    result = run(HealthCheckLoader().discover(name))

    ((test, text),) = result.errors
    assert not result.wasSuccessful()
    assert test.id()
    assert "HospitalError" in text


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    "argv",
    [
        ["good"],
        ["good.up"],
        ["./good.py"],
        ["discover", "good"],
        ["discover", "-s", "good"],
        ["-k", "good.up", "good", "mod"],
    ],
)
def test_the_main_program_of_unittest_uses_it(argv: list[str]) -> None:
    """``unittest.main(module=None, testLoader=HealthCheckLoader())`` takes its usual arguments."""
    program = unittest.main(
        module=None,
        testLoader=HealthCheckLoader(),
        testRunner=unittest.TextTestRunner(stream=io.StringIO()),
        argv=["prog", *argv],
        exit=False,
    )

    assert program.result.wasSuccessful()
    assert 1 == program.result.testsRun


@pytest.mark.usefixtures("here")
def test_each_way_into_the_loader_gives_marked_tests_alone() -> None:
    """Modules, classes, names, names within a module."""
    loader = HealthCheckLoader()
    mod = __import__("mod")

    assert 10 == loader.loadTestsFromModule(mod).countTestCases()
    assert 3 == loader.loadTestsFromTestCase(mod.Case).countTestCases()
    assert 2 == loader.loadTestsFromNames(["good.up", "mod.function"]).countTestCases()
    assert 1 == loader.loadTestsFromName("Case.test_marked", mod).countTestCases()
    assert 1 == loader.loadTestsFromName("function", mod).countTestCases()
    assert ["test_awaits_and_fails", "test_marked", "test_returns_false"] == (
        loader.getTestCaseNames(mod.Case)
    )


@pytest.mark.usefixtures("here")
def test_a_function_as_a_test_case_shows_its_id_and_its_title() -> None:
    """So that a runner's report can be read."""
    (test,) = HealthCheckLoader().discover("mod.function")

    assert isinstance(test, unittest.TestCase)
    assert ("mod.function", "mod.function") == (str(test), test.id())
    assert "A function." == test.shortDescription()
