"""What checks print goes to its own receiver, and nowhere else."""

import contextlib
import io
import sys
import threading
from collections.abc import Iterator

import pytest

from hospital.running.output import (
    MOST_CHARACTERS,
    OnOutput,
    RoutedStream,
    printing_as,
    route_standard_streams,
)


class Taken:
    """Takes what checks print."""

    def __init__(self) -> None:
        self.pieces: list[tuple[str, str]] = []

    def __call__(self, check_id: str, text: str) -> None:
        self.pieces.append((check_id, text))


@contextlib.contextmanager
def routed() -> Iterator[io.StringIO]:
    """Route the standard streams, over a stream that can be looked at."""
    stream = io.StringIO()
    with contextlib.redirect_stdout(stream), contextlib.redirect_stderr(stream):
        undo = route_standard_streams()
        yield stream
        undo()


def test_prints_of_a_check_are_told_apart() -> None:
    """By whole lines, both streams; what nobody's check prints passes untouched."""
    taken = Taken()

    with routed() as beneath:
        print("before")
        with printing_as("mod.f", taken):
            print("one\ntwo", end="")
            print(" continued")
            print("error", file=sys.stderr)
            sys.stdout.write("no line feed")
        print("after")

    assert "before\nafter\n" == beneath.getvalue()
    assert [
        ("mod.f", "one"),
        ("mod.f", "two continued"),
        ("mod.f", "error"),
        ("mod.f", "no line feed"),
    ] == taken.pieces


def test_concurrent_checks_do_not_mix() -> None:
    """Each thread prints for its own check."""
    taken = Taken()
    ready = threading.Barrier(2, timeout=10)

    def check(name: str) -> None:
        with printing_as(name, taken):
            for _count in range(20):
                sys.stdout.write(f"{name} ")
                ready.wait()
                sys.stdout.write(f"{name}\n")

    threads = [threading.Thread(target=check, args=(name,)) for name in ("a", "b")]
    with routed() as beneath:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)

    assert 40 == len(taken.pieces)
    assert {("a", "a a"), ("b", "b b")} == set(taken.pieces)
    assert "" == beneath.getvalue()


def test_a_flood_is_cut_and_said() -> None:
    """Of whole lines and of one endless one."""
    for flood in ("x" * 100 + "\n", "x"):
        taken = Taken()

        with routed(), printing_as("mod.f", taken):
            for _count in range(200_000):
                sys.stdout.write(flood)

        *_, (_, last) = taken.pieces
        assert f"… [the rest of over {MOST_CHARACTERS} characters is cut]" == last
        assert MOST_CHARACTERS >= sum(len(text) for _, text in taken.pieces[:-1])


def test_a_receiver_may_print_and_may_raise() -> None:
    """What it prints does not come back to it, and its faults are not those of the check."""

    def prints(check_id: str, text: str) -> None:
        print(f"{check_id}: {text}")

    def raises(_id: str, _text: str) -> None:
        raise BrokenPipeError

    receivers: list[OnOutput] = [prints, raises]
    with routed() as beneath:
        for receiver in receivers:
            with printing_as("mod.f", receiver):
                print("printed")
                print("again")

    assert "mod.f: printed\nmod.f: again\n" == beneath.getvalue()


def test_a_check_cannot_close_or_upset_the_streams() -> None:
    """It may do to them what it likes, as long as it is what one does to streams."""
    taken = Taken()

    with routed() as beneath:
        with printing_as("mod.f", taken):
            with pytest.raises(TypeError, match="must be str, not bytes"):
                sys.stdout.write(b"bytes")  # type: ignore[arg-type]  # that is the fault
            assert not sys.stdout.isatty()
            assert sys.stdout.writable()
            sys.stdout.flush()
            sys.stdout.close()
            print("still there \udce9")
        print("here too")

    assert [("mod.f", "still there \udce9")] == taken.pieces
    assert "here too\n" == beneath.getvalue()


def test_the_stream_beneath_can_be_asked() -> None:
    """Its name, its descriptor, its encoding."""
    with open("/dev/null", "w", encoding="latin-1") as stream:  # noqa: PTH123 - as sys.stdout is one
        routed = RoutedStream(stream)

        assert ("/dev/null", stream.fileno()) == (routed.name, routed.fileno())
        assert ("latin-1", "strict") == (routed.encoding, routed.errors)


def test_streams_are_put_back_unless_somebody_has_changed_them() -> None:
    """Routing twice is routing once; a stream that a check left behind stays."""
    before = sys.stdout
    undo = route_standard_streams()
    routed = sys.stdout
    undo_again = route_standard_streams()

    assert routed is sys.stdout
    undo_again()
    undo()
    assert before is sys.stdout

    undo = route_standard_streams()
    with contextlib.redirect_stdout(io.StringIO()) as left_behind:
        undo()
        assert left_behind is sys.stdout
    sys.stdout = before
