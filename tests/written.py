"""Write modules of checks into a folder, and load them."""

import textwrap

import pytest

from hospital.loading import Loaded, load

Files = dict[str, str]


def write(here: pytest.Pytester, files: Files) -> None:
    """Write *files* into the current folder."""
    for name, source in files.items():
        path = here.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(source))


def loaded_of(here: pytest.Pytester, source: str, *names: str) -> Loaded:
    """Return what is loaded of a module ``mod`` with *source*."""
    write(here, {"mod.py": "import unittest, hospital\n" + textwrap.dedent(source)})
    return load(names or ["mod"])


def ids(loaded: Loaded) -> list[str]:
    """Return the ids that were found, and check that nothing else was."""
    assert loaded.problems == []
    return list(loaded.entries)
