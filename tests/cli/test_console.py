"""Symbols, prints and the status line on one terminal: they take turns."""

import io
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hospital.cli.console import Console, choose_palette
from hospital.cli.streams import Sink
from hospital.formats.text import ANSI, PLAIN, Palette
from hospital.model import Outcome, Report, Status
from tests.cli.conftest import Screen

COLUMNS = 20
HELD = Outcome(id="app.fine", title="All is well.", status=Status.PASS)


class NarrowSink(Sink):
    """A sink whose terminal is as wide as the screen above."""

    columns = COLUMNS


def console_on(screen: Screen, **how: object) -> Console:
    return Console(
        NarrowSink(screen),
        NarrowSink(screen),
        environ={"TERM": "xterm"},
        **how,  # type: ignore[arg-type]
    )


def test_the_status_stands_behind_the_symbols_and_vanishes() -> None:
    """It is drawn on their line, and the next symbols take its place."""
    screen = Screen(COLUMNS)
    console = console_on(screen)

    console.outcome(HELD)
    console.tick("")
    console.tick("1 of 2 done, 1 s")
    with_status = screen.text
    console.tick("1 of 2 done, 2 s")
    later = screen.text
    console.outcome(HELD)
    console.tick("")
    without = screen.text

    assert [".  1 of 2 done, 1 s", ".  1 of 2 done, 2 s", ".."] == [with_status, later, without]


def test_what_a_check_prints_gets_a_line_of_its_own() -> None:
    """Text does not stand in the middle of the symbols of a terminal."""
    screen = Screen(COLUMNS)
    console = console_on(screen)

    console.outcome(HELD)
    console.printed("app", "hello")
    console.outcome(HELD)
    console.tick("")

    assert ".\napp: hello\n." == screen.text


def test_a_dumb_terminal_gets_no_status() -> None:
    """Where nothing can be erased, nothing is drawn that would have to be."""
    screen = Screen(COLUMNS)
    console = Console(Sink(screen), Sink(screen), environ={"TERM": "dumb"})

    with console.while_running(lambda: pytest.fail("asked for a status")):
        console.outcome(HELD)

    assert not console.shows_status
    assert "." == screen.text


events = st.lists(
    st.sampled_from(["symbol", "tick"])
    | st.text("abc", min_size=1, max_size=12).map(lambda text: f"print {text}")
    | st.text("12", min_size=1, max_size=COLUMNS + 3).map(lambda text: f"status {text}"),
    max_size=60,
)


@given(events, st.booleans())
def test_whatever_happens_in_between_nothing_is_lost_or_garbled(
    happening: list[str],
    coloured: bool,  # noqa: FBT001 - given by hypothesis
) -> None:
    """In the end the screen holds all symbols and all prints in order, and no status."""
    screen = Screen(COLUMNS)
    console = console_on(screen, palette=ANSI if coloured else PLAIN)
    expected = io.StringIO()
    column = 0

    for event in happening:
        kind, _, text = event.partition(" ")
        if kind == "symbol":
            console.outcome(HELD)
            expected.write("." if column % COLUMNS or not column else "\n.")
            column += 1
        elif kind == "print":
            console.printed("x", text)
            expected.write(("\n" if column else "") + f"x: {text}\n")
            column = 0
        else:
            console.tick(text)
    console.finish(Report(()))

    shown, _, summary = screen.text.partition("\n" + "-" * COLUMNS)
    assert expected.getvalue() == shown
    assert summary.endswith("FAILED\nNothing held: no che\nck ran.\n")


@pytest.mark.parametrize(
    ("when", "environ", "is_terminal", "expected"),
    [
        ("auto", {}, True, ANSI),
        ("auto", {}, False, PLAIN),
        ("auto", {"TERM": "dumb"}, True, PLAIN),
        ("auto", {"NO_COLOR": "1"}, True, PLAIN),
        ("auto", {"NO_COLOR": ""}, True, ANSI),
        ("auto", {"FORCE_COLOR": "1"}, False, ANSI),
        ("auto", {"FORCE_COLOR": "1", "NO_COLOR": "1"}, True, PLAIN),
        ("always", {"NO_COLOR": "1"}, False, ANSI),
        ("never", {"FORCE_COLOR": "1"}, True, PLAIN),
    ],
)
def test_colours_are_for_terminals_unless_asked(
    when: str,
    environ: Mapping[str, str],
    is_terminal: bool,  # noqa: FBT001 - a column of the table
    expected: Palette,
) -> None:
    """--color counts most, then NO_COLOR, then FORCE_COLOR, then the terminal."""
    assert expected == choose_palette(when, environ, is_terminal=is_terminal)
