"""What becomes of the bundle in a bad night: its real circusd, workers and guard."""

import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from threading import Event

import pytest

from tests.circus_bundle import Bundle, is_gone, poll

WATCHDOG_S = 2.0
APPLICATION = """
import ctypes
import os
import signal
import time

def spin():
    while True:
        pass

def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/spin":
        open("spins", "w").close()
        spin()
    if path == "/hold":
        ctypes.PyDLL(None).sleep(60)
    if path == "/slow":
        open(f"arrived-{environ['QUERY_STRING']}", "w").close()
        time.sleep(0.5)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
"""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bundle]:
    """One that runs all the while; each test leaves it well."""
    made = Bundle(tmp_path_factory.mktemp("bundle"))
    made.serve(APPLICATION, watchdog=f"{WATCHDOG_S:g}s", workers=3)
    made.replace("reload_timeout = 10", "reload_timeout = 3")  # circusctl waits for 5 s
    made.start()
    yield made
    made.end()


@pytest.fixture
def well(shared: Bundle) -> Bundle:
    """The shared one, all of its workers serving."""
    (shared.folder / "app.py").write_text(APPLICATION)
    poll(lambda: len(shared.serving()) == 3)
    return shared


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Bundle]:
    """One for a single test, not started yet."""
    made = Bundle(tmp_path)
    yield made
    made.end()


def guard_of(bundle: Bundle) -> int:
    import psutil

    assert bundle.circusd is not None
    (pid,) = [
        child.pid
        for child in psutil.Process(bundle.circusd.pid).children()
        if "hospital.supervision.guard.Guard" in child.cmdline()
    ]
    return pid


def test_nothing_of_the_environment_leaks(well: Bundle) -> None:
    """The workers get what the configuration says and what the hook adds; the guard nothing."""
    import psutil

    configured = {
        option.partition(" = ")[0]
        for option in (well.folder / "circus.ini.d" / "hospital-web.ini")
        .read_text()
        .partition("[env:hospital-web]")[2]
        .splitlines()
        if " = " in option and option[0] != "#"
    }

    for pid in well.serving():
        assert configured | {"CIRCUSD_PID"} == set(psutil.Process(pid).environ())
    assert {} == psutil.Process(guard_of(well)).environ()


def test_the_guard_is_shown_and_light(well: Bundle) -> None:
    """As a watcher of its own in ``circusctl status``; it takes next to no time."""
    import psutil

    guard = psutil.Process(guard_of(well))
    before_s, began_s = sum(guard.cpu_times()[:2]), time.monotonic()

    status = well.control("status")

    assert "plugin:hospital-guard: active" in status
    assert guard.memory_info().rss < 45_000_000
    used_s = sum(guard.cpu_times()[:2]) - before_s
    assert used_s < 0.05 + 0.2 * (time.monotonic() - began_s)


def test_a_second_circusd_is_refused_and_the_first_goes_on(well: Bundle) -> None:
    """Circus alone would give the control sockets to the second."""
    assert well.circusd is not None
    first = well.circusd
    second = well.launch()
    well.circusd = first

    code = second.wait(20)

    endpoint = "deploy/var/run/circusd.sock"
    assert 1 == code
    said = [line for line in well.output().splitlines() if line.startswith("circusd: error: ")]
    remedy = f"end it first: circusctl --endpoint ipc://{endpoint} quit"
    line = f"circusd: error: circusd already runs on {endpoint}, pid {first.pid}; {remedy}"
    assert [line] == said
    assert "hospital-web: active" in well.control("status")


def test_a_worker_killed_thrice_in_a_row_is_back_within_two_seconds(well: Bundle) -> None:
    """The newest one each time: to be killed is not to fail, so the next one does not wait."""
    for _ in range(3):
        before = poll(lambda: len(found := well.serving()) == 3 and found)
        victim = max(before)

        os.kill(victim, signal.SIGKILL)

        began_s = time.monotonic()
        poll(lambda: len(well.serving() - {victim}) == 3)  # noqa: B023 - it is called here
        assert time.monotonic() - began_s < 2.0
        assert well.get() is not None
    assert "the next start waits" not in well.output()


def ask_in_vain(port: int, path: str) -> None:
    with closing(HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        try:
            connection.request("GET", path)
            connection.getresponse()
        except (OSError, HTTPException):
            return


def test_hanging_workers_are_replaced(well: Bundle) -> None:
    """One is stopped, one in a busy loop, one in a call that keeps the lock: all at once."""
    before = poll(lambda: len(found := well.serving()) == 3 and found)
    stopped = min(before)
    began_s = time.monotonic()

    with ThreadPoolExecutor() as threads:
        os.kill(stopped, signal.SIGSTOP)
        threads.submit(ask_in_vain, well.port, "/spin")
        poll((well.folder / "spins").exists)  # else the same worker might take both
        threads.submit(ask_in_vain, well.port, "/hold")
        poll(lambda: all(map(is_gone, before)))
        took_s = time.monotonic() - began_s

    assert took_s < WATCHDOG_S + 1.0
    poll(lambda: len(well.serving() - before) == 3)
    killed = [json.loads(line) for line in well.log("hospital-guard").splitlines()]
    assert [(stopped, "hospital-web", "serving")] == [
        (each["process"], each["watcher"], each["state"])
        for each in killed
        if each["event"] == "process_killed"
    ]
    stacks = {
        each["pid"]: each["text"]
        for each in map(json.loads, well.log().splitlines())
        if each["event"] == "output" and "most recent call first" in each["text"]
    }
    assert before - {stopped} == set(stacks)
    assert 1 == sum("in spin" in text for text in stacks.values())


BROKEN = {
    "syntax": ("def (", "SyntaxError"),
    "raises": ("raise RuntimeError('no such table')", "RuntimeError: no such table"),
    "hangs": ("import time\ntime.sleep(60)", "did not serve within 3 s"),
    "second": (
        "open('made', 'x').close()\n" + APPLICATION,  # the first new worker comes up, and no more
        "FileExistsError",
    ),
    "checks": (
        """
from hospital.wsgi import HealthCheckApp
application = HealthCheckApp(names=["no_such_checks"])
""",
        "no_such_checks",
    ),
    "setting": (
        """
import os
os.environ["HOSPITAL_CACHE_TTL"] = "soon"
from hospital.wsgi import application
""",
        "HOSPITAL_CACHE_TTL",
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_reload_into_broken_code_keeps_the_old_workers(well: Bundle, kind: str) -> None:
    """The answer to circusctl says why, and is a failure; nobody new is left."""
    source, cause = BROKEN[kind]
    before = well.serving()
    (well.folder / "app.py").write_text(source)
    said_before = len(well.output())

    answer = well.ask("reload", "hospital-web")

    assert 3 == answer.returncode
    assert "reload of hospital-web refused: the new worker " in answer.stdout
    assert cause in answer.stdout
    said = well.output()[said_before:]
    assert 1 == said.count("reload of hospital-web refused: ")
    assert cause in said
    poll(lambda: well.workers() == before)
    assert before == well.serving()
    assert well.get() is not None


def test_a_reload_of_everything_into_broken_code_keeps_them_too(well: Bundle) -> None:
    """As on SIGHUP: there is nobody to answer, so the log alone tells."""
    before = well.serving()
    (well.folder / "app.py").write_text("1/0")
    said_before = len(well.output())
    assert well.circusd is not None

    well.circusd.send_signal(signal.SIGHUP)

    poll(lambda: "hospital-web reloaded" in well.output()[said_before:])
    said = well.output()[said_before:]
    assert 1 == said.count("reload of hospital-web refused: ")
    assert "ZeroDivisionError" in said
    poll(lambda: well.workers() == before)
    assert "hospital-web: active" in well.control("status")  # it takes commands as before


def keep_asking(port: int, *, keep_alive: bool, until: Event) -> tuple[int, list[str]]:
    """Ask one request after the other, and return how many were answered, and what failed.

    As every client does, a request that finds its kept connection closed is sent again.
    """
    answered, failed = 0, []
    connection, is_new = HTTPConnection("127.0.0.1", port, timeout=10), True
    headers = {} if keep_alive else {"Connection": "close"}
    while not until.wait(0.005):
        try:
            connection.request("GET", "/", headers=headers)
            response = connection.getresponse()
            if response.status != 200 or not response.read().isdigit():
                failed.append(str(response.status))
            answered, is_new = answered + 1, not keep_alive
        except (OSError, HTTPException) as error:
            connection.close()
            if is_new:
                failed.append(repr(error))
            is_new = True
    connection.close()
    return answered, failed


def test_three_reloads_under_load_lose_no_request(well: Bundle) -> None:
    """Neither on connections that are kept nor on new ones."""
    until = Event()
    with ThreadPoolExecutor(4) as threads:
        clients = [
            threads.submit(keep_asking, well.port, keep_alive=keep_alive, until=until)
            for keep_alive in (True, True, False, False)
        ]
        try:
            for _ in range(3):
                before = well.serving()

                answer = well.ask("reload", "hospital-web")

                assert (0, "ok\n") == (answer.returncode, answer.stdout)
                poll(lambda: not before & well.workers())  # noqa: B023 - it is called here
        finally:
            until.set()
        results = [client.result() for client in clients]
    assert [] == [failed for _, several in results for failed in several]
    assert all(answered > 30 for answered, _ in results), results


def test_a_stop_answers_twenty_requests_in_flight(own: Bundle) -> None:
    """SIGTERM to circusd while they are worked on."""
    own.serve(APPLICATION)
    circusd = own.start()
    poll(lambda: len(own.serving()) == 2)
    with ThreadPoolExecutor(20) as threads:
        answers = [threads.submit(own.get, f"/slow?{number}") for number in range(20)]
        poll(lambda: len(list(own.folder.glob("arrived-*"))) == 20)

        circusd.terminate()

        statuses = [found and found[0] for found in (answer.result() for answer in answers)]
    assert [200] * 20 == statuses
    assert 0 == circusd.wait(20)


def test_a_taken_port_is_refused_by_circusd_itself(own: Bundle) -> None:
    """One line that says who has it and what to do; exit code 1; nothing is left behind."""
    before = sorted(own.folder.rglob("*"))
    with closing(socket.create_server(("127.0.0.1", own.port))):
        circusd = own.launch()

        assert 1 == circusd.wait(20)

    (line,) = own.output().splitlines()
    assert line.startswith(
        f"circusd: error: cannot listen on 127.0.0.1:{own.port}: the port is in use by "
    )
    assert line.endswith(
        f"(pid {os.getpid()}); stop it, or choose another port under [socket:hospital-web] in "
        "circus.ini.d/hospital-web.ini"
    )
    assert before == sorted(set(own.folder.rglob("*")) - {own.folder / "output"})


def test_a_crash_loop_is_slow_and_names_its_cause(own: Bundle) -> None:
    """After the first round at most one start a second; the log and circusctl show it."""
    counting = "import time\nopen('starts', 'a').write(f'{time.monotonic()}\\n')\n"
    own.serve(counting + "raise RuntimeError('no such table')")
    own.launch()
    starts = own.folder / "starts"
    poll(lambda: starts.exists() and len(starts.read_text().splitlines()) >= 3)
    trouble = "times in a row: exit code 1: RuntimeError: no such table; the next start waits "
    poll(lambda: trouble in own.output())

    begun_s = [float(line) for line in starts.read_text().splitlines()]
    options = own.control("options", "hospital-web")

    (shown,) = [line for line in options.splitlines() if line.startswith("trouble: ")]
    assert trouble in shown
    assert begun_s[2] - begun_s[1] > 0.95

    (own.folder / "app.py").write_text(APPLICATION)  # somebody mends it, and need not wait

    assert 0 == own.ask("reload", "hospital-web").returncode
    assert len(poll(own.serving)) == 2

    failures = own.output().count(" ended before it served, ")
    assert 0 == own.ask("reload", "hospital-web").returncode  # and those that waited are buried

    assert failures == own.output().count(" ended before it served, ")
    assert "exit code 0" not in own.output()
