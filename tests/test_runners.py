"""Other people's runners: nose, nose2, unittest, and the runner of one's own from the docs."""

import os
import re
import subprocess
import sys
import textwrap
import unittest
from pathlib import Path

import pytest

from hospital.loading import HealthCheckLoader

HOWTO = Path(__file__).parent.parent / "docs" / "howto"
PREDICTABLE = "hospital.healthchecks.predictable"
NOSE2 = "nose2 -v --plugin nose2.plugins.attrib -A"

FOO = """
    import unittest
    import hospital

    @hospital.healthcheck
    def test_database_answers():
        pass

    @hospital.healthcheck
    class Whole(unittest.TestCase):
        async def test_of_class(self):
            assert True

    class TestAccounts(unittest.TestCase):
        @hospital.healthcheck
        def test_open(self):
            pass

        def test_sum(self):
            pass
"""

FAILING = """
    import unittest
    import hospital

    class Case(hospital.HealthCheck):
        async def test_fails(self):
            self.fail("the coroutine was awaited")

        def test_warns(self):
            hospital.warn("nearly full")

    @hospital.healthcheck
    async def function():
        raise OSError("the function was awaited")
"""


@pytest.fixture
def foo(tmp_path: Path) -> Path:
    """Return a folder that holds the package ``foo`` with three checks and a test."""
    package = tmp_path / "foo"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "test_foo.py").write_text(textwrap.dedent(FOO))
    return tmp_path


def run(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run *line* in a shell with an environment of ``PATH`` alone."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}"
    return subprocess.run(
        ["/bin/sh", "-c", f"{line} 2>&1"],
        cwd=folder,
        env={"PATH": path},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        timeout=60,
    )


def names_run(output: str) -> set[str]:
    """Return the names of the tests that *output* shows one a line."""
    return set(re.findall(r"^(?:\S+\.)?(test_\w+)(?: \(\S+\))?(?: \.\.\.|$)", output, re.MULTILINE))


def test_nose_selects_checks_by_their_attribute(foo: Path) -> None:
    """``--attr=is_healthcheck`` takes functions, methods and classes that are marked."""
    result = run("nosetests -v --attr='is_healthcheck' foo", foo)

    assert result.returncode == 0, result.stdout
    assert {"test_database_answers", "test_of_class", "test_open"} == names_run(result.stdout)


def test_nose_leaves_checks_out_by_their_attribute(foo: Path) -> None:
    """``--attr=!is_healthcheck`` takes the ordinary tests."""
    result = run("nosetests -v --attr='!is_healthcheck' foo", foo)

    assert result.returncode == 0, result.stdout
    assert {"test_sum"} == names_run(result.stdout)


def test_nose2_selects_checks_by_their_attribute(foo: Path) -> None:
    """``-A is_healthcheck`` does, with nose2's own plugin ``attrib``."""
    result = run(f"{NOSE2} is_healthcheck foo.test_foo", foo)

    assert result.returncode == 0, result.stdout
    assert {"test_database_answers", "test_of_class", "test_open"} == names_run(result.stdout)


def test_nose2_leaves_checks_out_by_their_attribute(foo: Path) -> None:
    """``-A '!is_healthcheck'`` takes the ordinary tests."""
    result = run(f"{NOSE2} '!is_healthcheck' foo.test_foo", foo)

    assert result.returncode == 0, result.stdout
    assert {"test_sum"} == names_run(result.stdout)


def test_nose2_discovers_checks_in_a_folder(foo: Path) -> None:
    """``-s`` starts in a folder, and each check in it is found."""
    result = run(f"{NOSE2} is_healthcheck -s foo", foo)

    assert result.returncode == 0, result.stdout
    assert {"test_database_answers", "test_of_class", "test_open"} == names_run(result.stdout)


@pytest.mark.parametrize(
    "line",
    [
        f"nosetests --all-modules --attr='is_healthcheck' {PREDICTABLE}",
        f"nose2 --plugin nose2.plugins.attrib -A is_healthcheck {PREDICTABLE}",
        f"nose2 {PREDICTABLE}",
        f"python -m unittest {PREDICTABLE}",
    ],
)
def test_the_predictable_check_runs_everywhere(tmp_path: Path, line: str) -> None:
    """One test is run, and it holds."""
    result = run(line, tmp_path)

    assert result.returncode == 0, result.stdout
    assert "Ran 1 test in " in result.stdout
    assert result.stdout.endswith("\nOK\n")


def test_unittest_runs_checks_of_test_cases(foo: Path) -> None:
    """Plain functions are not unittest's notion; coroutines of a marked class are awaited."""
    (foo / "foo" / "test_failing.py").write_text(textwrap.dedent(FAILING))

    result = run("python -m unittest -v foo.test_foo foo.test_failing", foo)

    assert result.returncode == 1
    assert {"test_of_class", "test_open", "test_sum", "test_fails", "test_warns"} == names_run(
        result.stdout
    )
    assert "AssertionError: the coroutine was awaited" in result.stdout
    assert "HealthWarning: nearly full" in result.stdout


def test_a_loader_brings_functions_to_unittest(foo: Path) -> None:
    """``HealthCheckLoader`` gives ``unittest.TextTestRunner`` the checks, and only those."""
    (foo / "foo" / "test_failing.py").write_text(textwrap.dedent(FAILING))

    result = run(f"python {example(HOWTO / 'unittest.md', foo)} foo", foo)

    assert result.returncode == 1
    assert "Ran 6 tests in " in result.stdout
    assert "FAILED (failures=1, errors=1)" in result.stdout
    assert "OSError: the function was awaited" in result.stdout
    assert "test_sum" not in result.stdout


def test_the_loader_is_one_of_unittest() -> None:
    """It may stand wherever a ``unittest.TestLoader`` does."""
    loader = HealthCheckLoader()

    suite = loader.loadTestsFromName(PREDICTABLE)

    assert isinstance(loader, unittest.TestLoader)
    assert suite.countTestCases() == 1


def example(page: Path, folder: Path) -> Path:
    """Write the complete program that *page* shows into *folder*, and return its path."""
    (code,) = re.findall(r"```python\n(\"\"\".*?)```", page.read_text(), re.DOTALL)
    program = folder / "run_checks.py"
    program.write_text(code)
    return program


def test_a_runner_of_ones_own_runs_the_checks(foo: Path) -> None:
    """The program that docs/howto/own-runner.md shows takes what is marked."""
    result = run(f"python {example(HOWTO / 'own-runner.md', foo)} foo.test_foo", foo)

    assert result.returncode == 0, result.stdout
    assert sorted(
        [
            "ok    Whole.test_of_class",
            "ok    TestAccounts.test_open",
            "ok    test_database_answers",
        ]
    ) == sorted(result.stdout.splitlines())


def test_a_runner_of_ones_own_fails_with_a_check(foo: Path) -> None:
    """Its exit code says so, and coroutines are awaited."""
    (foo / "foo" / "test_failing.py").write_text(textwrap.dedent(FAILING))

    result = run(f"python {example(HOWTO / 'own-runner.md', foo)} foo.test_failing", foo)

    assert result.returncode == 1
    assert "FAIL  Case.test_fails: the coroutine was awaited" in result.stdout
    assert "FAIL  function: the function was awaited" in result.stdout
    assert "ok    Case.test_warns" in result.stdout


def test_a_runner_of_ones_own_is_not_green_with_nothing(foo: Path) -> None:
    """Nothing collected is never a pass."""
    (foo / "empty.py").touch()

    result = run(f"python {example(HOWTO / 'own-runner.md', foo)} empty", foo)

    assert result.returncode == 1
    assert result.stdout == "nothing held in empty\n"


def transcripts() -> list[tuple[str, str, str]]:
    """Return page, command line and output of each transcript that shows an output."""
    return [
        (page.name, *block.split("\n", 1))
        for page in sorted(HOWTO.glob("*.md"))
        if page.name in {"nose.md", "pytest.md", "unittest.md"}
        for block in re.findall(r"(?s)```console\n\$ (.*?)```", page.read_text())
        if block.count("\n") > 1
    ]


@pytest.mark.parametrize(("page", "line", "output"), transcripts())
def test_the_pages_show_what_is_printed(tmp_path: Path, page: str, line: str, output: str) -> None:
    """All but times, versions, folders and the width of rules."""
    (tmp_path / "foo").mkdir()
    for code in re.findall(r"(?s)```python\n(.*?)```", (HOWTO / page).read_text()):
        (tmp_path / "foo" / "test_foo.py").write_text(code)

    result = run(line, tmp_path)

    assert masked(output) == masked(result.stdout)


def masked(text: str) -> list[str]:
    """Return the lines of *text* without what differs from machine to machine."""
    text = re.sub(r"\bin \d+\.\d+s", "in <time>", text)
    text = re.sub(r"(?m)^(rootdir:|hypothesis profile|platform|plugins:) .*\n", "", text)
    text = re.sub(r"(?m)^=+ (.*?) =+$", r"= \1 =", text)
    return re.sub(r"  +\[100%\]", "", text).splitlines()
