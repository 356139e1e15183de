"""Warnings and soft checks under pytest: each test runs pytest in a process of its own."""

import pytest


def run(pytester: pytest.Pytester, source: str, *options: str) -> pytest.RunResult:
    """Run pytest on *source* in a process of its own."""
    pytester.makepyfile(test_foo=source)
    return pytester.runpytest_subprocess("-p", "no:cacheprovider", *options)


def test_warnings_are_shown_as_warnings(pytester: pytest.Pytester) -> None:
    """``hospital.warn`` ends in the warnings summary, with the place that said it."""
    source = """
        import unittest
        import hospital

        @hospital.healthcheck
        def disk():
            hospital.warn("disk is nearly full")

        class Case(hospital.HealthCheck):
            async def test_twice(self):
                hospital.warn("first")
                hospital.warn("second")
        """

    result = run(pytester, source)

    result.assert_outcomes(passed=2, warnings=3)
    result.stdout.fnmatch_lines(
        [
            "test_foo.py::disk",
            "*test_foo.py:6: HealthWarning: disk is nearly full",
            "*test_foo.py:10: HealthWarning: first",
            "*test_foo.py:11: HealthWarning: second",
        ]
    )


@pytest.mark.parametrize("filter_", ["error", "error::hospital.HealthWarning"])
def test_users_decide_that_warnings_are_errors(pytester: pytest.Pytester, filter_: str) -> None:
    """With ``-W error`` a warning fails the check, and so does what a soft check would forgive."""
    source = """
        import hospital

        @hospital.healthcheck
        def warns(): hospital.warn("disk is nearly full")

        @hospital.healthcheck(severity="warning")
        def soft(): assert False, "no mail today"

        @hospital.healthcheck
        def passes(): pass
        """

    result = run(pytester, source, "-W", filter_)

    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines(["*HealthWarning: disk is nearly full*", "*no mail today*"])


def test_measuring_does_nothing(pytester: pytest.Pytester) -> None:
    """``hospital.measure`` needs no runner of ours."""
    source = """
        import hospital

        @hospital.healthcheck
        def disk(): hospital.measure("used", 0.99, unit="1", fail="0.9")
        """

    run(pytester, source).assert_outcomes(passed=1)


SOFT_CHECKS = """
    import unittest
    import hospital

    @hospital.healthcheck(severity="warning")
    def fails():
        assert 1 == 2, "cannot reach postgresql://u:s3cret@h/db"

    @hospital.healthcheck(severity="warning")
    def errs():
        raise OSError("mail is down")

    @hospital.healthcheck(severity="warning")
    class Case(unittest.TestCase):
        async def test_fails(self):
            self.fail("method fails")

        def test_fails_below(self):
            with self.subTest(of="it"):
                self.fail("subtest fails")

        def test_skips(self):
            self.skipTest("not today")

    class Method(unittest.TestCase):
        @hospital.healthcheck(severity="warning")
        def test_fails(self):
            self.fail("marked method fails")
"""


def test_a_soft_check_that_fails_is_passed_with_a_warning(pytester: pytest.Pytester) -> None:
    """``severity="warning"`` is green here too, and the warning holds the reason, redacted."""
    result = run(pytester, SOFT_CHECKS, "-v")

    outcomes = result.parseoutcomes()
    outcomes.pop("subtests", None)
    assert outcomes == {"passed": 5, "skipped": 1, "warnings": 5}
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines_random(
        [
            "*test_foo.py:4: HealthWarning: AssertionError: cannot reach postgresql://u:***@h/db",
            "*HealthWarning: OSError: mail is down",
            "*test_foo.py:14: HealthWarning: AssertionError: method fails",
            "*HealthWarning: AssertionError: subtest fails",
            "*HealthWarning: AssertionError: marked method fails",
        ]
    )
    result.stdout.no_fnmatch_line("*s3cret*")


def test_a_soft_check_is_not_called_without_what_it_sets_up(pytester: pytest.Pytester) -> None:
    """A fixture that fails is the warning, and the body does not run."""
    source = """
        import unittest
        import hospital
        import pytest

        @pytest.fixture
        def broken():
            raise OSError("no fixture")

        @hospital.healthcheck(severity="warning")
        def function(broken):
            print("was run")

        @hospital.healthcheck(severity="warning")
        class Case(unittest.TestCase):
            @classmethod
            def setUpClass(cls):
                raise OSError("no class")

            def test_it(self):
                print("was run")

        @hospital.healthcheck(severity="warning")
        class Ends(unittest.TestCase):
            @classmethod
            def tearDownClass(cls):
                raise OSError("no end")

            def test_it(self): pass
        """

    result = run(pytester, source, "-rP")

    result.assert_outcomes(passed=3, warnings=3)
    result.stdout.no_fnmatch_line("*was run*")
    result.stdout.fnmatch_lines_random(
        [
            "*HealthWarning: OSError: no fixture",
            "*HealthWarning: OSError: no class",
            "*HealthWarning: OSError: no end",
        ]
    )


def test_an_unexpected_success_stays_one(pytester: pytest.Pytester) -> None:
    """Softness forgives failures; a promise of failure that is not kept is none."""
    source = """
        import unittest
        import hospital
        import pytest

        @hospital.healthcheck(severity="warning")
        class Case(unittest.TestCase):
            @unittest.expectedFailure
            def test_succeeds(self): pass

            @unittest.expectedFailure
            def test_fails(self): self.fail()

        @hospital.healthcheck(severity="warning")
        @pytest.mark.xfail(strict=True)
        def succeeds(): pass
        """

    run(pytester, source).assert_outcomes(failed=2, xfailed=1)
