"""What an answer from the cache costs, beside an application that says the same by heart."""

import io
import statistics
import timeit
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults

from hospital.wsgi import HealthCheckApp
from tests.benchmarks.measuring import Row

BOUND_US = 20.0
BODY = b"{}"


def _by_heart(_environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(BODY)))]
    start_response("200 OK", headers)
    return [BODY]


def _environ() -> dict[str, Any]:
    environ: dict[str, Any] = {"REMOTE_ADDR": "192.0.2.7", "wsgi.input": io.BytesIO()}
    setup_testing_defaults(environ)
    return environ


def from_the_cache(_folder: Path, *, calls: int = 2000, rounds: int = 21) -> list[Row]:
    """Requests while a finished run is served again, without a server around them."""
    app = HealthCheckApp("hospital.healthchecks.predictable", cache_ttl=3600)
    environ = _environ()

    def start_response(status: str, *_headers: object) -> Callable[[bytes], object]:
        if status != "200 OK":
            raise RuntimeError(f"the application answers {status}")
        return lambda _body: None

    try:
        list(app(environ, start_response))
        taken: dict[str, list[float]] = {"ours": [], "by heart": []}
        for _ in range(rounds):
            for name, each in (("ours", app), ("by heart", _by_heart)):
                call = timeit.Timer(lambda each=each: each(environ, start_response))  # type: ignore[misc]
                taken[name].append(call.timeit(calls) / calls * 1e6)
    finally:
        app.close()
    ours_us, peer_us = (statistics.median(each) for each in taken.values())
    return [
        Row(
            what="HealthCheckApp called in process, from the cache",
            ours=f"{ours_us:.1f} µs",
            peer=f"{peer_us:.1f} µs, the same by heart",
            ratio=ours_us / peer_us,
            bound=f"{BOUND_US:g} µs",
            ok=ours_us <= BOUND_US,
        )
    ]
