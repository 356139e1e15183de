"""Run one check, and turn whatever it does into an Outcome.

Rule: a check may raise anything, BaseException included; nothing of it gets past here.
"""

import os
import time
import unittest
from dataclasses import replace
from types import FunctionType, TracebackType
from typing import Any

from hospital.entries import Entry, settle
from hospital.marking import Notes, taking_notes
from hospital.model import Measurement, Outcome, Status
from hospital.ranges import parse_range
from hospital.redaction import clean, clean_line, to_text
from hospital.running.meaning import Found, found_in
from hospital.running.output import OnOutput, printing_as

_WORST_FIRST = (
    Status.ERROR,
    Status.FAIL,
    Status.UNEXPECTED_SUCCESS,
    Status.SKIP,
    Status.EXPECTED_FAILURE,
)
LONGEST_TRACE = 2000
_UNEXPECTED = "passed, though it is marked as an expected failure"

_monotonic = time.monotonic  # a check may replace that of the module


def run_one(entry: Entry, on_output: OnOutput) -> Outcome:
    """Run one check and return its outcome; does not return in a process that the check forked."""
    pid = os.getpid()
    began, began_at = _monotonic(), time.time()
    with taking_notes() as notes, printing_as(entry.check.id, on_output):
        found = _found(entry)
        if os.getpid() != pid:
            os._exit(0)  # a child that came back from the check's own fork has nothing to say
    duration_s = _monotonic() - began
    notes.measurements = {name: _fit(each) for name, each in notes.measurements.items()}
    status, reason, frames = _judged(found, notes)
    return Outcome.of(
        entry.check,
        status,
        clean(reason),
        trace=clean(frames, LONGEST_TRACE),
        time=began_at,
        duration_s=duration_s,
        measurements=tuple(notes.measurements.values()),
    )


def _found(entry: Entry) -> list[Found]:
    try:
        if entry.make is None:
            return _run_function(entry.function)
        result = _Result()
        entry.make()(result)
    except BaseException as error:  # noqa: BLE001 - the rule of this module
        return [found_in(error)]
    return result.found


def _run_function(function: Any) -> list[Found]:
    expected = getattr(function, "__unittest_expecting_failure__", False)
    needed = _arguments_needed(function)
    if needed:
        reason = f"takes arguments ({needed}), but a check is called without any; give it defaults"
        return [(Status.ERROR, reason, "")]
    forget = getattr(function, "cache_clear", None)
    if forget is not None:
        forget()  # what functools.cache kept is no result of this run
    try:
        settle(function())
    except BaseException as error:  # noqa: BLE001 - the rule of this module
        found = found_in(error)
        if expected and found[0] in {Status.FAIL, Status.ERROR}:
            return [(Status.EXPECTED_FAILURE, found[1], "")]
        return [found]
    return [(Status.UNEXPECTED_SUCCESS, _UNEXPECTED, "")] if expected else []


def _arguments_needed(function: Any) -> str:
    """Return the names of the arguments without which *function* cannot be called."""
    if isinstance(function, FunctionType):
        code, given = function.__code__, len(function.__defaults__ or ())
        names = list(code.co_varnames[: code.co_argcount - given])
        by_keyword = code.co_varnames[code.co_argcount :][: code.co_kwonlyargcount]
        names += [name for name in by_keyword if name not in (function.__kwdefaults__ or {})]
        return ", ".join(names)
    import inspect

    try:
        signature = inspect.Signature.from_callable(function, follow_wrapped=False)
    except (TypeError, ValueError):
        return ""  # it does not say; the call will
    free = {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}
    needed = [each for each in signature.parameters.values() if each.kind not in free]
    return ", ".join(each.name for each in needed if each.default is each.empty)


def _judged(found: list[Found], notes: Notes) -> Found:
    """Return one status for all that was found and said; the worst counts."""
    found = [*found, *_out_of_range(notes)]
    warned = [*notes.warnings, *(f[1] for f in found if f[0] is Status.WARN)]
    for status in _WORST_FIRST:
        reasons = [each for each in found if each[0] is status]
        if reasons:
            lines = [each[1] for each in reasons]
            if status is Status.ERROR:
                lines += [each[1] for each in found if each[0] is Status.FAIL]
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
            where = parse_range(limit).where(each.value)
            reason = f"{each.name} is {each.value:.4g}{unit}, {where}"
            found.append((each.status, reason, ""))
        else:
            reason = f"{each.name} is not a number, so it cannot be held against {limit}"
            found.append((Status.ERROR, reason, ""))
    return found


def _fit(measurement: Measurement) -> Measurement:
    """Return *measurement* with texts that can be shown and a number that can be written."""
    value: float = measurement.value
    try:
        number = float(value)
    except OverflowError:
        value = float("inf") if value > 0 else float("-inf")
    else:
        if type(value) is not int or number - number != 0:
            value = number
    return replace(
        measurement,
        name=clean_line(measurement.name, 100),
        value=value,
        unit=clean_line(to_text(measurement.unit), 20),
        warn=clean_line(measurement.warn, 40),
        fail=clean_line(measurement.fail, 40),
    )


class _Result(unittest.TestResult):
    """Keeps what a test case reports as found, and nothing on the screen."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[Found] = []

    def _note(self, found: Found) -> None:
        self.found.append(found)

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:  # noqa: N802 - unittest's name
        """Note a skip."""
        self.skipped.append((test, reason))
        self._note((Status.SKIP, to_text(reason) or "skipped", ""))

    def addError(self, test: unittest.TestCase, err: "_ExcInfo") -> None:  # noqa: N802 - unittest's name
        """Note what was raised."""
        found = found_in(err[1] or RuntimeError("unittest lost the exception"))
        self.errors.append((test, found[1]))
        self._note(found)

    def addFailure(self, test: unittest.TestCase, err: "_ExcInfo") -> None:  # noqa: N802 - unittest's name
        """Note a failure."""
        found = found_in(err[1] or AssertionError())
        self.failures.append((test, found[1]))
        self._note(found)

    def addSubTest(  # noqa: N802 - unittest's name
        self, test: unittest.TestCase, subtest: Any, err: "_ExcInfo | None"
    ) -> None:
        """Note what was raised in a subtest, with the subtest's parameters."""
        if err is None or err[1] is None:
            return
        status, reason, frames = found_in(err[1])
        reason = f"{to_text(subtest._subDescription())} {reason}"  # noqa: SLF001 - its only text
        (self.failures if status is Status.FAIL else self.errors).append((test, reason))
        self._note((status, reason, frames))

    def addExpectedFailure(self, test: unittest.TestCase, err: "_ExcInfo") -> None:  # noqa: N802 - unittest's name
        """Note an expected failure."""
        reason = found_in(err[1])[1] if err[1] else ""
        self.expectedFailures.append((test, reason))
        self._note((Status.EXPECTED_FAILURE, reason, ""))

    def addUnexpectedSuccess(self, test: unittest.TestCase) -> None:  # noqa: N802 - unittest's name
        """Note an unexpected success."""
        self.unexpectedSuccesses.append(test)
        self._note((Status.UNEXPECTED_SUCCESS, _UNEXPECTED, ""))


_ExcInfo = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]
