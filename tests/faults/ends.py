"""Processes that die, hang, or do not start."""

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from functools import partial

from tests.faults.applications import BESIDE, SLOW
from tests.faults.asking import Probes
from tests.faults.bundle import BIN, ROOT, Bundle, kill
from tests.faults.figures import Fault, Figure, at_most, below, exactly, holds
from tests.faults.processes import is_gone
from tests.faults.scene import Scene
from tests.faults.waiting import poll, seconds_until

BACK_S = 2.0
WATCHDOG_S = 3
SPARE_S = 2.0
GOING_S = 3.0


def worker_killed(scene: Scene) -> Iterator[Figure]:
    """``kill -9`` of a worker, three times in a row."""
    bundle = scene.bundle()
    bundle.one_answer()
    bundle.start()
    with Probes(bundle.address) as probes:
        for number in range(1, 4):
            victim = min(poll(lambda: len(found := bundle.ready()) == 2 and found))
            kill(victim)
            back = seconds_until(lambda victim=victim: len(bundle.ready() - {victim}) == 2, 10)  # type: ignore[misc]
            yield below(f"back after kill {number}", back, BACK_S)
    yield exactly(f"failed of {len(probes.took_s)} probes meanwhile", 0, probes.failed)


def _all_gone(bundle: Bundle, left: set[int]) -> float | None:
    return seconds_until(lambda: all(map(is_gone, left)), 15)


def _has_arrived(bundle: Bundle) -> bool:
    return bool(list(bundle.folder.glob("arrived-*")))


def circusd_killed(scene: Scene) -> Iterator[Figure]:
    """``kill -9`` of circusd, while nobody asks, and with a request in flight."""
    for seconds in ("0", "8"):
        what = "idle" if seconds == "0" else "a request of 8 s in flight"
        bundle = scene.bundle()
        bundle.checks("slow", SLOW)
        (bundle.folder / "seconds").write_text(seconds)
        bundle.start()
        with ThreadPoolExecutor() as threads:
            asked = threads.submit(bundle.ask)
            poll(partial(_has_arrived, bundle))
            if seconds == "0":
                asked.result()
            left = bundle.tree()
            bundle.circusd.kill()
            bundle.circusd.wait()
            gone = _all_gone(bundle, left)
            yield below(f"{what}: {len(left)} processes are gone", gone, BACK_S)
            asked.result()
        (bundle.folder / "seconds").write_text("0")
        again = seconds_until(lambda bundle=bundle: bundle.start() is None, 5)  # type: ignore[misc]
        yield below(f"{what}: it serves again", again, 10)
        bundle.end()


def _stop(bundle: Bundle) -> int:
    victim = min(bundle.ready())
    kill(victim, signal.SIGSTOP)
    return victim


def _stick(path: str, bundle: Bundle) -> int:
    """Send a worker to where it stays, and return which."""
    with closing(socket.create_connection(bundle.address, timeout=5)) as connection:
        connection.sendall(b"GET /pid HTTP/1.1\r\nHost: test\r\n\r\n")
        said = connection.recv(65_536)
        with suppress(TimeoutError):
            connection.settimeout(0.2)
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
            connection.recv(1)
    return int(said.partition(b"\r\n\r\n")[2])


def stuck_workers(scene: Scene) -> Iterator[Figure]:
    """A worker that is stopped, spins, or holds the GIL, with a watchdog of 3 s."""
    ways: dict[str, tuple[Callable[[Bundle], int], str]] = {
        "SIGSTOP": (_stop, ""),
        "spin": (partial(_stick, "/spin"), "hold_the_loop"),
        "GIL": (partial(_stick, "/gil"), "hold_the_gil"),
    }
    bundle = scene.bundle()
    bundle.one_answer()
    bundle.serve()
    bundle.watchdog(WATCHDOG_S)
    bundle.start()
    for way, (stick, function) in ways.items():
        poll(lambda: len(bundle.ready()) == 2, what="two workers that serve")
        with Probes(bundle.address) as probes:
            victim = stick(bundle)
            replaced = seconds_until(
                lambda victim=victim: is_gone(victim) and len(bundle.ready() - {victim}) == 2,  # type: ignore[misc]
                WATCHDOG_S + 10,
            )
        yield below(f"{way}: replaced", replaced, WATCHDOG_S + SPARE_S)
        yield exactly(f"{way}: failed of {len(probes.took_s)} probes", 0, probes.failed)
        if function:
            there = seconds_until(lambda function=function: function in bundle.logged(), 3)  # type: ignore[misc]
            yield holds(
                f"{way}: its stacks are in the log", str(there is not None), ok=there is not None
            )


CRASHING = """
import os
with open("starts", "a") as starts:
    starts.write(f"{os.getpid()} ")
import a_module_that_is_missing
"""


def crash_loop(scene: Scene) -> Iterator[Figure]:
    """Workers that die at once, of an import that fails."""
    bundle = scene.bundle()
    bundle.serve("crashing.app", CRASHING)
    bundle.launch()
    poll((bundle.folder / "starts").exists, what="a first start")
    began = time.monotonic()
    time.sleep(8)
    starts = len(set((bundle.folder / "starts").read_text().split()))
    took_s = time.monotonic() - began
    yield at_most(f"starts a second over {took_s:.0f} s", starts / took_s, 1, "1/s")
    said = bundle.logged()
    named = [line for line in said.splitlines() if "a_module_that_is_missing" in line]
    yield holds("the log names the cause", named[-1][:300] if named else "no", ok=bool(named))
    counted = [line for line in said.splitlines() if "in a row" in line]
    yield holds("the log counts", counted[-1][:300] if counted else "no", ok=bool(counted))
    yield exactly("circusd lives", None, bundle.circusd.poll())
    yield exactly("exit code of a stop", 0, bundle.stop())


def _refusal(said: str, port: int) -> str:
    pattern = (
        rf"cannot listen on 127\.0\.0\.1:{port}: the port is in use by \S+ \(pid \d+\); stop it, .*"
    )
    found = re.search(pattern, said)
    return found[0] if found else ""


def port_taken(scene: Scene) -> Iterator[Figure]:
    """The port belongs to somebody else, for circusd and for ``make run``."""
    bundle = scene.bundle()
    with closing(socket.create_server(bundle.address)):
        bundle.launch()
        began = time.monotonic()
        code = bundle.circusd.wait(20)
        took_s = time.monotonic() - began
        said = bundle.output()
        line = _refusal(said, bundle.address[1])
        yield holds("circusd: exit code", str(code), ok=code != 0)
        yield holds("circusd: who holds it", line or said[-500:], ok=f"(pid {os.getpid()})" in line)
        yield exactly("circusd: lines", 1, len(said.splitlines()))
        yield at_most("circusd: said after", took_s, 2)
        shutil.copy(ROOT / "Makefile", bundle.folder)
        (bundle.folder / "none").mkdir()
        (bundle.folder / "none" / ".installed").touch()
        make = subprocess.run(
            ["make", "run", "VENV=none", f"BIN={BIN}", "--old-file=none/.installed"],
            cwd=bundle.folder,
            env={"PATH": "/usr/bin:/bin"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=30,
            check=False,
        )
        line = _refusal(make.stdout, bundle.address[1])
        yield holds("make run: exit code", str(make.returncode), ok=make.returncode != 0)
        yield holds(
            "make run: who holds it", line or make.stdout[-500:], ok=f"(pid {os.getpid()})" in line
        )


SOUND = """
import hospital


@hospital.healthcheck
def sound():
    "It passes."
"""
RAISES = "raise RuntimeError('broken on purpose')\n"
BROKEN_APPLICATIONS = {
    "a syntax error": "this is no Python\n",
    "an import that raises": RAISES,
    "an import that hangs": "import time\ntime.sleep(600)\n",
}
BROKEN_CHECKS = {
    "checks with a syntax error": "this is no Python\n",
    "checks whose import raises": RAISES,
}
_REFUSED = "reload of hospital-web refused"


def broken_reloads(scene: Scene) -> Iterator[Figure]:
    """``circusctl reload`` into code that is broken: the application, and the checks of ours."""
    bundle = scene.bundle()
    bundle.serve()
    yield from _reloads(bundle, "beside.py", BESIDE, BROKEN_APPLICATIONS)
    bundle = scene.bundle()
    bundle.checks("sound", SOUND)
    yield from _reloads(bundle, "sound.py", SOUND, BROKEN_CHECKS)


def _reloads(bundle: Bundle, name: str, source: str, breaks: dict[str, str]) -> Iterator[Figure]:
    bundle.start()
    before = bundle.ready()
    for what, broken in breaks.items():
        said_before = _refusals(bundle)
        _write(bundle, name, broken)
        with Probes(bundle.address) as probes:
            bundle.control("reload", "hospital-web")
            bundle.control("status")
        end = time.monotonic() + GOING_S  # a new one that is refused may drain
        while sorted(bundle.workers()) != sorted(before) and time.monotonic() < end:
            time.sleep(0.05)
        yield exactly(f"{what}: the old workers go on", sorted(before), sorted(bundle.workers()))
        # With checks the probes see them fail, and that is as it should be.
        lost = probes.failed if name == "beside.py" else 0
        yield exactly(f"{what}: failed of {len(probes.took_s)} probes", 0, lost)
        said = _refusals(bundle)[len(said_before) :]
        yield holds(f"{what}: it is said", said[-1][:300] if said else "no", ok=len(said) == 1)
    _write(bundle, name, source)
    bundle.control("reload", "hospital-web")
    replaced = seconds_until(lambda: len(bundle.ready() - before) == 2 == len(bundle.workers()), 20)
    yield below(f"{name} mended, a reload replaces the workers", replaced, 20)
    bundle.end()


def _write(bundle: Bundle, name: str, source: str) -> None:
    (bundle.folder / name).write_text(source)
    # A compiled form made in the same second would hide the change.
    shutil.rmtree(bundle.folder / "__pycache__", ignore_errors=True)


def _refusals(bundle: Bundle) -> list[str]:
    return [line for line in bundle.output().splitlines() if _REFUSED in line]


FAULTS = (
    Fault("worker-killed", worker_killed, quick=True),
    Fault("circusd-killed", circusd_killed),
    Fault("stuck-workers", stuck_workers),
    Fault("crash-loop", crash_loop),
    Fault("port-taken", port_taken, needs=("make",), quick=True),
    Fault("broken-reloads", broken_reloads),
)
