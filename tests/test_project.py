"""What holds for the whole project, whoever changes which part of it."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import hospital

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "hospital").rglob("*.py"))
KINDS = {".cfg", ".ini", ".md", ".py", ".sh", ".text", ".toml", ".txt", ".json", ""}
OF_THIS_MACHINE = {str(ROOT), str(Path.home()), sys.prefix, sys.base_prefix} - {"/", "/usr"}
MACHINE = re.compile(rf"(?<![\w.])(?:{'|'.join(map(re.escape, OF_THIS_MACHINE))}|/root)/")
UNFINISHED = re.compile(r"\b(?:TODO|FIXME|XXX|HACK)\b")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def files() -> Iterator[Path]:
    """Yield the files that belong to the project, without what tools leave behind."""
    left_behind = re.compile(
        r"/(?:\.git|\.venv[^/]*|\.\w+_cache|\.hypothesis|__pycache__|dist|deploy/var)/"
    )
    for path in sorted(ROOT.rglob("*")):
        inside = f"/{path.relative_to(ROOT)}"
        if path.is_file() and path.suffix in KINDS and not left_behind.search(inside):
            yield path


def lines_with(pattern: re.Pattern[str]) -> list[str]:
    """Return where in the project a line holds *pattern*; this file itself is left out."""
    return [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in files()
        if path != Path(__file__)
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if pattern.search(line)
    ]


def test_no_path_of_a_machine_stands_in_a_file() -> None:
    """What works on one machine alone works on none."""
    assert [] == lines_with(MACHINE)


def test_nothing_is_left_unfinished() -> None:
    """What is not done yet is an issue, not a remark in the source."""
    assert [] == lines_with(UNFINISHED)


def test_no_assert_stands_in_the_package() -> None:
    """``python -O`` takes asserts away, and with them what they guard."""
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Assert)
    ]

    assert [] == found


def test_every_module_says_what_it_is_for() -> None:
    """The first thing in a file of the package is a docstring."""
    silent = [
        str(path.relative_to(ROOT))
        for path in SOURCES
        if not ast.get_docstring(ast.parse(path.read_text()))
    ]

    assert [] == silent


def test_every_test_says_its_rule() -> None:
    """A test's name is a sentence, and its docstring the rule behind it."""
    silent = [
        f"{path.relative_to(ROOT)}: {node.name}"
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
        if not ast.get_docstring(node)
    ]

    assert [] == silent


def test_the_versions_agree() -> None:
    """The wheel's version is the one that the package says."""
    assert PROJECT["project"]["version"] == hospital.__version__


def test_the_changelog_knows_the_version() -> None:
    """Its first heading is the release that is being made."""
    headings = re.findall(r"(?m)^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text())

    assert headings[0] in {"Unreleased", hospital.__version__}


def test_types_are_shipped() -> None:
    """``py.typed`` tells type checkers that the annotations are meant."""
    assert (ROOT / "hospital" / "py.typed").is_file()


def test_every_dependency_is_pinned() -> None:
    """constraints.txt has a version for whatever pyproject.toml asks for, exactly one."""
    pins = re.findall(r"(?m)^([\w.-]+)==\S+$", (ROOT / "constraints.txt").read_text())
    pinned = [normal(name) for name in pins]
    groups = PROJECT["dependency-groups"].values()
    wanted = [*PROJECT["project"]["dependencies"], *PROJECT["build-system"]["requires"]]
    wanted += [each for group in groups for each in group if isinstance(each, str)]
    names = {normal(re.split(r"[<>=!~;\[ ]", each)[0]) for each in wanted}

    assert set() == names - set(pinned)
    assert sorted(set(pinned)) == sorted(pinned)


def normal(name: str) -> str:
    """Return the name of a distribution as the index of packages compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize(
    "target",
    ["run", "test", "lint", "bench", "faults", "soak", "dist", "constraints", "clean"],
)
def test_make_knows(target: str) -> None:
    """The targets that the documentation names are there, whatever lies in the folder."""
    make = shutil.which("make")
    if make is None:
        pytest.skip("make is missing; enable this test with: apt-get install make")

    result = subprocess.run(
        [make, "--dry-run", "--always-make", target],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )

    assert 0 == result.returncode, result.stderr
    assert re.search(rf"(?m)^\.PHONY:.*\b{target}\b", (ROOT / "Makefile").read_text())


@pytest.mark.parametrize("script", ["run", "pythons", "constraints"])
def test_ci_can_be_run(script: str) -> None:
    """The scripts are executable, and stop at the first failure."""
    path = ROOT / ".ci" / script

    assert os.access(path, os.X_OK)
    assert "set -euo pipefail" in path.read_text()


def test_ci_runs_the_two_commands_of_the_readme() -> None:
    """What people are told to run is what CI runs."""
    script = (ROOT / ".ci" / "run").read_text()

    assert "make test" in script
    assert "make lint" in script


@pytest.mark.parametrize(("ci", "code"), [("true", 1), ("false", 0)])
def test_a_skip_is_a_failure_on_ci(tmp_path: Path, ci: str, code: int) -> None:
    """A test that nobody runs proves nothing; elsewhere it is told and no more."""
    shutil.copy(ROOT / "conftest.py", tmp_path)
    source = "import pytest\ndef test_it():\n    pytest.skip('no such program')\n"
    (tmp_path / "test_it.py").write_text(source)

    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-rs", "-p", "no:cacheprovider", "test_it.py"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "CI": ci},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert code == result.returncode, result.stdout + result.stderr
    assert "no such program" in result.stdout


def test_every_page_and_module_is_looked_through_for_examples(
    request: pytest.FixtureRequest,
) -> None:
    """The patterns of conftest.py reach each of them, however deep it lies."""
    plugins = (
        str(getattr(each, "__file__", "")) for each in request.config.pluginmanager.get_plugins()
    )
    assert str(ROOT / "conftest.py") in plugins
    source = (ROOT / "conftest.py").read_text()
    patterns = re.findall(r'"((?:docs|hospital|README)[^"]*\.(?:md|py))"', source)

    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    missed = [
        str(path.relative_to(ROOT))
        for path in [*pages, *SOURCES]
        if not any(path.relative_to(ROOT).match(pattern) for pattern in patterns)
    ]

    assert [] == missed
