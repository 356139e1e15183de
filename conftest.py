"""What every run of pytest in this checkout does.

The examples in the documentation and in docstrings are tests; on CI a skipped test fails.
"""

import os
import tempfile
from collections.abc import Generator
from contextlib import chdir
from typing import Any, TypeVar

import pytest
from sybil import Sybil
from sybil.document import PythonDocStringDocument
from sybil.parsers.markdown import PythonCodeBlockParser
from sybil.parsers.rest import DocTestParser

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)

_PLACE = "_place"
"""Where a page's namespace keeps the folder in which its examples run."""


def _enter_folder(namespace: dict[str, Any]) -> None:
    """Let the examples of a page run in an empty folder."""
    folder = tempfile.TemporaryDirectory()
    here = chdir(folder.name)
    here.__enter__()
    namespace[_PLACE] = folder, here


def _leave_folder(namespace: dict[str, Any]) -> None:
    folder, here = namespace.pop(_PLACE)
    here.__exit__(None, None, None)
    folder.cleanup()


# Two stars are one level deep for Sybil: a level is a pattern.
PAGES = ["README.md", "docs/*.md", "docs/*/*.md"]
MODULES = ["hospital/*.py", "hospital/*/*.py", "hospital/*/*/*.py", "hospital/*/*/*/*.py"]

_PAGES = Sybil(
    parsers=[PythonCodeBlockParser()],
    patterns=PAGES,
    setup=_enter_folder,
    teardown=_leave_folder,
)
_DOCSTRINGS = Sybil(
    parsers=[DocTestParser()],
    patterns=MODULES,
    document_types={".py": PythonDocStringDocument},
)
pytest_collect_file = (_PAGES + _DOCSTRINGS).pytest()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a test that skips on CI."""
    return _without_skips((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Fail a module that skips itself on CI."""
    return _without_skips((yield))


def _without_skips(report: Report) -> Report:
    """Return *report*, a skip as a failure where ``CI=true`` says that everything is installed."""
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("CI") == "true":
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"skipped, which CI does not allow: {reason}"
    return report
