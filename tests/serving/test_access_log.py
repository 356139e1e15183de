"""The access log: quiet for healthy probes, at once for everything else, bounded in any case."""

import itertools
import json
import pickle
import timeit
from collections.abc import Callable
from typing import Any

import pytest

from hospital.logs import get_logger
from hospital.serving.access_log import LONGEST_PATH, MOST_LINES_A_SECOND, AccessLog

Events = Callable[[], list[dict[str, Any]]]
OWN_FIELDS = ("timestamp", "logger", "pid")


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Return a clock that stands."""
    return Clock()


@pytest.fixture
def events(capsys: pytest.CaptureFixture[str]) -> Events:
    """Return a function that returns what was logged, without what each line has."""

    def read() -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
        return [{key: line[key] for key in line if key not in OWN_FIELDS} for line in lines]

    return read


def make(clock: Clock, kind: str = "summary") -> AccessLog:
    return AccessLog(kind, get_logger("hospital.access"), clock)


def answer(  # noqa: PLR0913 - what an answer is
    log: AccessLog,
    code: int = 200,
    target: str = "/",
    *,
    method: str = "GET",
    duration_s: float = 0.001,
    number: int = 1,
) -> None:
    for _ in range(number):
        log.record(code, method, target, "192.0.2.7", duration_s, 512, "8c1f-12")


def test_two_hundred_healthy_probes_are_one_line_a_minute(clock: Clock, events: Events) -> None:
    """It says how many, how they were answered, how large and how fast."""
    log = make(clock)
    for _ in range(200):
        answer(log)
        clock.now += 0.29
        log.tick()
    early = events()
    answer(log, 304, duration_s=0.5)
    clock.now += 2.5
    log.tick()
    log.tick()

    assert [] == early
    (line,) = events()
    assert {
        "level": "info",
        "event": "requests_served",
        "number": 201,
        "seconds": 60.5,
        "statuses": {"200": 200, "304": 1},
        "bytes": 201 * 512,
        "median_ms": 1.076,
        "p99_ms": 1.076,
        "max_ms": 500.0,
    } == line


def test_a_minute_begins_with_its_first_request(clock: Clock, events: Events) -> None:
    """After a night without one, nothing is said of the night; without any, nothing at all."""
    log = make(clock)
    clock.now += 30_000.0
    log.tick()
    answer(log)
    clock.now += 59.0
    log.tick()
    within = events()
    clock.now += 1.0
    log.tick()
    (line,) = events()
    clock.now += 600.0
    log.tick()

    assert [] == within
    assert (1, 60.0) == (line["number"], line["seconds"])
    assert [] == events()


def test_the_last_summary_does_not_wait(clock: Clock, events: Events) -> None:
    """A worker that ends says what it did; said once."""
    log = make(clock)
    answer(log)
    log.evicted(3)

    log.summarize()
    log.summarize()

    (line,) = events()
    assert (1, 3) == (line["number"], line["evicted"])


@pytest.mark.parametrize(
    ("code", "level"), [(301, "info"), (404, "info"), (500, "warning"), (503, "warning")]
)
def test_what_is_no_success_is_said_at_once(
    clock: Clock, events: Events, code: int, level: str
) -> None:
    """With what helps to find it; the query is left out, for secrets stand there."""
    log = make(clock)

    answer(log, code, "/orders?token=s3cret", method="POST", duration_s=0.0123456)

    assert [
        {
            "level": level,
            "event": "request_answered",
            "method": "POST",
            "path": "/orders",
            "status": code,
            "duration_ms": 12.346,
            "bytes": 512,
            "peer": "192.0.2.7",
            "request_id": "8c1f-12",
        }
    ] == events()


@pytest.mark.parametrize("code", [200, 201, 204, 206, 304])
def test_what_is_a_success_is_quiet(clock: Clock, events: Events, code: int) -> None:
    """It is counted."""
    answer(make(clock), code)

    assert [] == events()


def test_a_path_is_cut_and_cleaned(clock: Clock, events: Events) -> None:
    """Whatever a stranger asks for, the line is short and holds no secret."""
    log = make(clock)

    answer(log, 404, "/a\x1b[31m\r\nb" + "x" * 10**6)
    answer(log, 404, "http://u:s3cret@h/password=s3cret?" + "y" * 10**6)

    first, second = (line["path"] for line in events())
    assert LONGEST_PATH == len(first)
    assert first.startswith("/a[31m b")
    assert "s3cret" not in second


def test_a_flood_is_cut_and_counted(clock: Clock, events: Events) -> None:
    """So many lines a second; the next line says how many are missing."""
    log = make(clock)
    answer(log, 404, number=MOST_LINES_A_SECOND + 7)
    in_time = events()
    clock.now += 1.0
    answer(log, 404, number=MOST_LINES_A_SECOND + 2)
    later = events()
    log.summarize()

    assert MOST_LINES_A_SECOND == len(in_time) == len(later)
    assert [7] == [line["suppressed"] for line in later if "suppressed" in line]
    assert 7 == later[0]["suppressed"]
    (summary,) = events()
    assert (2, 2 * MOST_LINES_A_SECOND + 9) == (summary["suppressed"], summary["number"])


def test_all_means_each_answer(clock: Clock, events: Events) -> None:
    """Healthy ones too, however many there are."""
    log = make(clock, "all")

    answer(log, number=2 * MOST_LINES_A_SECOND)
    answer(log, 304)

    assert [200] * 2 * MOST_LINES_A_SECOND + [304] == [line["status"] for line in events()]


def test_off_means_nothing(clock: Clock, events: Events) -> None:
    """Neither lines nor a summary."""
    log = make(clock, "off")
    answer(log, 500)
    clock.now += 600.0
    log.tick()
    log.summarize()

    assert [] == events()


def test_quantiles_are_right_within_a_fifth(clock: Clock, events: Events) -> None:
    """They come from a small histogram; none is above the longest."""
    durations = [0.00001 * 1.005**number for number in range(2000)]
    log = make(clock)
    for duration_s in durations:
        answer(log, duration_s=duration_s)
    log.summarize()

    (line,) = events()
    for name, index in (("median_ms", 999), ("p99_ms", 1979)):
        exact = durations[index] * 1000
        assert exact * 0.999 <= line[name] <= exact * 1.2
    assert round(durations[-1] * 1000, 3) == line["max_ms"]


@pytest.mark.parametrize("duration_s", [0.0, 1e-9, 86_400.0])
def test_durations_beyond_the_histogram_count(
    clock: Clock, events: Events, duration_s: float
) -> None:
    """The longest is exact, and the quantiles are not above it."""
    log = make(clock)
    answer(log, duration_s=duration_s)
    log.summarize()

    (line,) = events()
    exact = round(duration_s * 1000, 3)
    assert [exact] * 3 == [line["median_ms"], line["p99_ms"], line["max_ms"]]


def test_nothing_grows(clock: Clock, events: Events) -> None:
    """Whatever is asked and answered, it holds no more after 20,000 answers than after 2,000."""
    log = AccessLog("summary", get_logger("hospital.access"), clock)
    sizes = []
    for number in itertools.count(1):
        answer(log, number % 1000, f"/{number}?{number}")
        clock.now += 0.001
        if number in {2000, 20_000}:
            held = {
                key: value for key, value in vars(log).items() if key[1:] not in {"logger", "clock"}
            }
            sizes.append(len(pickle.dumps(held)))
        if number == 20_000:
            break

    log.summarize()
    assert sizes[1] < sizes[0] + 200
    summary = events()[-1]
    assert 20_000 == summary["number"] == sum(summary["statuses"].values())
    assert summary["statuses"]["other"] > 0


def test_a_healthy_answer_costs_next_to_nothing(clock: Clock) -> None:
    """Measured at 0.3 µs; the bound leaves room for a busy machine."""
    record = make(clock).record

    def probe() -> None:
        record(200, "GET", "/", "127.0.0.1", 0.00053, 812, "8c1f-12")

    fastest_s = min(timeit.repeat(probe, number=2000, repeat=20)) / 2000
    assert fastest_s < 3e-6
