"""Ids under which a withheld reason can be found in the log."""

import re
from collections.abc import Callable
from typing import Any

from hospital.logs import get_logger
from hospital.model import Outcome, Report, Status
from hospital.web.incidents import Incidents

Events = Callable[[], list[dict[str, Any]]]


def report(*said: tuple[str, Status, str]) -> Report:
    return Report(
        tuple(
            Outcome(id=id_, title=id_, status=status, reason=reason) for id_, status, reason in said
        )
    )


def test_a_reason_gets_an_id_that_stands_in_the_log(events: Events) -> None:
    """Who has the id finds check, status and the full reason."""
    incidents = Incidents(get_logger("test"))

    found = incidents.of(report(("a", Status.FAIL, "2 != 3"), ("b", Status.PASS, "")))

    (event,) = events()
    assert ["a"] == list(found)
    assert re.fullmatch("[0-9a-f]{8,}", found["a"])
    expected = {
        "event": "check_not_green",
        "level": "error",
        "incident": found["a"],
        "check": "a",
        "status": "fail",
        "reason": "2 != 3",
    }
    assert expected == {key: event[key] for key in expected}


def test_the_id_stays_while_status_and_reason_do(events: Events) -> None:
    """The log hears of changes, not of requests."""
    incidents = Incidents(get_logger("test"))
    same = report(("a", Status.FAIL, "down"), ("b", Status.ERROR, "gone"))

    first, second = incidents.of(same), incidents.of(same)
    third = incidents.of(report(("a", Status.FAIL, "still down"), ("b", Status.ERROR, "gone")))
    fourth = incidents.of(report(("a", Status.ERROR, "still down"), ("b", Status.ERROR, "gone")))

    assert first == second
    assert 3 == len({first["a"], third["a"], fourth["a"]})
    assert 1 == len({first["b"], third["b"], fourth["b"]})
    assert ["a", "b", "a", "a"] == [event["check"] for event in events()]


def test_a_check_that_is_green_again_is_said_to_be(events: Events) -> None:
    """The end of an incident stands in the log with its id."""
    incidents = Incidents(get_logger("test"))

    found = incidents.of(report(("a", Status.FAIL, "down")))
    incidents.of(report(("a", Status.PASS, "")))
    incidents.of(report(("a", Status.PASS, "")))

    assert [("check_not_green", found["a"]), ("check_green_again", found["a"])] == [
        (event["event"], event["incident"]) for event in events()
    ]


def test_warnings_and_skips_are_noted(events: Events) -> None:
    """A reason that makes nothing red is withheld too, so it is in the log too."""
    incidents = Incidents(get_logger("test"))

    found = incidents.of(report(("w", Status.WARN, "90 %"), ("s", Status.SKIP, "no mail here")))

    assert {"w", "s"} == set(found)
    assert [("check_noted", "warning"), ("check_noted", "info")] == [
        (event["event"], event["level"]) for event in events()
    ]


def test_checks_of_one_id_share_an_incident(events: Events) -> None:
    """Two faults of one name are told apart in the log, under one id."""
    incidents = Incidents(get_logger("test"))

    found = incidents.of(report(("a", Status.ERROR, "one"), ("a", Status.ERROR, "two")))

    assert [(found["a"], "one"), (found["a"], "two")] == [
        (event["incident"], event["reason"]) for event in events()
    ]


def test_a_secret_in_a_reason_is_not_in_the_log(events: Events) -> None:
    """The log is redacted like everything else."""
    incidents = Incidents(get_logger("test"))

    incidents.of(report(("a", Status.FAIL, "cannot reach postgresql://u:s3cret@h/db")))

    assert "cannot reach postgresql://u:***@h/db" == events()[0]["reason"]
