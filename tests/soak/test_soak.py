"""A short soak, and how it judges what it saw."""

import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.faults.bundle import Bundle
from tests.faults.scene import set_up
from tests.soak.troubles import Cut, Soak
from tests.soak.verdicts import is_cut, made_room, of_requests
from tests.soak.watch import Sample, growth

ROOT = Path(__file__).parent.parent.parent


def test_a_short_soak_keeps_all_promises() -> None:
    """Each trouble about once under load; ``make soak`` goes on for as long as one likes."""
    command = [sys.executable, "-m", "tests.soak", "--minutes", "0.35", "--seed", "1"]

    result = subprocess.run(
        command,
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=180,
    )

    assert 0 == result.returncode, result.stdout
    assert "all promises kept" == result.stdout.splitlines()[-1]


def failure(**fields: Any) -> dict[str, Any]:
    """Return a request that failed between 10 s and 11 s on a new connection."""
    plain = {
        "began_s": 10.0,
        "ended_s": 11.0,
        "worker": 0,
        "is_new": True,
        "reason": "",
        "again": False,
    }
    return {**plain, **fields}


def test_a_kill_excuses_what_was_in_flight_in_that_worker() -> None:
    """Nothing before or after it, and nothing that another worker had."""
    cuts = [Cut(worker=7, from_s=10.5, to_s=10.6)]

    assert is_cut(failure(), cuts)
    assert is_cut(failure(worker=7), cuts)
    assert not is_cut(failure(worker=8), cuts)
    assert not is_cut(failure(began_s=9.0, ended_s=10.3), cuts)
    assert not is_cut(failure(began_s=10.8), cuts)


def test_a_crowd_excuses_a_request_that_was_sent_again() -> None:
    """One that was lost for good is lost, and so is one at another time."""
    assert made_room(failure(again=True), [(9.0, 10.5)])
    assert not made_room(failure(again=False), [(9.0, 10.5)])
    assert not made_room(failure(again=True), [(11.5, 12.0)])


def test_a_lost_request_breaks_a_promise(tmp_path: Path) -> None:
    """It is named beside the trouble that was made then."""
    with set_up(tmp_path) as scene:
        soak = Soak(scene, Bundle(tmp_path), "", has_own_disk=False, chance=random.Random(1))  # noqa: S311 - no secret
    soak.when.append(("reload", 10.5, 12.0))
    told = {"requests": 100, "p50_ms": 1.0, "p99_ms": 1.0, "max_ms": 1.0}

    kept = list(of_requests(soak, {**told, "failures": []}, seconds=1.0))
    broken = list(of_requests(soak, {**told, "failures": [failure(reason="reset")]}, seconds=1.0))

    assert [True, True] == [each.ok for each in kept]
    assert [False, False, True] == [each.ok for each in broken]
    assert "1 beside ('reload', 'reset')" == broken[1].measured


@pytest.mark.parametrize(("last_mb", "grown_mb"), [(30.0, 0.0), (39.0, 9.0)])
def test_growth_is_told_from_the_warm_up(last_mb: float, grown_mb: float) -> None:
    """What is taken in the first quarter is no leak; what is taken later is."""
    sizes = [10.0] * 10 + [30.0] * 20 + [last_mb] * 10
    samples = [Sample(float(at), size, 5, 2) for at, size in enumerate(sizes)]

    assert grown_mb == growth(samples).rss_mb
    assert 0 == growth(samples).handles
