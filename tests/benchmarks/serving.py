"""What the bundle serves, beside gunicorn and nginx, and what it holds.

Server and client have a core each. The systems take turns, so that whatever else the machine
does slows all of them alike.
"""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.measuring import BIN, Row, medians_s
from tests.faults import growth, slow_clients
from tests.faults.asking import Address, Load, Wrk, ask
from tests.faults.bundle import ROOT, Bundle, free_port
from tests.faults.figures import Figure
from tests.faults.processes import rss_mb
from tests.faults.scene import Scene, set_up
from tests.faults.waiting import poll

CONNECTIONS = 32
KEPT_BOUND = 1.3
CLOSED_BOUND = 0.9
SATURATED_BOUND_MS = 100.0
STEADY_BOUND_MS = 5.0
WORKER_BOUND_MB = 60.0
CIRCUSD_BOUND_MB = 45.0
RENDER_BOUND_S = 0.3

CONSTANT = """
from pathlib import Path

BODY = Path("body").read_bytes()
HEADERS = [("Content-Type", "application/json; charset=utf-8"), ("Content-Length", str(len(BODY)))]


def app(environ, start_response):
    start_response("200 OK", HEADERS)
    return [BODY]
"""

NGINX = """
daemon off;
master_process off;
worker_processes 1;
pid nginx.pid;
error_log stderr error;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    keepalive_requests 1000000;
    open_file_cache max=10;
    server {{
        listen 127.0.0.1:{port};
        root .;
        default_type application/json;
        location / {{ try_files /body =404; }}
    }}
    client_body_temp_path temp;
    proxy_temp_path temp;
    fastcgi_temp_path temp;
    uwsgi_temp_path temp;
    scgi_temp_path temp;
}}
"""


@dataclass(frozen=True, slots=True)
class Cores:
    """Prefixes of commands: the first core for who serves, the last for who asks."""

    server: tuple[str, ...]
    client: tuple[str, ...]


def cores() -> Cores:
    """Return how commands are kept apart; on a machine of one core they are not."""
    usable = sorted(os.sched_getaffinity(0))
    if len(usable) < 2:
        return Cores((), ())
    return Cores(("taskset", "-c", str(usable[0])), ("taskset", "-c", str(usable[-1])))


def _environment(folder: Path) -> dict[str, str]:
    # HOME: gunicorn leaves a control socket there.
    return {"PATH": f"{os.environ['PATH']}:/usr/sbin", "HOME": str(folder)}


def _bundle(scene: Scene) -> Bundle:
    bundle = scene.bundle()
    bundle.one_answer()
    bundle.workers_at_once(1)
    bundle.start(*cores().server, number=1)
    return bundle


def _gunicorn(scene: Scene, folder: Path) -> Address:
    (folder / "constant.py").write_text(CONSTANT)
    address = ("127.0.0.1", free_port())
    scene.start(
        *(*cores().server, str(BIN / "gunicorn"), "--worker-class", "gevent", "--workers", "1"),
        *("--bind", f"{address[0]}:{address[1]}", "--log-level", "warning", "constant:app"),
        cwd=folder,
        env=_environment(folder),
    )
    poll(lambda: ask(address, timeout_s=1), what="an answer of gunicorn")
    return address


def _nginx(scene: Scene, folder: Path) -> Address:
    address = ("127.0.0.1", free_port())
    user = "user root;\n" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(user + NGINX.format(port=address[1]))
    scene.start(
        *(*cores().server, "nginx", "-p", str(folder), "-c", "nginx.conf"),
        cwd=folder,
        env=_environment(folder),
    )
    poll(lambda: ask(address, timeout_s=1), what="an answer of nginx")
    return address


BOUNDS = {"kept": KEPT_BOUND, "closed": CLOSED_BOUND}


def throughput(
    folder: Path, *, rounds: int = 5, seconds: int = 4, ways: tuple[str, ...] = tuple(BOUNDS)
) -> list[Row]:
    """``GET /`` from the cache with 32 connections, beside the same bytes from somebody else."""
    rows: list[Row] = []
    with set_up(folder) as scene:
        bundle = _bundle(scene)
        answer = bundle.ask()
        (folder / "body").write_bytes(answer.body if answer else b"")
        addresses = {
            "ours": bundle.address,
            "gunicorn": _gunicorn(scene, folder),
            "nginx": _nginx(scene, folder),
        }
        for how in ways:
            said: dict[str, list[Load]] = {name: [] for name in addresses}
            for _ in range(rounds):
                for name, address in addresses.items():
                    wrk = Wrk(address, seconds, CONNECTIONS, how == "closed", prefix=cores().client)
                    said[name].append(wrk.result())
            rows += _rows_of(said, f"{CONNECTIONS} {how} connections", BOUNDS[how])
        held_mb = {"worker": rss_mb(min(bundle.workers())), "circusd": rss_mb(bundle.circusd.pid)}
    bounds = {"worker": WORKER_BOUND_MB, "circusd": CIRCUSD_BOUND_MB}
    rows += [
        _alone(
            f"resident memory of {name} then",
            f"{held:.1f} MB",
            f"{bounds[name]:g} MB",
            ok=held <= bounds[name],
        )
        for name, held in held_mb.items()
    ]
    return rows


def _rows_of(said: dict[str, list[Load]], how: str, bound: float) -> Iterator[Row]:
    rates = {name: statistics.median(each.per_s for each in loads) for name, loads in said.items()}
    p99_ms = {
        name: statistics.median(each.p99_ms for each in loads) for name, loads in said.items()
    }
    failed = sum(each.failed for each in said["ours"])

    def ratio(peer: str) -> float:
        pairs = zip(said["ours"], said[peer], strict=True)
        return statistics.median(ours.per_s / theirs.per_s for ours, theirs in pairs)

    what = f"GET / from the cache, {how}"
    yield Row(
        what=what,
        ours=f"{rates['ours']:,.0f}/s, {failed} failed",
        peer=f"{rates['gunicorn']:,.0f}/s, gunicorn gevent, a constant",
        ratio=ratio("gunicorn"),
        bound=f"at least {bound:g} x",
        ok=ratio("gunicorn") >= bound and not failed,
    )
    yield Row(
        what=f"{what}, p99",
        ours=f"{p99_ms['ours']:.1f} ms",
        peer=f"{p99_ms['gunicorn']:.1f} ms, gunicorn gevent",
        ratio=p99_ms["ours"] / p99_ms["gunicorn"],
        bound=f"{SATURATED_BOUND_MS:g} ms",
        ok=p99_ms["ours"] <= SATURATED_BOUND_MS,
    )
    yield Row(
        what=f"{what}, the limit",
        ours=f"{rates['ours']:,.0f}/s",
        peer=f"{rates['nginx']:,.0f}/s, nginx, a file",
        ratio=ratio("nginx"),
        bound="",
        ok=True,
    )


def _alone(what: str, ours: str, bound: str, *, ok: bool) -> Row:
    return Row(what=what, ours=ours, peer="", ratio=None, bound=bound, ok=ok)


def steady(folder: Path, *, per_s: int = 200, seconds: int = 10, rounds: int = 3) -> list[Row]:
    """A steady rate far below what is possible: nobody waits."""
    with set_up(folder) as scene:
        host, port = _bundle(scene).address
        rate = ("--per-s", str(per_s), "--seconds", str(seconds))
        module = (sys.executable, "-m", "tests.benchmarks.steady", host, str(port), *rate)
        told = [
            json.loads(subprocess.check_output([*cores().client, *module], cwd=ROOT, text=True))
            for _ in range(rounds)
        ]
    p99_ms = statistics.median(each["p99_ms"] for each in told)
    failed = sum(each["failed"] for each in told)
    slowest = max(each["max_ms"] for each in told)
    return [
        _alone(
            f"GET / at {per_s} requests a second, p99",
            f"{p99_ms:.2f} ms, slowest {slowest:.1f} ms",
            f"{STEADY_BOUND_MS:g} ms",
            ok=p99_ms <= STEADY_BOUND_MS and not failed,
        )
    ]


def _as_rows(prefix: str, figures: Iterator[Figure]) -> list[Row]:
    """Return those of *figures* that have a limit."""
    return [
        _alone(f"{prefix}{each.what}", each.measured, each.criterion, ok=each.ok)
        for each in figures
        if each.criterion.startswith(("<", "≤"))
    ]


def crowded(
    folder: Path, *, number: int = slow_clients.FLOOD, stay_s: float = slow_clients.STAY_S
) -> list[Row]:
    """Probes beside more idle connections than there are file handles."""
    with set_up(folder) as scene:
        figures = slow_clients.flood(scene, "idle", number=number, stay_s=stay_s)
        return _as_rows(f"{number:,} idle, {slow_clients.HANDLES:,} handles, ", figures)


def grown(
    folder: Path, *, requests: int = growth.REQUESTS, reloads: int = growth.RELOADS
) -> list[Row]:
    """What a worker and circusd hold more than before, after many requests and many reloads."""
    (folder / "requests").mkdir()
    (folder / "reloads").mkdir()
    with set_up(folder / "requests") as scene:
        rows = _as_rows("", growth.many_requests(scene, number=requests))
    with set_up(folder / "reloads") as scene:
        return rows + _as_rows("", growth.many_reloads(scene, number=reloads))


def rendering(folder: Path, *, rounds: int = 10) -> list[Row]:
    """A set for a machine, from the start of the command to its end; written each time."""
    command = [str(BIN / "hospital-deploy"), "render", "--output", str(folder / "set")]
    again = [*command, "--port", "8001"]
    # Each writes over what the other has written, so both write.
    taken = medians_s(
        {"one": command, "other": again, "python": [sys.executable, "-c", "pass"]},
        folder,
        rounds=rounds,
    )
    ours_s = max(taken["one"], taken["other"])
    return [
        Row(
            what="hospital-deploy render",
            ours=f"{ours_s * 1000:.0f} ms",
            peer=f"{taken['python'] * 1000:.0f} ms, the start of Python",
            ratio=ours_s / taken["python"],
            bound=f"{RENDER_BOUND_S * 1000:g} ms",
            ok=ours_s <= RENDER_BOUND_S,
        )
    ]
