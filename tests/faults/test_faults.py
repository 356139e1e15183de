"""The quick rows of ``make faults``, each with the promise that it holds."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.__main__ import FAULTS, chosen, missing
from tests.faults.asking import read_wrk
from tests.faults.disks import numbers_missing, torn
from tests.faults.figures import Figure, at_most, below, exactly, without

ROOT = Path(__file__).parent.parent.parent
QUICK = [fault for fault in FAULTS if fault.quick]


@pytest.mark.parametrize("name", [fault.name for fault in QUICK])
def test_survives(name: str) -> None:
    """The fault is brought about for a real bundle, and every figure is as promised."""
    (fault,) = [each for each in QUICK if each.name == name]
    if lack := missing(fault):
        pytest.skip(lack)

    result = subprocess.run(
        [sys.executable, "-m", "tests.faults", "--only", name],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=120,
    )

    assert 0 == result.returncode, result.stdout
    assert f"{name}: " in result.stdout


def test_every_row_has_a_name_of_its_own() -> None:
    """``--only`` means one of them, or all that begin so."""
    names = [fault.name for fault in FAULTS]

    assert sorted(set(names)) == sorted(names)
    assert ["log-disk-full", "log-folder-removed"] == [
        each.name for each in chosen(["log-disk", "log-folder-rem"], short=False)
    ]
    with pytest.raises(SystemExit, match="unknown fault 'nothing'"):
        chosen(["nothing"], short=False)


def test_every_row_stands_in_the_reference() -> None:
    """With how it is brought about and what is promised."""
    text = (ROOT / "docs" / "reference" / "faults.md").read_text()

    assert [] == [fault.name for fault in FAULTS if f"| `{fault.name}` |" not in text]


def test_a_figure_that_breaks_its_promise_says_so() -> None:
    """The last word of a line is what one looks for."""
    assert "probes → 0.3 s (< 0.5 s) ok" == str(below("probes", 0.3, 0.5))
    assert "probes → 0.5 s (< 0.5 s) FAILED" == str(below("probes", 0.5, 0.5))
    assert "probes → never (< 0.5 s) FAILED" == str(below("probes", None, 0.5))
    assert "growth → 3 MB (≤ 3 MB) ok" == str(at_most("growth", 3, 3, "MB"))
    assert "growth → 3.1 MB (≤ 3 MB) FAILED" == str(at_most("growth", 3.1, 3, "MB"))
    assert "workers → {2} ({1}) FAILED" == str(exactly("workers", {1}, {2}))
    assert "lines → 2, first 'a' (0) FAILED" == str(without("lines", ["a", "b"]))
    assert Figure("lines", "0", "0", ok=True) == without("lines", [])


WRK = """
Running 2s test @ http://127.0.0.1:2014/
  1 threads and 8 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.06ms    2.01ms  29.85ms   96.22%
    Req/Sec     9.85k     1.23k   11.65k    76.19%
  Latency Distribution
     50%  708.00us
     75%    0.94ms
     90%    1.33ms
     99%   11.65ms
  20617 requests in 2.10s, 12.58MB read
  Socket errors: connect 1, read 20, write 0, timeout 300
  Non-2xx or 3xx responses: 4000
Requests/sec:   9816.62
Transfer/sec:      5.99MB
"""


def test_what_wrk_says_is_read() -> None:
    """Whatever fails counts as failed: errors of sockets, timeouts, other statuses."""
    said = read_wrk(WRK)

    assert (20617, 4321, 9816.62, 11.65) == (said.requests, said.failed, said.per_s, said.p99_ms)
    assert 0 == read_wrk(WRK.replace("Socket errors", "-").replace("Non-2xx", "-")).failed


def test_torn_lines_are_found() -> None:
    """An event is one JSON object with all fields, and without a raw control character."""
    sound = b'{"timestamp": "t", "level": "info", "event": "e", "logger": "l", "pid": 1}'
    wrong = [sound[:40], sound + sound, b"Traceback", b"[]", b"{}", sound.replace(b" ", b"\t"), b""]

    assert wrong == torn([sound, *wrong])


def test_missing_numbers_are_counted() -> None:
    """Each process counts from 1."""
    events: list[dict[str, object]] = [{"pid": 1, "n": n} for n in (1, 2, 4)]
    events += [{"pid": 2, "n": n} for n in (3, 1)]

    assert 2 == numbers_missing(events)
