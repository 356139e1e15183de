"""The JSON format: the documented shape of 2014, strict whatever a report holds."""

import json
import math
from pathlib import Path
from typing import Any, NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hospital.formats.json import format_time, render
from hospital.model import Measurement, Outcome, Report, Status
from hospital.verdict import exit_code, overall
from tests.formats.reports import FAILED, REPORTS, TIMED_OUT, UNLOADED, WARNED, reports

GOLDEN = Path(__file__).parents[1] / "golden"
INCIDENTS = {
    WARNED.id: "0a1b2c3d4e",
    FAILED.id: "1b2c3d4e5f",
    TIMED_OUT.id: "3d4e5f6071",
    UNLOADED.id: "2c3d4e5f60",
}
CASES = {
    "passing": ("passing", True),
    "warned": ("warned", True),
    "mixed": ("mixed", True),
    "mixed-stranger": ("mixed", False),
    "nothing": ("nothing", True),
}


def refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def parse(document: bytes) -> Any:
    return json.loads(document.decode("utf-8"), parse_constant=refuse)


@pytest.mark.parametrize("case", CASES)
def test_a_report_renders_as_its_golden_file(case: str) -> None:
    """The document is the one in the golden file, byte for byte."""
    name, reasons = CASES[case]
    report = REPORTS[name]
    golden = GOLDEN / f"{case}.{exit_code(report)}.json"

    rendered = render(report, reasons=reasons, incidents=INCIDENTS)

    assert golden.read_bytes() == rendered


@given(reports, st.booleans())
def test_the_document_is_strict_json_whatever_outcomes_hold(report: Report, reasons: bool) -> None:  # noqa: FBT001 - hypothesis gives it
    """No text, number or time of an outcome makes the document anything but strict JSON."""
    incidents = {outcome.id: outcome.reason for outcome in report.outcomes}

    document = render(report, reasons=reasons, incidents=incidents)

    parsed = parse(document)
    assert ["status", "details", "summary"] == list(parsed)
    assert len(report.outcomes) == parsed["summary"]["total"] == len(parsed["details"])
    assert overall(report) == parsed["status"]
    assert document.endswith(b"}\n")
    assert b"\\u" not in document.replace(b"\\\\", b"")


@given(reports)
def test_a_stranger_sees_four_keys_and_no_others(report: Report) -> None:
    """Of a check a stranger sees test, status, id and perhaps incident."""
    parsed = parse(render(report, reasons=False, incidents={o.id: "0a1b" for o in report.outcomes}))

    for outcome, detail in zip(report.outcomes, parsed["details"], strict=True):
        incident = ["incident"] if outcome.reason else []
        assert ["test", "status", "id", *incident] == list(detail)


FOLDER = st.text(alphabet="abcß -_.", min_size=1, max_size=8)


@given(st.lists(FOLDER.map("SECRET".__add__), min_size=1), st.sampled_from("/\\"), st.booleans())
def test_no_folder_of_a_path_reaches_a_stranger(
    folders: list[str],
    separator: str,
    absolute: bool,  # noqa: FBT001 - hypothesis gives it
) -> None:
    """Of an id that is a path a stranger sees the file's name alone."""
    path = separator * absolute + separator.join([*folders, "checks.py"])
    report = Report((Outcome(id=path, title=path, status=Status.ERROR, reason=path),))

    document = render(report, reasons=False, incidents={path: "0a1b"})

    assert "checks.py" == parse(document)["details"][0]["id"]
    assert b"SECRET" not in document


def test_a_title_keeps_its_words_and_loses_its_folders() -> None:
    """Of a path in a title a stranger sees the last part."""
    outcome = Outcome(id="a.b", title="GET /admin/secret/health answers", status=Status.PASS)

    parsed = parse(render(Report((outcome,)), reasons=False))

    assert "GET health answers" == parsed["details"][0]["test"]


def test_a_secret_in_a_reason_stands_in_no_document() -> None:
    """The password of a DSN is masked for those who may see reasons, too."""
    reason = "cannot reach postgresql://u:s3cret@h/db"
    report = Report((Outcome(id="a", title="a", status=Status.FAIL, reason=reason),))

    document = render(report, reasons=True)

    assert "cannot reach postgresql://u:***@h/db" == parse(document)["details"][0]["context"]
    assert b"s3cret" not in document


def test_one_check_takes_less_than_64_kilobytes() -> None:
    """A check that floods everything it can costs the reader less than 64 KB."""
    flood = '"\u4e2d' * 500_000
    measurements = tuple(
        Measurement(name=f"n{number}", value=1.0, unit="By", warn="0.9") for number in range(100)
    )
    outcome = Outcome(
        id=flood,
        title=flood,
        status=Status.FAIL,
        reason=flood,
        fix=flood,
        owner=flood,
        tags=("a",),
        measurements=measurements,
    )

    document = render(Report((outcome,)), reasons=True)

    assert len(document) < 64 * 1024


@pytest.mark.parametrize("moment", [math.nan, math.inf, -math.inf, 1e300, 0.0])
def test_what_is_no_time_is_null(moment: float) -> None:
    """A time that no calendar holds is null and no error."""
    assert format_time(moment) is None
