"""Say what an exception that a check raised means: a status, a reason, a trace."""

import unittest
from collections.abc import Iterator

from hospital.errors import HospitalError
from hospital.model import Status
from hospital.redaction import clean_line, to_text
from hospital.running.places import (
    Frame,
    frames_of,
    innermost,
    is_ours,
    shown,
    source_line,
    trace,
)

Found = tuple[Status, str, str]
"""Status, reason, trace."""

_LONGEST_TEXT = 65_536
_MOST_INNER = 10
_MOST_CAUSES = 3
_LONGEST_CAUSE = 400
_TELLING = 12  # characters; a shorter text may stand anywhere by chance


def found_in(error: BaseException) -> Found:
    """Return what *error*, raised by a check or a fixture, means."""
    status = _status_of(error)
    if status in {Status.SKIP, Status.EXPECTED_FAILURE}:
        return status, _text(_leaf(error)) or "skipped", ""
    frames = _frames(error)
    frame = _place(frames)
    reason = _described(error, frame)
    lines = [*_inner(error), *_causes(error, reason)]
    return status, "\n".join([reason, *lines]), trace(frames) if frame else ""


def _status_of(error: BaseException) -> Status:
    leaves = list(_leaves(error))
    if all(isinstance(e, unittest.SkipTest) or is_pytest(e, "Skipped") for e in leaves):
        return Status.SKIP
    if all(is_pytest(each, "XFailed") for each in leaves):
        return Status.EXPECTED_FAILURE
    if all(isinstance(e, AssertionError) or is_pytest(e, "Failed") for e in leaves):
        return Status.FAIL
    return Status.ERROR


def _described(error: BaseException, frame: Frame | None) -> str:
    """Return type, text and place of *error*, the place at the end of the first line."""
    text = _text(error)
    if isinstance(error, AssertionError) or is_pytest(error, "Failed"):
        text = text or (source_line(frame) if frame else "") or "assertion failed"
    elif not isinstance(error, HospitalError):
        text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    head, newline, rest = text.partition("\n")
    where = f" ({shown(frame)})" if frame else ""
    return f"{head}{where}{newline}{rest}"


def _inner(error: BaseException) -> Iterator[str]:
    """Yield a line for each exception in a group."""
    if not isinstance(error, BaseExceptionGroup):
        return
    leaves = list(_leaves(error))
    for leaf in leaves[:_MOST_INNER]:
        yield "- " + clean_line(_described(leaf, _place(_frames(leaf))), _LONGEST_CAUSE)
    if len(leaves) > _MOST_INNER:
        yield f"- … and {len(leaves) - _MOST_INNER} more"


def _causes(error: BaseException, said: str) -> Iterator[str]:
    """Yield a line for what *error* was raised from, and that from, unless *said* tells it."""
    seen = {id(error)}
    for _count in range(_MOST_CAUSES):
        cause = error.__cause__
        word = "caused by"
        if cause is None and not error.__suppress_context__:
            cause, word = error.__context__, "while handling"
        if cause is None or id(cause) in seen or isinstance(cause, GeneratorExit):
            return
        seen.add(id(cause))
        error = cause
        text = _text(cause)
        if len(text) >= _TELLING and text in said:
            continue
        line = clean_line(_described(cause, _place(_frames(cause))), _LONGEST_CAUSE)
        said += line
        yield f"{word} {line}"


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _leaves(each)
    else:
        yield error


def _leaf(error: BaseException) -> BaseException:
    return next(_leaves(error))


def _frames(error: BaseException) -> list[Frame]:
    return [frame for frame in frames_of(error.__traceback__) if frame[0] != __file__]


def _place(frames: list[Frame]) -> Frame | None:
    frame = innermost(frames)
    return None if frame is None or is_ours(frame[0]) else frame


def _text(error: BaseException) -> str:
    """Return the text of *error* as an exact ``str``, floods cut."""
    return str.__getitem__(to_text(error), slice(_LONGEST_TEXT)).strip()


def is_pytest(error: BaseException, name: str) -> bool:
    """Return whether *error* is what ``pytest.skip`` and its like raise, by its class's name."""
    names = [kind.__name__ for kind in type(error).__mro__]
    return "OutcomeException" in names and name in names
