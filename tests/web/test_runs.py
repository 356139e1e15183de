"""One run for however many ask at the same time."""

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest

from hospital.model import Outcome, Report, Status
from hospital.running.executor import Catalog, Selection
from hospital.running.output import OnOutput
from hospital.web.answers import Answer
from hospital.web.runs import Plan
from hospital.web.sources import OnDemandSource

Events = Callable[[], list[dict[str, Any]]]
MakeSource = Callable[..., OnDemandSource]


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class FakeExecutor:
    """Counts its runs; each waits until *gate* is open, and then does what it is told."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error
        self.gate = threading.Event()
        self.begun = threading.Event()
        self.runs = 0
        self.closed = 0
        self.threads: set[int] = set()

    def run(
        self,
        selection: Selection,
        on_outcome: Callable[[Outcome], None] | None = None,  # noqa: ARG002 - an Executor's
        on_catalog: Callable[[Catalog], None] | None = None,  # noqa: ARG002 - an Executor's
    ) -> Report:
        self.runs += 1
        self.threads.add(threading.get_ident())
        self.begun.set()
        self.gate.wait(30)
        if self.error is not None:
            raise self.error
        reason = f"run {self.runs} of {selection.names[0]}"
        return Report((Outcome(id="a", title="a", status=Status.FAIL, reason=reason),))

    def collect(self, selection: Selection) -> Catalog:  # noqa: ARG002 - an Executor's
        return Catalog((), ())

    def close(self) -> None:
        self.closed += 1
        self.gate.set()


@pytest.fixture
def make_source() -> Iterator[MakeSource]:
    """Return a function that makes a source, which is closed when the test ends."""
    with ExitStack() as stack:

        def make(executor: FakeExecutor, **plan: Any) -> OnDemandSource:
            source = OnDemandSource(
                Plan(
                    **{
                        "selection": Selection(("checks",)),
                        "make_executor": lambda _on_output: executor,
                        "request_timeout_s": 20.0,
                        **plan,
                    }
                )
            )
            stack.callback(source.close)
            stack.callback(executor.gate.set)
            return source

        yield make


def reason_of(answer: Answer) -> str:
    (outcome,) = answer.report.outcomes
    return outcome.reason


def until(condition: Callable[[], bool], within_s: float = 10.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come about"
        time.sleep(0.002)


def has_landed(source: OnDemandSource) -> bool:
    return source._by_pid[os.getpid()]._flight is None


def waiting_for(source: OnDemandSource) -> int:
    """Return how many wait for the run that is under way."""
    runs = source._by_pid.get(os.getpid())
    flight = runs and runs._flight
    return len(flight.landed._cond._waiters) if flight else 0  # type: ignore[attr-defined]


def test_500_who_ask_at_the_same_time_share_one_run(make_source: MakeSource) -> None:
    """The checks run once, and everybody is answered with what they found."""
    executor = FakeExecutor()
    source = make_source(executor, ttl_s=0.0)
    caller = threading.Barrier(501)

    def ask() -> Answer:
        caller.wait(30)
        return source.get()

    with ThreadPoolExecutor(500) as pool:
        asked = [pool.submit(ask) for _ in range(500)]
        caller.wait(30)
        until(lambda: waiting_for(source) == 500)
        executor.gate.set()
        answers = [each.result(30) for each in asked]

    assert 1 == executor.runs
    assert {"run 1 of checks"} == {reason_of(answer) for answer in answers}


def test_a_later_request_starts_a_new_run(make_source: MakeSource) -> None:
    """Without a time to live nothing is served twice, and all runs have one thread."""
    executor = FakeExecutor()
    executor.gate.set()
    source = make_source(executor, ttl_s=0.0)

    reasons = [reason_of(source.get()) for _ in range(3)]

    assert ["run 1 of checks", "run 2 of checks", "run 3 of checks"] == reasons
    assert 1 == len(executor.threads)


def test_a_finished_report_is_served_for_its_time_to_live(make_source: MakeSource) -> None:
    """It is the same object, until it has been finished for longer than that."""
    executor, clock = FakeExecutor(), Clock()
    executor.gate.set()
    source = make_source(executor, ttl_s=5.0, clock=clock)

    first = source.get()
    clock.now += 5.0
    second = source.get()
    clock.now += 0.001
    third = source.get()

    assert first is second
    assert ("run 1 of checks", "run 2 of checks") == (reason_of(second), reason_of(third))


def test_the_time_to_live_counts_from_the_end_and_the_age_from_the_beginning(
    make_source: MakeSource,
) -> None:
    """A run of 8 s is served 5 s more, and does not call its results younger than they are."""
    executor, clock = FakeExecutor(), Clock()
    source = make_source(executor, ttl_s=5.0, clock=clock)

    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(source.get)
        executor.begun.wait(10)
        clock.now += 8.0
        executor.gate.set()
        first = asked.result(10)
    clock.now += 4.0

    assert source.get() is first
    assert (100.0, 108.0) == (first.began_at, first.ended_at)


def test_who_waits_too_long_gets_a_503_and_the_next_one_the_report(
    make_source: MakeSource, events: Events
) -> None:
    """The run goes on, is not started a second time, and what it finds is not lost."""
    executor = FakeExecutor()
    source = make_source(executor, ttl_s=0.0, request_timeout_s=0.05)

    late = [source.get(), source.get()]
    executor.gate.set()
    until(lambda: has_landed(source))
    source_answers = [source.get(), source.get()]

    assert [503, 503] == [answer.code for answer in late]
    detail = json.loads(late[0].response(reasons=False).body)["details"]
    assert [("The run ends within 50 ms.", "error", "run")] == [
        (each["test"], each["status"], each["id"]) for each in detail
    ]
    assert ["run 1 of checks", "run 2 of checks"] == [reason_of(each) for each in source_answers]
    incidents = [event["incident"] for event in events() if event["check"] == "run"]
    assert [detail[0]["incident"]] == incidents


def test_the_report_of_a_late_run_is_not_kept_for_ever(make_source: MakeSource) -> None:
    """After the request timeout it is too old for anybody."""
    executor, clock = FakeExecutor(), Clock()
    source = make_source(executor, ttl_s=0.0, request_timeout_s=0.05, clock=clock)

    source.get()
    executor.gate.set()
    until(lambda: has_landed(source))
    clock.now += 0.06

    assert "run 2 of checks" == reason_of(source.get())


@pytest.mark.parametrize("error", [RuntimeError("a bug: password=s3cret"), SystemExit(3)])
def test_a_run_that_raises_answers_all_who_wait(
    error: BaseException, make_source: MakeSource, events: Events
) -> None:
    """They get a 500 with one detail; the traceback is in the log; the next request runs anew."""
    executor = FakeExecutor(error)
    source = make_source(executor, ttl_s=60.0)

    with ThreadPoolExecutor(20) as pool:
        asked = [pool.submit(source.get) for _ in range(20)]
        until(lambda: waiting_for(source) == 20)
        executor.gate.set()
        answers = [each.result(10) for each in asked]
    executor.error = None
    healed = source.get()

    (answer,) = set(answers)
    assert 500 == answer.code
    (detail,) = json.loads(answer.response(reasons=False).body)["details"]
    assert ["test", "status", "id", "incident"] == list(detail)
    assert ("The checks can be run.", "error", "run") == tuple(detail.values())[:3]
    logged = {event["event"]: event for event in events() if event["event"] != "check_noted"}
    assert type(error).__name__ == logged["run_failed"]["exception"][0]["type"]
    assert "s3cret" not in json.dumps(events())
    assert "run 2 of checks" == reason_of(healed)


def test_an_executor_that_cannot_be_made_is_an_answer_and_is_tried_again(
    make_source: MakeSource,
) -> None:
    """What fails once need not fail for ever."""
    executor = FakeExecutor()
    executor.gate.set()
    tries: list[OnOutput] = []

    def make(on_output: OnOutput) -> FakeExecutor:
        tries.append(on_output)
        if len(tries) == 1:
            raise OSError("no more processes")
        return executor

    source = make_source(executor, make_executor=make)

    found = [source.get(), source.get()]

    assert ["OSError: no more processes", "run 1 of checks"] == [reason_of(a) for a in found]


def test_what_checks_print_goes_to_the_log(make_source: MakeSource, events: Events) -> None:
    """The executor's maker is given what takes it."""

    class Talking(FakeExecutor):
        say: OnOutput

        def run(
            self,
            selection: Selection,
            on_outcome: Callable[[Outcome], None] | None = None,
            on_catalog: Callable[[Catalog], None] | None = None,
        ) -> Report:
            self.say("a", "line\n" * 101)
            return super().run(selection, on_outcome, on_catalog)

    executor = Talking()
    executor.gate.set()

    def make(on_output: OnOutput) -> Talking:
        executor.say = on_output
        return executor

    make_source(executor, make_executor=make).get()

    printed = [event for event in events() if event["event"].startswith("check_output")]
    assert 101 == len(printed)
    assert ("check_output_cut", 1) == (printed[-1]["event"], printed[-1]["lines"])


def test_each_audience_is_rendered_once(make_source: MakeSource) -> None:
    """The same bytes are served again, and they differ between the audiences."""
    executor = FakeExecutor()
    executor.gate.set()
    answer = make_source(executor, ttl_s=60.0).get()

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda n: answer.response(reasons=n % 2 == 0), range(100)))

    assert 2 == len({id(response) for response in found})
    assert found[0].body != found[1].body


def test_who_asks_after_close_gets_a_503(make_source: MakeSource) -> None:
    """Closing ends the executor once, a run under way included, and starts nothing more."""
    executor = FakeExecutor()
    source = make_source(executor, ttl_s=60.0)

    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(source.get)
        executor.begun.wait(10)
        source.close()
        source.close()
        asked.result(10)
    closed = source.get()

    assert 503 == closed.code
    assert (1, 1) == (executor.runs, executor.closed)
    until(lambda: not any(t.name == "hospital-run" and t.is_alive() for t in threading.enumerate()))


def test_a_source_that_nobody_holds_ends_what_it_started() -> None:
    """Its thread and its executor go with it."""
    executor = FakeExecutor()
    executor.gate.set()
    plan = Plan(selection=Selection(("checks",)), make_executor=lambda _on_output: executor)

    OnDemandSource(plan).get()

    until(lambda: executor.closed == 1)


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_process_has_runs_of_its_own(make_source: MakeSource) -> None:
    """A child of a server that forks starts its own thread, and leaves the parent's alone."""
    executor = FakeExecutor()
    executor.gate.set()
    source = make_source(executor, ttl_s=60.0)
    source.get()
    read_end, write_end = os.pipe()

    pid = os.fork()
    if pid == 0:
        try:
            os.write(write_end, reason_of(source.get()).encode())
        finally:
            os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        said = pipe.read()
    os.waitpid(pid, 0)

    assert b"run 2 of checks" == said
    assert ("run 1 of checks", 0) == (reason_of(source.get()), executor.closed)
