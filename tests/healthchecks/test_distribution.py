"""Rules of DistributionHealthCheck."""

import unittest

import pytest

from hospital import DistributionHealthCheck, is_healthcheck
from hospital.errors import SettingError
from hospital.loading import HealthCheckLoader


class PackagingHealthCheck(DistributionHealthCheck):
    """A real one; pytest collects it from here as well."""

    distribution = "packaging"


def run(case: type[unittest.TestCase]) -> unittest.TestResult:
    """Return what plain unittest makes of *case*."""
    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(case).run(result)
    return result


def test_an_installed_distribution_passes() -> None:
    """Two checks: that it supports this Python, and that it has what it requires."""
    result = run(PackagingHealthCheck)

    assert result.wasSuccessful()
    assert (2, []) == (result.testsRun, result.skipped)
    assert is_healthcheck(PackagingHealthCheck)


def test_one_that_is_not_installed_fails() -> None:
    """Both checks fail, they do not err."""

    class Missing(DistributionHealthCheck):
        distribution = "never-heard-of"

    result = run(Missing)

    assert (2, 0) == (len(result.failures), len(result.errors))
    assert "distribution 'never-heard-of' is not installed" in result.failures[0][1]


def test_a_forgotten_name_is_an_error() -> None:
    """Neither skipped nor green: it checks nothing."""

    class Forgotten(DistributionHealthCheck):
        pass

    result = run(Forgotten)

    assert (2, 0, 0) == (len(result.errors), len(result.failures), len(result.skipped))
    assert "names no distribution" in result.errors[0][1]
    with pytest.raises(SettingError):
        Forgotten("test_python_version").test_python_version()


def test_the_base_is_not_collected() -> None:
    """Importing it into a module of checks adds no check; plain unittest skips it aloud."""
    result = run(DistributionHealthCheck)

    assert (2, 2) == (result.testsRun, len(result.skipped))
    assert "is abstract" in result.skipped[0][1]
    assert 0 == HealthCheckLoader().loadTestsFromTestCase(DistributionHealthCheck).countTestCases()


def test_a_base_of_ones_own_is_not_collected_either() -> None:
    """A subclass with ``__test__ = False`` is abstract, and what derives from it is not."""

    class Base(DistributionHealthCheck):
        __test__ = False

    class Concrete(Base):
        distribution = "packaging"

    assert 2 == len(run(Base).skipped)
    assert [] == run(Concrete).skipped
    assert run(Concrete).wasSuccessful()


def test_the_title_names_the_distribution() -> None:
    """So that two of them can be told apart."""
    titles = {
        PackagingHealthCheck(name).shortDescription()
        for name in ("test_python_version", "test_requirements")
    }

    assert {
        "The distribution packaging is installed and supports this Python.",
        "The distribution packaging has all that it requires.",
    } == titles


def test_pytest_collects_what_derives_from_it(pytester: pytest.Pytester) -> None:
    """And not the base, though it is imported into the module."""
    pytester.makepyfile(
        test_them="""
        from hospital import DistributionHealthCheck

        class Packaging(DistributionHealthCheck):
            distribution = "packaging"
        """
    )

    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-q")

    result.assert_outcomes(passed=2)


def test_predictable_holds_one_check() -> None:
    """Exactly the one of the documentation's transcripts."""
    suite = HealthCheckLoader().discover("hospital.healthchecks.predictable")
    tests = list(suite)

    assert ["Health checks are collected."] == [
        test.shortDescription() for test in tests if isinstance(test, unittest.TestCase)
    ]
