"""The view under ASGI: in a thread for each request, beside a loop that goes on."""

import asyncio
import sys
import threading
import time
import traceback
from typing import Any
from wsgiref.validate import validator

from django.core.handlers.asgi import ASGIHandler
from django.urls import re_path

from hospital.django import make_wsgi_view
from hospital.model import Outcome, Report, Status
from hospital.running.executor import Catalog, Selection
from hospital.web.runs import SharedRuns
from hospital.wsgi import HealthCheckApp
from tests.django.asking import Answered, ask_asgi
from tests.django.conftest import Site

REQUESTS = 20


class Patient:
    """Ends its run when it is let go."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.runs = 0

    def run(self, *_args: Any, **_kwargs: Any) -> Report:
        self.runs += 1
        status = Status.PASS if self.go.wait(30) else Status.ERROR
        return Report((Outcome(id="a", title="a", status=status),))

    def collect(self, _selection: Selection) -> Catalog:
        return Catalog((), ())

    def close(self) -> None:
        self.go.set()


def test_it_gets_a_whole_environ(site: Site) -> None:
    """ASGI has none: it is made, as PEP 3333 wants it."""
    seen: dict[str, Any] = {}

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        seen.update(environ)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"seen"]

    with site(re_path(r"^healthchecks(/.*)$", make_wsgi_view(validator(app)))):
        answered = asyncio.run(ask_asgi(ASGIHandler(), "/healthchecks/"))

    assert (200, b"seen") == (answered.status, answered.body)
    assert ("/healthchecks", "/") == (seen["SCRIPT_NAME"], seen["PATH_INFO"])
    assert ("127.0.0.1", "40000") == (seen["REMOTE_ADDR"], seen["REMOTE_PORT"])
    assert ("localhost:8000", "1") == (seen["HTTP_HOST"], seen["HTTP_X_PROBE"])


def test_many_requests_share_a_run_and_the_loop_goes_on(site: Site) -> None:
    """Twenty wait in threads of theirs while the loop does other work, and no thread is short."""
    executor = Patient()
    app = HealthCheckApp("checks", executor=executor, cache_ttl=0)

    async def ask_at_once() -> list[Answered]:
        handler = ASGIHandler()
        asked = [
            asyncio.ensure_future(ask_asgi(handler, "/healthchecks/")) for _ in range(REQUESTS)
        ]
        deadline = time.monotonic() + 20
        while waiting() < REQUESTS and time.monotonic() < deadline:  # noqa: ASYNC110 - of threads
            await asyncio.sleep(0.001)  # it would stand still if a request held the loop
        executor.go.set()
        return await asyncio.gather(*asked)

    with site(re_path(r"^healthchecks(/.*)$", make_wsgi_view(app))):
        answers = asyncio.run(ask_at_once())
    app.close()

    assert [200] * REQUESTS == [answered.status for answered in answers]
    assert 1 == executor.runs


def waiting() -> int:
    """Return how many threads wait for a run by now; each of them will share it."""
    count = 0
    for innermost in sys._current_frames().values():
        codes = {frame.f_code for frame, _line in traceback.walk_stack(innermost)}
        count += {SharedRuns.get.__code__, threading.Event.wait.__code__} <= codes
    return count


def test_checks_may_be_coroutines_that_call_threads(site: Site) -> None:
    """A check that awaits ``sync_to_async`` finds a thread, though requests wait in theirs."""
    checks = "tests.django.site_checks.a_coroutine_calls_a_thread"
    app = HealthCheckApp(checks, executor="thread", timeout=20)

    async def ask_at_once() -> list[Answered]:
        handler = ASGIHandler()
        return await asyncio.gather(*(ask_asgi(handler, "/healthchecks/") for _ in range(REQUESTS)))

    with site(re_path(r"^healthchecks(/.*)$", make_wsgi_view(app))):
        answers = asyncio.run(ask_at_once())
    app.close()

    assert [200] * REQUESTS == [answered.status for answered in answers], answers[0].body


def test_head_and_what_is_below(site: Site) -> None:
    """They are answered as over WSGI."""
    app = HealthCheckApp("hospital.healthchecks.predictable")

    async def ask_both() -> list[Answered]:
        handler = ASGIHandler()
        head = await ask_asgi(handler, "/healthchecks/", "HEAD")
        return [head, await ask_asgi(handler, "/healthchecks/nothing")]

    with site(re_path(r"^healthchecks(/.*)$", make_wsgi_view(app))):
        head, below = asyncio.run(ask_both())
    app.close()

    assert (200, b"") == (head.status, head.body)
    assert int(head.headers["content-length"]) > 0
    assert 404 == below.status
