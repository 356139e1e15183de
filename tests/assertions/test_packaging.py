"""Rules of the assertions about installed distributions."""

import sys
from collections.abc import Callable
from importlib.metadata import Distribution, PathDistribution
from pathlib import Path
from typing import Any

import pytest

from hospital import assert_supported_python_version
from hospital.assertions.packaging import assert_installed_requirements
from hospital.errors import SettingError

Install = Callable[..., Distribution]
RUNNING = f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Return a function that installs a distribution of given metadata, for one test."""
    monkeypatch.syspath_prepend(tmp_path)

    def installed(*lines: str, name: str = "Shop_Front", version: str = "1.2") -> Distribution:
        folder = tmp_path / f"{name}-{version}.dist-info"
        folder.mkdir()
        head = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
        (folder / "METADATA").write_text("\n".join([*head, *lines, ""]))
        return PathDistribution(folder)

    return installed


def python(version: str) -> str:
    return f"Classifier: Programming Language :: Python :: {version}"


@pytest.mark.parametrize(
    ("lines", "version"),
    [
        (["Requires-Python: >=3.11"], None),
        (["Requires-Python: >=3.11"], "3.12"),
        (["Requires-Python: >=3.11"], (3, 12)),
        (["Requires-Python: >=3.11"], (3, 11, 4)),
        (["Requires-Python: >=3.11"], sys.version_info),
        (["Requires-Python: >=3.9.2,!=3.9.7"], "3.9"),
        (["Requires-Python: ~=3.9"], "3.13"),
        ([python("3.12"), python("3"), "Classifier: Typing :: Typed"], "3.12.4"),
        (["Requires-Python: >=3.8", python("3.12")], "3.12"),
        (["Requires-Python: >=3.8", python("2")], "3.12"),
        ([python("3"), python("3 :: Only")], "3.12"),
        ([python("3 :: Only")], "3.12"),
        ([python(RUNNING)], None),
    ],
)
def test_a_declared_version_passes(install: Install, lines: list[str], version: Any) -> None:
    """Each declaration that is there has to agree; two numbers stand for the series."""
    assert_supported_python_version(install(*lines), version)
    assert_supported_python_version("shop-front", version)


@pytest.mark.parametrize(
    ("lines", "version", "found"),
    [
        (["Requires-Python: <3"], "3.12", "requires Python <3"),
        (["Requires-Python: >=3.9.2"], "3.9.1", "requires Python >=3.9.2"),
        (["Requires-Python: >=3.8,<3.12"], "3.12", "requires Python >=3.8,<3.12"),
        ([python("3.10"), python("3.11")], "3.12", "lists Python 3.10, 3.11 in its classifiers"),
        (["Requires-Python: >=3", python("3.1")], "3.12", "lists Python 3.1 in its classifiers"),
        ([python("2"), python("2 :: Only")], "3.12", "lists Python 2, 2 in its classifiers"),
        (["Requires-Python: three"], "3.12", "a Requires-Python that cannot be read, 'three'"),
        ([], "3.12", "declares no Python, neither by Requires-Python nor by classifiers"),
        ([python("Implementation :: CPython")], "3.12", "declares no Python"),
    ],
)
def test_another_version_fails(
    install: Install, lines: list[str], version: str, found: str
) -> None:
    """The message says what is declared, and what was expected."""
    install(*lines)

    with pytest.raises(AssertionError) as caught:
        assert_supported_python_version("Shop_Front", version, "sorry")

    message = str(caught.value)
    assert message.startswith("Shop_Front 1.2 ")
    assert found in message
    assert message.endswith(f"; expected it to support Python {version} : sorry")


def test_a_distribution_that_is_not_installed_fails(install: Install) -> None:
    """With the nearest name that is."""
    install()

    with pytest.raises(AssertionError) as caught:
        assert_supported_python_version("shopfront", "3.12")

    wanted = "distribution 'shopfront' is not installed (did you mean 'Shop_Front'?)"
    assert f"{wanted}; expected it to support Python 3.12" == str(caught.value)


def test_leftovers_of_an_installation_do_no_harm(install: Install, tmp_path: Path) -> None:
    """A folder without metadata is passed over when the nearest name is looked for."""
    install()
    (tmp_path / "broken-1.0.dist-info").mkdir()
    (tmp_path / "nameless-1.0.dist-info").mkdir()
    (tmp_path / "nameless-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\n")

    with pytest.raises(AssertionError, match="is not installed"):
        assert_supported_python_version("something-else-altogether")


@pytest.mark.parametrize(
    "version", ["3", "3.x", "", "three", "3.12rc1", (3,), (3, "12"), (True, 1), 3.12, 312, [3, 12]]
)
def test_an_unusable_version_is_an_error(version: Any) -> None:
    """A mistake of the caller is no failed assertion: SettingError, which is a ValueError."""
    with pytest.raises(SettingError, match="version is no version of Python"):
        assert_supported_python_version("packaging", version)


@pytest.mark.parametrize("distribution", ["", " ", None, 5])
def test_an_unusable_distribution_is_an_error(distribution: Any) -> None:
    """So is what names no distribution."""
    with pytest.raises(SettingError, match="distribution is no name of one"):
        assert_supported_python_version(distribution)
    with pytest.raises(SettingError, match="distribution is no name of one"):
        assert_installed_requirements(distribution)


def test_installed_requirements_pass(install: Install) -> None:
    """In range, with markers evaluated and extras left out."""
    install(name="till", version="2.0rc1")

    assert_installed_requirements(
        install(
            "Requires-Dist: till>=1.5",
            "Requires-Dist: TILL[drawer]",
            "Requires-Dist: never-heard-of; python_version < '3'",
            "Requires-Dist: never-heard-of-either; extra == 'all'",
            "Requires-Dist: nor-of-this; extra == 'all' and python_version > '3'",
        )
    )
    assert_installed_requirements("till")


def test_missing_requirements_fail_all_together(install: Install) -> None:
    """One message for all that is wrong, with what was required and what is there."""
    install(name="till", version="2.0")
    install(name="odd", version="of-today")
    install(
        "Requires-Dist: till<2",
        "Requires-Dist: drawer>=1; python_version > '3'",
        "Requires-Dist: odd",
        "Requires-Dist: ???",
    )

    with pytest.raises(AssertionError) as caught:
        assert_installed_requirements("shop-front", "call the shop")

    assert (
        "Shop_Front 1.2 requires what is not there: till<2, but 2.0 is installed; "
        "drawer>=1 is not installed; odd is installed without a version that can be read; "
        "'???' cannot be read : call the shop"
    ) == str(caught.value)


def test_requirements_of_what_is_not_installed_fail() -> None:
    """There is nothing to look at."""
    with pytest.raises(AssertionError, match="'never-heard-of' is not installed"):
        assert_installed_requirements("never-heard-of")


def test_this_project_is_installed_as_it_says() -> None:
    """Where hospital itself is installed, it supports this Python and has what it requires."""
    assert_supported_python_version("hospital")
    assert_installed_requirements("hospital")
