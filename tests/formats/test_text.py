"""The text format: unittest's words and shape, byte for byte."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hospital.formats.text import (
    ANSI,
    NOTHING_RAN,
    ONLY_SKIPS,
    PLAIN,
    SYMBOLS,
    amount,
    ending,
    line,
    opening,
    render,
    section,
    summary,
    symbol,
)
from hospital.model import Measurement, Outcome, Report, Status
from hospital.verdict import exit_code, passed
from tests.formats.reports import (
    EXPECTED,
    FAILED,
    PASSING,
    REPORTS,
    SKIPPED,
    TIMED_OUT,
    UNEXPECTED,
    WARNED,
    reports,
)

GOLDEN = Path(__file__).parents[1] / "golden"
COLOUR = re.compile(r"\x1b\[\d+m")

CASES = {
    "passing": ("passing", {}),
    "warned": ("warned", {}),
    "mixed": ("mixed", {}),
    "mixed-verbose": ("mixed", {"verbose": True}),
    "mixed-colour": ("mixed", {"palette": ANSI}),
    "skipped": ("skipped", {}),
    "nothing": ("nothing", {}),
}


@pytest.mark.parametrize("case", CASES)
def test_a_report_is_written_as_in_its_golden_file(case: str) -> None:
    """The bytes are those of the golden file, whose name carries the exit code."""
    name, how = CASES[case]
    report = REPORTS[name]

    text = render(report, **how)  # type: ignore[arg-type]

    assert [GOLDEN / f"{case}.{exit_code(report)}.text"] == list(GOLDEN.glob(f"{case}.?.text"))
    assert (GOLDEN / f"{case}.{exit_code(report)}.text").read_text() == text


def test_the_transcript_of_the_seed_comes_out_to_the_letter() -> None:
    """One passing check looks as in the documentation of 2014."""
    expected = f".\n{'-' * 70}\nRan 1 test in 0.001s\n\nOK\n"

    assert expected == render(Report((PASSING,), duration_s=0.001))


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (PASSING, "ok"),
        (SKIPPED, "skipped 'requires app.checks.queue, which is error'"),
        (EXPECTED, "expected failure"),
        (UNEXPECTED, "unexpected success"),
        (WARNED, "WARN: disk_used is 0.91, above 0.9"),
        (FAILED, "FAIL: 2 accounts are closed: (app/checks.py:31 in test_open)"),
    ],
)
def test_a_verbose_line_speaks_as_unittest_does(outcome: Outcome, expected: str) -> None:
    """After the dots stands unittest's word, with the first line of a reason."""
    shown = line(outcome)

    assert f"{outcome.title} ({outcome.id}) ... {expected} [" in shown


def test_a_check_without_docstring_is_named_once() -> None:
    """Where the title is the id, it is not repeated in parentheses."""
    assert line(TIMED_OUT).startswith("app.checks.queue ... ERROR: timed out")


def test_a_section_shows_the_measurements_that_are_out_of_range() -> None:
    """With both limits, so that one sees how far it is from the next; others are left out."""
    assert "\ndisk_used: 0.91 (warn 0.9, fail 0.95)\n" in section(WARNED)
    assert "disk_free" not in section(WARNED)
    assert "\nlength: 812 (fail 500)\n" in section(TIMED_OUT)


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (0.85, "1", "0.85"),
        (123456789012, "By", "123456789012 By"),
        (1 / 3, "s", "0.333333 s"),
        (float("inf"), "", "inf"),
    ],
)
def test_an_amount_is_value_and_unit(value: float, unit: str, expected: str) -> None:
    """Whole numbers stay whole, ratios have no unit."""
    assert expected == amount(Measurement(name="it", value=value, unit=unit))


def test_a_run_of_skips_says_why_it_is_not_green() -> None:
    """One sentence says that nothing held."""
    assert summary(Report((SKIPPED,))).endswith(f"\nFAILED (skipped=1)\n{ONLY_SKIPS}\n")
    assert summary(Report(())).endswith(f"Ran 0 tests in 0.000s\n\nFAILED\n{NOTHING_RAN}\n")


def test_secrets_are_masked_wherever_they_stand() -> None:
    """Not even a remedy or an owner shows a password."""
    secret = "postgresql://u:s3cret@h/db"  # noqa: S105 - the example
    outcome = Outcome(
        id="app.db",
        title=f"{secret} answers.",
        status=Status.FAIL,
        reason=secret,
        trace=secret,
        fix=f"psql {secret}",
        owner=secret,
    )

    text = render(Report((outcome,)), verbose=True)

    assert "s3cret" not in text
    assert text.count("postgresql://") == text.count("postgresql://u:***@h/db")


@given(reports, st.booleans())
def test_any_report_can_be_written_anywhere(report: Report, verbose: bool) -> None:  # noqa: FBT001 - given by hypothesis
    """Whatever checks say, the text can be encoded and moves no cursor."""
    text = render(report, verbose=verbose)

    text.encode()
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", text)


@given(reports, st.booleans())
def test_colours_add_nothing_but_colours(report: Report, verbose: bool) -> None:  # noqa: FBT001 - given by hypothesis
    """Without its escapes a coloured report is the plain one."""
    coloured = render(report, verbose=verbose, palette=ANSI)

    assert render(report, verbose=verbose) == COLOUR.sub("", coloured)


@given(reports)
def test_the_text_says_ok_exactly_when_the_verdict_is_green(report: Report) -> None:
    """The last paragraph begins with the verdict of hospital.verdict."""
    verdict = summary(report).split("\n\n")[-1]

    assert passed(report) == verdict.startswith("OK")
    assert passed(report) != verdict.startswith("FAILED")


@given(reports)
def test_there_is_one_symbol_for_each_outcome(report: Report) -> None:
    """A report begins with its symbols, in order, and nothing else on that line."""
    expected = "".join(SYMBOLS[outcome.status] for outcome in report.outcomes)

    assert expected == render(report).split("\n", 1)[0]
    assert expected == "".join(symbol(outcome, PLAIN) for outcome in report.outcomes)


@given(reports, st.booleans())
def test_a_report_is_its_opening_and_its_ending(report: Report, verbose: bool) -> None:  # noqa: FBT001 - given by hypothesis
    """Shown piece by piece, as outcomes arrive, it is the same text."""
    pieces = [opening([outcome], verbose=verbose) for outcome in report.outcomes]

    assert render(report, verbose=verbose) == "".join(pieces) + ending(report, verbose=verbose)
