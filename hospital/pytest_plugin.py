"""The pytest plugin: health checks are marked, coroutines are awaited, soft failures warn.

Rule: this module is loaded in every pytest run of everybody who has hospital installed. It
imports nothing but pytest; what marks checks is looked up once it is there, and as long as nobody
has imported it there is no check either.
"""

import inspect
import sys
from collections.abc import Generator, Iterator
from typing import TypeGuard

import pytest

_MARKING = "hospital.marking"
_MARKER = "healthcheck"
_ABOUT_MARKER = "healthcheck: a health check; whatever hospital.healthcheck marks has this marker."


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, for ``--markers`` and ``--strict-markers``."""
    config.addinivalue_line("markers", _ABOUT_MARKER)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark the item if its function, method or class is a health check."""
    if _is_check(item):
        item.add_marker(_MARKER)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Collect marked methods of a TestCase whatever their name, as hospital's own loader does."""
    report = yield
    if isinstance(collector, pytest.Class) and report.passed and _MARKING in sys.modules:
        report.result.extend(_oddly_named_checks(collector, {node.name for node in report.result}))
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    """Let a plain TestCase await its coroutine: unittest would call it and pass, unrun."""
    if _is_check(item) and _is_plain_testcase(item.cls):
        _await_coroutine(item)


def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> None:
    """Let a coroutine run under a loop of its own, unless another plugin has taken it already.

    anyio and pytest-asyncio come first, pytest's own call comes last.
    """
    if _is_check(pyfuncitem):
        _await_coroutine(pyfuncitem)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn what failed into a warning, where the check is of ``severity="warning"``."""
    report = yield
    if report.failed and _is_soft(item) and _has_failed(call) and _is_warned_of(item, report):
        report.outcome = "passed"
        report.longrepr = None
        if report.when == "setup":
            # pytest would go on to call it, without what could not be set up
            item.runtest = _nothing  # type: ignore[method-assign]
    return report


def _is_check(item: pytest.Item) -> TypeGuard[pytest.Function]:
    marking = sys.modules.get(_MARKING)
    if marking is None or not isinstance(item, pytest.Function):
        return False
    return any(marking.is_healthcheck(obj) for obj in (item.obj, item.cls))


def _oddly_named_checks(collector: pytest.Class, known: set[str]) -> Iterator[pytest.Item]:
    import unittest

    case = collector.obj
    if not issubclass(case, unittest.TestCase) or getattr(case, "__test__", True) is False:
        return
    from _pytest.unittest import TestCaseFunction

    from hospital.marking import is_healthcheck

    for name in dir(case):
        if name not in known and is_healthcheck(inspect.getattr_static(case, name, None)):
            yield TestCaseFunction.from_parent(collector, name=name)


def _is_soft(item: pytest.Item) -> TypeGuard[pytest.Function]:
    if not _is_check(item):
        return False
    from hospital.marking import options_of

    return options_of(item.obj).over(options_of(item.cls)).severity == "warning"


def _has_failed(call: pytest.CallInfo[None]) -> bool:
    """Tell a failure from an unexpected success, which is no failure and stays what it is."""
    if call.excinfo is None:
        return False
    error = call.excinfo.value
    return not (
        isinstance(error, pytest.fail.Exception) and str(error).startswith("Unexpected success")
    )


def _is_warned_of(item: pytest.Function, report: pytest.TestReport) -> bool:
    """Return whether the warning could be given; it is raised where the user wants errors."""
    import warnings

    from hospital.marking import HealthWarning
    from hospital.redaction import clean

    crash = getattr(report.longrepr, "reprcrash", None)
    path, line, _ = item.reportinfo()
    try:
        warnings.warn_explicit(
            HealthWarning(clean(str(report.longrepr if crash is None else crash.message))),
            HealthWarning,
            filename=str(path),
            lineno=(line or 0) + 1,
            module=item.module.__name__,
        )
    except HealthWarning:
        return False
    return True


def _await_coroutine(item: pytest.Function) -> None:
    if inspect.iscoroutinefunction(item.obj):
        from hospital.marking import awaiting

        item.obj = awaiting(item.obj)


def _is_plain_testcase(case: type | None) -> bool:
    import unittest

    from hospital.marking import manages_own_loop

    return case is not None and issubclass(case, unittest.TestCase) and not manages_own_loop(case)


def _nothing() -> None:
    """Stand in for a check that could not be set up."""
