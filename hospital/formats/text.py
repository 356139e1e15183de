"""A report as text, in the words and the shape of ``python -m unittest``.

Rule: plain functions of their arguments; whoever calls them writes. Whether the run is green
is for :mod:`hospital.verdict` to say, here it is only written down.
"""

from collections.abc import Iterable
from typing import Literal, NamedTuple

from hospital.durations import format_duration
from hospital.model import Measurement, Outcome, Report, Status
from hospital.redaction import clean, clean_line
from hospital.verdict import passed

Colour = Literal["green", "yellow", "red", "dim"]

DOUBLE_RULE = "=" * 70
RULE = "-" * 70
SYMBOLS = {
    Status.PASS: ".",
    Status.WARN: "w",
    Status.FAIL: "F",
    Status.ERROR: "E",
    Status.SKIP: "s",
    Status.EXPECTED_FAILURE: "x",
    Status.UNEXPECTED_SUCCESS: "u",
}
NOTHING_RAN = "Nothing held: no check ran."
ONLY_SKIPS = "Nothing held: every check was skipped, and a run of skips alone is not green."

_COLOURS: dict[Status, Colour] = {
    Status.PASS: "green",
    Status.WARN: "yellow",
    Status.FAIL: "red",
    Status.ERROR: "red",
    Status.SKIP: "dim",
    Status.EXPECTED_FAILURE: "green",
    Status.UNEXPECTED_SUCCESS: "red",
}
# The gravest come last: the end of a long report is what a terminal still shows.
_HEADINGS = {
    Status.WARN: "WARN",
    Status.UNEXPECTED_SUCCESS: "UNEXPECTED SUCCESS",
    Status.ERROR: "ERROR",
    Status.FAIL: "FAIL",
}
_COUNTED = (
    (Status.FAIL, "failures"),
    (Status.ERROR, "errors"),
    (Status.UNEXPECTED_SUCCESS, "unexpected successes"),
    (Status.WARN, "warnings"),
    (Status.SKIP, "skipped"),
    (Status.EXPECTED_FAILURE, "expected failures"),
)


class Palette(NamedTuple):
    r"""What to write before a text to colour it; empty, as by default, for none.

    >>> PLAIN.paint("OK", "green"), ANSI.paint("OK", "green")
    ('OK', '\x1b[32mOK\x1b[0m')
    """

    green: str = ""
    yellow: str = ""
    red: str = ""
    dim: str = ""

    def paint(self, text: str, colour: Colour) -> str:
        """Return *text* in *colour*; as it is where the palette has no such colour."""
        code: str = getattr(self, colour)
        return f"{code}{text}\x1b[0m" if code and text else text


PLAIN = Palette()
ANSI = Palette(green="\x1b[32m", yellow="\x1b[33m", red="\x1b[31m", dim="\x1b[2m")


def symbol(outcome: Outcome, palette: Palette = PLAIN) -> str:
    """Return the one character that stands for *outcome*, coloured."""
    return palette.paint(SYMBOLS[outcome.status], _COLOURS[outcome.status])


def line(outcome: Outcome, palette: Palette = PLAIN) -> str:
    """Return the line that ``-v`` shows for *outcome*, without a line feed.

    >>> line(Outcome(id="app.db", title="The database answers.", status=Status.PASS))
    'The database answers. (app.db) ... ok [0 ms]'
    """
    figures = [format_duration(outcome.duration_s)]
    figures += map(_measured, outcome.measurements)
    words = palette.paint(_words(outcome), _COLOURS[outcome.status])
    return f"{_name(outcome)} ... {words} {palette.paint('[' + ', '.join(figures) + ']', 'dim')}"


def section(outcome: Outcome, *, verbose: bool = False, palette: Palette = PLAIN) -> str:
    """Return what there is to say of *outcome*; empty where its status says it all.

    Args:
        outcome: The outcome.
        verbose: Whether the trace is shown.
        palette: The colours.
    """
    heading = _HEADINGS.get(outcome.status)
    if heading is None:
        return ""
    reason = clean(outcome.reason)
    body = [_indented(reason)] if reason else []
    if verbose and outcome.trace:
        body += ["trace:", palette.paint("  " + _indented(clean(outcome.trace)), "dim")]
    body += map(_out_of_range, (m for m in outcome.measurements if m.status is not Status.PASS))
    body += [
        f"{label}: {_indented(clean(text))}"
        for label, text in (("fix", outcome.fix), ("owner", outcome.owner))
        if text
    ]
    head = f"{palette.paint(heading, _COLOURS[outcome.status])}: {_name(outcome)}"
    return "".join(f"{each}\n" for each in (DOUBLE_RULE, head, RULE, *body, ""))


def sections(report: Report, *, verbose: bool = False, palette: Palette = PLAIN) -> str:
    """Return the sections of all outcomes that need one: warnings first, failures last."""
    return "".join(
        section(outcome, verbose=verbose, palette=palette)
        for status in _HEADINGS
        for outcome in report.outcomes
        if outcome.status is status
    )


def summary(report: Report, palette: Palette = PLAIN) -> str:
    """Return the last lines of a report: how many ran, how long it took, the verdict.

    >>> held = Outcome(id="app.db", title="The database answers.", status=Status.PASS)
    >>> print(summary(Report((held,), duration_s=0.0012)), end="")
    ----------------------------------------------------------------------
    Ran 1 test in 0.001s
    <BLANKLINE>
    OK
    """
    counts = report.counts
    told = ", ".join(f"{word}={counts[status]}" for status, word in _COUNTED if counts[status])
    green = passed(report)
    verdict = palette.paint("OK", "green") if green else palette.paint("FAILED", "red")
    total = len(report.outcomes)
    lines = [
        RULE,
        f"Ran {total} test{'' if total == 1 else 's'} in {report.duration_s:.3f}s",
        "",
        f"{verdict} ({told})" if told else verdict,
    ]
    if not green and not any(outcome.status.is_red for outcome in report.outcomes):
        lines.append(ONLY_SKIPS if total else NOTHING_RAN)
    return "".join(f"{each}\n" for each in lines)


def ending(report: Report, *, verbose: bool = False, palette: Palette = PLAIN) -> str:
    """Return all that follows the symbols or lines of a run, whose last line is not ended."""
    told = sections(report, verbose=verbose, palette=palette)
    return f"\n{told}{summary(report, palette)}"


def render(report: Report, *, verbose: bool = False, palette: Palette = PLAIN) -> str:
    """Return the whole of *report*: a symbol for each outcome, or with *verbose* a line.

    >>> held = Outcome(id="app.db", title="The database answers.", status=Status.PASS)
    >>> print(render(Report((held,))), end="")
    .
    ----------------------------------------------------------------------
    Ran 1 test in 0.000s
    <BLANKLINE>
    OK
    """
    return opening(report.outcomes, verbose=verbose, palette=palette) + ending(
        report, verbose=verbose, palette=palette
    )


def opening(outcomes: Iterable[Outcome], *, verbose: bool = False, palette: Palette = PLAIN) -> str:
    """Return what a run writes while its outcomes arrive."""
    if verbose:
        return "".join(f"{line(outcome, palette)}\n" for outcome in outcomes)
    return "".join(symbol(outcome, palette) for outcome in outcomes)


def amount(measurement: Measurement) -> str:
    """Return value and unit of *measurement*; a ratio has none.

    >>> amount(Measurement(name="took", value=0.25, unit="s"))
    '0.25 s'
    """
    value = measurement.value
    number = str(value) if isinstance(value, int) else f"{value:.6g}"
    return number if measurement.unit in {"", "1"} else f"{number} {measurement.unit}"


def _measured(measurement: Measurement) -> str:
    return clean_line(f"{measurement.name} {amount(measurement)}")


def _out_of_range(measurement: Measurement) -> str:
    limits = (("warn", measurement.warn), ("fail", measurement.fail))
    told = ", ".join(f"{word} {limit}" for word, limit in limits if limit)
    return clean_line(f"{measurement.name}: {amount(measurement)} ({told})")


def _name(outcome: Outcome) -> str:
    id_ = clean_line(outcome.id)
    return id_ if outcome.title == outcome.id else f"{clean_line(outcome.title)} ({id_})"


def _words(outcome: Outcome) -> str:
    first = clean(outcome.reason).partition("\n")[0]
    match outcome.status:
        case Status.PASS:
            return "ok"
        case Status.SKIP:
            return f"skipped {first!r}"
        case Status.EXPECTED_FAILURE:
            return "expected failure"
        case Status.UNEXPECTED_SUCCESS:
            return "unexpected success"
        case Status.WARN | Status.FAIL | Status.ERROR:
            heading = _HEADINGS[outcome.status]
            return f"{heading}: {first}" if first else heading


def _indented(text: str) -> str:
    return text.replace("\n", "\n  ")
