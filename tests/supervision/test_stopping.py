"""circusd ends on a signal that comes while it is busy with something else."""

import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hospital.supervision.stopping import ask_until_it_stops
from tests.circus_bundle import Bundle, is_gone, poll

APPLICATION = """
import os
import time

def application(environ, start_response):
    if environ["PATH_INFO"] == "/slow":
        open(f"arrived-{os.getpid()}", "w").close()
        time.sleep(3)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"ok"]
"""


@pytest.fixture
def bundle(tmp_path: Path) -> Iterator[Bundle]:
    """One whose workers take their time."""
    made = Bundle(tmp_path)
    made.serve(APPLICATION, workers=1)
    yield made
    made.end()


def test_a_signal_during_a_reload_is_not_lost(bundle: Bundle) -> None:
    """While the old worker drains, Circus refuses to quit; it is asked again."""
    circusd = bundle.start()
    (old,) = bundle.workers()
    answers: list[Any] = []
    client = threading.Thread(target=lambda: answers.append(bundle.get("/slow")))
    client.start()
    poll((bundle.folder / f"arrived-{old}").exists)
    reloading = subprocess.Popen(
        [*bundle.circusctl(), "reload", "hospital-web", "--waiting"],
        cwd=bundle.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    poll(lambda: bundle.serving() - {old})

    circusd.send_signal(signal.SIGTERM)

    assert 0 == circusd.wait(20)
    client.join()
    reloading.wait(20)
    assert [(200, b"ok")] == answers
    assert is_gone(old)


class Loop:
    """What is touched of tornado's loop; time passes when the test says so."""

    def __init__(self) -> None:
        self.later: list[Any] = []

    def call_later(self, _seconds: float, callback: Any) -> None:
        self.later.append(callback)

    def add_callback_from_signal(self, callback: Any, *arguments: Any) -> None:
        callback(*arguments)


def test_it_is_asked_until_it_stops_and_no_longer() -> None:
    """However often the hook is called, one signal is one series of requests."""
    asked: list[str] = []
    handler = SimpleNamespace(quit=lambda: asked.append("quit"))
    arbiter = SimpleNamespace(
        ctrl=SimpleNamespace(sys_hdl=handler), loop=Loop(), running=True, _stopping=False
    )
    ask_until_it_stops(arbiter)
    ask_until_it_stops(arbiter)

    handler.quit()
    arbiter.loop.later.pop()()
    arbiter._stopping = True
    arbiter.loop.later.pop()()

    assert ["quit", "quit"] == asked
    assert [] == arbiter.loop.later
