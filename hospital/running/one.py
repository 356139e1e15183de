"""Run one check, and turn whatever it does into an Outcome.

Rule: a check may raise anything, BaseException included; nothing of it gets past here.
"""

import os
import time
import unittest
from collections.abc import Callable
from types import TracebackType
from typing import Any

from hospital.loading import Entry
from hospital.marking import Notes, awaiting, taking_notes
from hospital.model import Outcome, Status
from hospital.redaction import clean, to_text
from hospital.running.output import OnOutput, printing_as
from hospital.running.places import frames_of, innermost, shown, source_line, trace

Found = tuple[Status, str, str]
"""Status, reason, trace."""

_WORST_FIRST = (
    Status.ERROR,
    Status.FAIL,
    Status.UNEXPECTED_SUCCESS,
    Status.SKIP,
    Status.EXPECTED_FAILURE,
)
_LONGEST_TRACE = 2000


def run_one(entry: Entry, on_output: OnOutput) -> Outcome:
    """Run one check and return its outcome; does not return in a process that the check forked."""
    pid = os.getpid()
    began, began_at = time.monotonic(), time.time()
    with taking_notes() as notes, printing_as(entry.check.id, on_output):
        found = _found(entry)
        if os.getpid() != pid:
            os._exit(0)  # a child that came back from the check's own fork has nothing to say
        status, reason, frames = _judged(found, notes)
    return Outcome.of(
        entry.check,
        status,
        clean(reason),
        trace=clean(frames, _LONGEST_TRACE),
        time=began_at,
        duration_s=time.monotonic() - began,
        measurements=tuple(notes.measurements.values()),
    )


def found_in(error: BaseException) -> Found:
    """Return what *error*, raised by a check or a fixture, means."""
    if isinstance(error, unittest.SkipTest) or _is_pytest(error, "Skipped"):
        return Status.SKIP, to_text(error) or "skipped", ""
    if _is_pytest(error, "XFailed"):
        return Status.EXPECTED_FAILURE, to_text(error), ""
    frames = frames_of(error.__traceback__)
    frame = innermost([each for each in frames if each[0] != __file__])
    where = f" ({shown(frame)})" if frame else ""
    text = to_text(error)
    if isinstance(error, AssertionError) or _is_pytest(error, "Failed"):
        status = Status.FAIL
        text = text or (source_line(frame) if frame else "") or "assertion failed"
    else:
        status = Status.ERROR
        text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    head, newline, rest = text.partition("\n")
    return status, f"{head}{where}{newline}{rest}", trace(frames)


def _is_pytest(error: BaseException, name: str) -> bool:
    kind = type(error)
    return kind.__module__ == "_pytest.outcomes" and kind.__name__ in {name, "Exception" + name}


def _found(entry: Entry) -> list[Found]:
    try:
        if entry.make is None:
            return _run_function(entry.function)
        result = _Result()
        entry.make().run(result)  # type: ignore[arg-type]  # it needs no more of a TestResult
    except BaseException as error:  # noqa: BLE001 - the rule of this module
        return [found_in(error)]
    return result.found


def _run_function(function: Any) -> list[Found]:
    expected = getattr(function, "__unittest_expecting_failure__", False)
    needed = _arguments_needed(function)
    if needed:
        return [(Status.ERROR, f"takes arguments ({needed}); a check is called without any", "")]
    try:
        returned = function()
        if hasattr(returned, "__await__"):
            awaiting(lambda: returned)()
        elif returned is False:
            reason = "returned False; a check fails by raising, as assert does"
            return [(Status.ERROR, reason, "")]
    except BaseException as error:  # noqa: BLE001 - the rule of this module
        found = found_in(error)
        if expected and found[0] in {Status.FAIL, Status.ERROR}:
            return [(Status.EXPECTED_FAILURE, found[1], "")]
        return [found]
    return [(Status.UNEXPECTED_SUCCESS, _UNEXPECTED, "")] if expected else []


_UNEXPECTED = "passed, though it is marked as an expected failure"


def _arguments_needed(function: Any) -> str:
    code = getattr(function, "__code__", None)
    if code is None or hasattr(function, "__wrapped__"):
        return ""
    count = code.co_argcount - len(function.__defaults__ or ())
    return ", ".join(code.co_varnames[:count])


def _judged(found: list[Found], notes: Notes) -> Found:
    """Return one status for all that was found and said; the worst counts."""
    found = [*found, *_out_of_range(notes)]
    warned = [*notes.warnings, *(f[1] for f in found if f[0] is Status.WARN)]
    for status in _WORST_FIRST:
        reasons = [each for each in found if each[0] is status]
        if reasons:
            lines = [each[1] for each in reasons]
            lines += [f"warning: {to_text(text)}" for text in warned]
            return status, "\n".join(lines), next((f[2] for f in reasons if f[2]), "")
    if warned:
        return Status.WARN, "\n".join(map(to_text, warned)), ""
    return Status.PASS, "", ""


def _out_of_range(notes: Notes) -> list[Found]:
    found: list[Found] = []
    for each in notes.measurements.values():
        if each.status is Status.PASS:
            continue
        limit = each.fail if each.status is Status.FAIL else each.warn
        unit = "" if each.unit in {"", "1"} else f" {each.unit}"
        if each.value == each.value:
            reason = f"{each.name} is {each.value:.4g}{unit}, outside of {limit}"
            found.append((each.status, reason, ""))
        else:
            reason = f"{each.name} is not a number, so it cannot be held against {limit}"
            found.append((Status.ERROR, reason, ""))
    return found


class _Result:
    """As much of a ``unittest.TestResult`` as a test case needs, keeping errors as found."""

    failfast = False
    shouldStop = False  # noqa: N815 - unittest's name

    def __init__(self) -> None:
        self.found: list[Found] = []

    def _skip(self, _test: object, reason: str) -> None:
        self.found.append((Status.SKIP, reason, ""))

    def _error(self, _test: object, info: "_ExcInfo") -> None:
        self.found.append(found_in(info[1]))

    def _subtest(self, _test: object, subtest: Any, info: "_ExcInfo | None") -> None:
        if info is not None:
            status, reason, frames = found_in(info[1])
            self.found.append((status, f"{subtest._subDescription()} {reason}", frames))  # noqa: SLF001 - its only text

    def _expected(self, _test: object, info: "_ExcInfo") -> None:
        self.found.append((Status.EXPECTED_FAILURE, found_in(info[1])[1], ""))

    def _unexpected(self, _test: object) -> None:
        self.found.append((Status.UNEXPECTED_SUCCESS, _UNEXPECTED, ""))

    def _nothing(self, *_args: object) -> None:
        pass

    startTest = stopTest = addSuccess = addDuration = _nothing  # noqa: N815 - unittest's names
    addSkip, addSubTest = _skip, _subtest  # noqa: N815 - unittest's names
    addError = addFailure = _error  # noqa: N815 - unittest's names
    addExpectedFailure, addUnexpectedSuccess = _expected, _unexpected  # noqa: N815 - unittest's names


_ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]
Run = Callable[[Entry, OnOutput], Outcome]
