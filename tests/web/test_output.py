"""What checks print, as events in the log."""

from collections.abc import Callable
from typing import Any

from hospital.logs import get_logger
from hospital.web.output import MOST_LINES, CheckOutput

Events = Callable[[], list[dict[str, Any]]]


def test_each_line_is_an_event_with_the_name_of_its_check(events: Events) -> None:
    """Empty lines say nothing and are left out."""
    output = CheckOutput(get_logger("test"))

    output("a.b", "one\n\n  two \x1b[31m\n")
    output("a.c", "three")
    output.end_run()

    assert [
        ("check_output", "a.b", "one"),
        ("check_output", "a.b", "  two [31m"),
        ("check_output", "a.c", "three"),
    ] == [(event["event"], event["check"], event["line"]) for event in events()]


def test_a_flood_is_cut_and_counted(events: Events) -> None:
    """A check has so many lines a run; one more line counts the rest."""
    output = CheckOutput(get_logger("test"))

    for _ in range(3):
        output("loud", "x\n" * 60)
    output("quiet", "y")
    output.end_run()
    output("loud", "z")

    found = [(event["event"], event.get("lines")) for event in events()]
    assert [("check_output", None)] * (MOST_LINES + 1) == found[: MOST_LINES + 1]
    assert [("check_output_cut", 80), ("check_output", None)] == found[MOST_LINES + 1 :]
