"""A worker may have its checks loaded before the first request."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from hospital.model import Outcome, Report, Status, errors
from hospital.running.executor import Catalog, Selection
from hospital.web.answers import fault
from hospital.web.runs import Plan
from hospital.web.sources import FixedSource, OnDemandSource

MakeSource = Callable[..., OnDemandSource]


class Executor:
    """Collects when *gate* is open, with *problems*, or fails."""

    def __init__(self, *problems: tuple[str, str], error: BaseException | None = None) -> None:
        self.problems = problems
        self.error = error
        self.gate = threading.Event()
        self.gate.set()
        self.begun = threading.Event()
        self.did: list[tuple[str, int]] = []

    def collect(self, selection: Selection) -> Catalog:
        self.did.append((f"collect {selection.names[0]}", threading.get_ident()))
        self.begun.set()
        self.gate.wait(30)
        if self.error is not None:
            raise self.error
        return Catalog((), errors(self.problems))

    def run(
        self,
        selection: Selection,
        on_outcome: Callable[[Outcome], None] | None = None,  # noqa: ARG002 - an Executor's
        on_catalog: Callable[[Catalog], None] | None = None,  # noqa: ARG002 - an Executor's
    ) -> Report:
        self.did.append((f"run {selection.names[0]}", threading.get_ident()))
        return Report((Outcome(id="a", title="a", status=Status.PASS),))

    def close(self) -> None:
        self.gate.set()


class Running:
    """An executor of somebody's own that can run and do no more."""

    run = Executor.run
    did: tuple[()] = ()

    def close(self) -> None:
        pass


@pytest.fixture
def make_source() -> Iterator[MakeSource]:
    """Return a function that makes a source, which is closed when the test ends."""
    with ExitStack() as stack:

        def make(executor: Any) -> OnDemandSource:
            source = OnDemandSource(
                Plan(selection=Selection(("checks",)), make_executor=lambda _on_output: executor)
            )
            stack.callback(source.close)
            stack.callback(executor.close)
            return source

        yield make


def test_what_runs_later_is_what_prepares(make_source: MakeSource) -> None:
    """In the same thread, with the same executor; nothing is run."""
    executor = Executor()
    source = make_source(executor)

    told = source.prepare(20)
    before = [what for what, _ in executor.did]
    source.get()

    assert ("", ["collect checks"]) == (told, before)
    assert ["collect checks", "run checks"] == [what for what, _ in executor.did]
    assert 1 == len({thread for _, thread in executor.did})


@pytest.mark.parametrize(
    ("problems", "told"),
    [
        ([("shop", "cannot import 'shop': ValueError: token=s3cret")], "ValueError: token=***"),
        ([("b", "no\nmodule"), ("c", "no"), ("d", "no")], "b: no module (and 2 more)"),
    ],
)
def test_what_cannot_be_loaded_is_told_in_one_line(
    make_source: MakeSource, problems: list[tuple[str, str]], told: str
) -> None:
    """The first one, and how many more; no secret."""
    assert make_source(Executor(*problems)).prepare(20).endswith(told)


@pytest.mark.parametrize("error", [ValueError("password=s3cret"), SystemExit(3)])
def test_an_executor_that_fails_is_told_and_harms_nobody(
    make_source: MakeSource, error: BaseException
) -> None:
    """The thread that runs goes on."""
    source = make_source(Executor(error=error))

    told = source.prepare(20)

    assert told.startswith(f"{type(error).__name__}: ")
    assert "s3cret" not in told
    assert 200 == source.get().code


def test_who_asks_meanwhile_waits_for_a_turn(make_source: MakeSource) -> None:
    """Whoever prepared waits no longer than told; the request gets its run afterwards."""
    executor = Executor()
    executor.gate.clear()
    source = make_source(executor)
    told = source.prepare(0.01)
    codes: list[int] = []
    asking = threading.Thread(target=lambda: codes.append(source.get().code))
    asking.start()
    assert executor.begun.wait(20)
    before = [what for what, _ in executor.did], codes[:]
    executor.gate.set()
    asking.join(20)

    assert "the checks were not loaded within 10 ms" == told
    assert (["collect checks"], []) == before
    assert [200] == codes


def test_an_executor_that_only_runs_has_nothing_to_prepare(make_source: MakeSource) -> None:
    """Somebody's own need not know how."""
    assert "" == make_source(Running()).prepare(20)


def test_a_source_that_is_closed_prepares_nothing(make_source: MakeSource) -> None:
    """It waits for nobody."""
    executor = Executor()
    source = make_source(executor)
    source.close()

    assert "" == source.prepare(20)
    assert [] == executor.did


def test_a_fixed_fault_is_its_own_reason() -> None:
    """Of an application that could not be built."""
    source = FixedSource(
        fault("settings", "The settings can be used.", "HOSPITAL_TYPO\nis unknown")
    )

    assert "HOSPITAL_TYPO is unknown" == source.prepare(20)
