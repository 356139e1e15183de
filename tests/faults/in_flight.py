"""Requests that are under way when something else happens: none may be lost."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial

from tests.faults.applications import BESIDE, COUNTED, SLOW
from tests.faults.asking import Answer, Probes, ask
from tests.faults.bundle import WATCHER, Bundle
from tests.faults.figures import Fault, Figure, at_most, below, exactly, holds
from tests.faults.scene import Scene
from tests.faults.waiting import poll, seconds_until

COLD = 500
IN_FLIGHT = 20
RELOADS = 3


def cold_requests(scene: Scene) -> Iterator[Figure]:
    """500 requests at once, before any check has run."""
    bundle = scene.bundle()
    bundle.workers_at_once(1)
    bundle.checks("counted", COUNTED)
    bundle.start(number=1)
    visitors = scene.visitors("ask", bundle.address, COLD)
    took = seconds_until(lambda: visitors.report()["left"] == COLD, 15)
    yield exactly("answered", {"200": COLD}, visitors.report()["statuses"])
    yield exactly("runs of a check of 1 s", 1, len((bundle.folder / "runs").read_text()))
    yield below("all of them", took, 5)


def _arrived(bundle: Bundle) -> int:
    return sum(len(path.read_text()) for path in bundle.folder.glob("arrived-*"))


def _good(answers: list[Answer | None]) -> int:
    return sum(answer is not None and answer.status == 200 for answer in answers)


def stop_with_requests(scene: Scene) -> Iterator[Figure]:
    """SIGTERM to circusd with 20 requests in flight: 10 of a check that runs, 10 beside it."""
    bundle = scene.bundle()
    bundle.serve()
    bundle.checks("slow", SLOW)
    (bundle.folder / "seconds").write_text("2")
    bundle.start()
    with ThreadPoolExecutor(IN_FLIGHT) as threads:
        paths = ["/wait?2"] * (IN_FLIGHT // 2) + ["/"] * (IN_FLIGHT // 2)
        answers = [threads.submit(bundle.ask, path) for path in paths]
        poll(lambda: _arrived(bundle) > IN_FLIGHT // 2)
        began = time.monotonic()
        code = bundle.stop()
        took_s = time.monotonic() - began
        good = _good([each.result() for each in answers])
    yield exactly("answered with 200", IN_FLIGHT, good)
    yield exactly("exit code of circusd", 0, code)
    yield below("circusd has stopped", took_s, 5)
    yield exactly("processes that are left", set(), bundle.roll.alive())


def term_of_a_worker(scene: Scene) -> Iterator[Figure]:
    """SIGTERM to one worker with 20 requests in flight, on a socket that is not circusd's."""
    (scene.folder / "beside.py").write_text(BESIDE)
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        address = listener.getsockname()
        worker = scene.start(
            *(sys.executable, "-m", "hospital.serving.worker", "--fd", str(listener.fileno())),
            "beside.app",
            cwd=scene.folder,
            env={"HEALTHCHECKS": "hospital.healthchecks.predictable", "PATH": "/usr/bin:/bin"},
            pass_fds=[listener.fileno()],
            stdout=subprocess.DEVNULL,
        )
        poll(lambda: ask(address, "/pid", timeout_s=1))
    with ThreadPoolExecutor(IN_FLIGHT) as threads:
        answers = [threads.submit(ask, address, "/wait?2") for _ in range(IN_FLIGHT)]
        arrived = scene.folder / f"arrived-{worker.pid}"
        poll(lambda: arrived.exists() and len(arrived.read_text()) == IN_FLIGHT)
        worker.send_signal(signal.SIGTERM)
        refused = seconds_until(lambda: ask(address, "/pid", timeout_s=0.2) is None, 2)
        good = _good([each.result() for each in answers])
    yield exactly("answered with 200", IN_FLIGHT, good)
    yield below("new connections are refused", refused, 1)
    yield exactly("exit code of the worker", 0, worker.wait(5))


def _are_gone(bundle: Bundle, workers: set[int]) -> bool:
    return not workers & bundle.workers()


def reloads_under_load(scene: Scene) -> Iterator[Figure]:
    """Three ``circusctl reload`` under wrk, with connections that are kept and that are not."""
    bundle = scene.bundle()
    bundle.one_answer()
    bundle.start()
    loads = {
        name: scene.wrk(bundle.address, 60, connections=8, close=name == "close")
        for name in ("keep-alive", "close")
    }
    slowest_s = 0.0
    replaced = set()
    for _ in range(RELOADS):
        before = poll(lambda: len(found := bundle.ready()) == 2 and found)
        began = time.monotonic()
        done = bundle.control("reload", "hospital-web")
        slowest_s = max(slowest_s, time.monotonic() - began)
        yield exactly("circusctl reload", 0, done.returncode)
        poll(partial(_are_gone, bundle, before), 20, "the end of the old workers")
        replaced |= before
    still = all(load.is_running() for load in loads.values())
    yield holds("the load lasted throughout", str(still).lower(), ok=still)
    yield exactly("workers replaced", 2 * RELOADS, len(replaced))
    yield at_most("slowest reload", slowest_s, 5)
    for name, load in loads.items():
        said = load.result(early=True)
        what = f"failed of {said.requests} requests, {name} {said.complaint}".rstrip()
        yield exactly(what, 0, said.failed)


def circusd_stopped(scene: Scene) -> Iterator[Figure]:
    """Circusd itself stopped with SIGSTOP for 20 s under load, with a log line for each answer."""
    bundle = scene.bundle()
    bundle.one_answer()
    bundle.environment(HOSPITAL_ACCESS_LOG="all")
    bundle.put(WATCHER, "stdout_stream.backup_count", "50")
    bundle.watchdog(5)
    bundle.start()
    workers = bundle.workers()
    load = scene.wrk(bundle.address, 24, connections=8)
    with Probes(bundle.address) as probes:
        time.sleep(1)
        bundle.circusd.send_signal(signal.SIGSTOP)
        time.sleep(20)
        bundle.circusd.send_signal(signal.SIGCONT)
        said = load.result()
    yield exactly(f"failed of {said.requests} requests {said.complaint}".rstrip(), 0, said.failed)
    yield below(f"slowest of {len(probes.took_s)} probes", probes.slowest_s, 0.5)
    yield exactly("workers", sorted(workers), sorted(bundle.workers()))
    wanted = said.requests + len(probes.took_s)

    def told_of() -> int:
        dropped = sum(int(each["dropped"]) for each in bundle.events("log_lines_dropped"))
        return dropped + len(bundle.events("request_answered"))

    there = seconds_until(lambda: told_of() >= wanted, 10)
    what = f"log lines of {wanted} requests, {len(bundle.events('request_answered'))} there"
    yield holds(f"{what}, the others counted as dropped", str(told_of()), ok=there is not None)
    code = bundle.stop()
    yield exactly("exit code of circusd", 0, code)


FAULTS = (
    Fault("cold-requests", cold_requests, quick=True),
    Fault("stop-with-requests", stop_with_requests, quick=True),
    Fault("term-of-a-worker", term_of_a_worker),
    Fault("reloads-under-load", reloads_under_load, needs=("wrk",)),
    Fault("circusd-stopped", circusd_stopped, needs=("wrk",)),
)
