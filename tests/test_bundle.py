"""The committed configuration under a real circusd, in a copy with a port of its own."""

import json
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path

import pytest

from tests.circus_bundle import BIN, ROOT, Bundle, descendants, is_gone, poll

SLOW = """
import os
import time

import hospital


@hospital.healthcheck
def slow():
    "It takes its time."
    open(f"arrived-{os.getppid()}", "w").close()
    time.sleep(float(open("seconds").read()))
"""


@pytest.fixture
def bundle(tmp_path: Path) -> Iterator[Bundle]:
    """The bundle in a folder of its own, not started yet."""
    made = Bundle(tmp_path)
    yield made
    made.end()


@pytest.fixture
def slow_bundle(bundle: Bundle) -> Bundle:
    """One whose only check takes as long as a file says."""
    checks = "HEALTHCHECKS = hospital.healthchecks.predictable hospital.healthchecks.host"
    bundle.replace(checks, "HEALTHCHECKS = slow")
    (bundle.folder / "slow.py").write_text(SLOW)
    (bundle.folder / "seconds").write_text("2")
    return bundle


def has_arrived(bundle: Bundle) -> list[Path]:
    return list(bundle.folder.glob("arrived-*"))


def test_it_answers_with_the_state_of_this_machine(bundle: Bundle) -> None:
    """Disk, memory and load, with their numbers, for who asks on this machine."""
    bundle.start()

    answered = bundle.get()

    assert answered is not None
    assert answered[0] in {200, 500}
    report = json.loads(answered[1])
    ids = {each["id"] for each in report["details"]}
    assert {f"hospital.healthchecks.host.{name}" for name in ("disk_space", "memory", "load")} < ids
    assert [each for each in report["details"] if "measurements" in each]


def test_it_opens_nothing_but_its_port(bundle: Bundle) -> None:
    """No TCP endpoint, no multicast, and ipc sockets for its user only."""
    import psutil

    circusd = bundle.start()
    bundle.get()

    tree = [circusd.pid, *descendants(circusd.pid)]
    addresses = {
        (each.laddr.ip, each.laddr.port)
        for pid in tree
        for each in psutil.Process(pid).net_connections("inet")
        if each.laddr and not each.raddr
    }
    assert {("127.0.0.1", bundle.port)} == addresses
    sockets = sorted((bundle.folder / "deploy" / "var" / "run").glob("*.sock"))
    assert ["circusd-events.sock", "circusd.sock"] == [each.name for each in sockets]
    assert {0} == {each.stat().st_mode & 0o077 for each in sockets}


def test_two_workers_run_the_python_of_circusd(bundle: Bundle) -> None:
    """Also from a virtual environment that is not activated, with an environment of PATH alone."""
    import psutil

    bundle.start()

    workers = poll(lambda: len(found := bundle.workers()) == 2 and found)
    for pid in workers:
        assert BIN == Path(psutil.Process(pid).cmdline()[0]).parent
        environ = psutil.Process(pid).environ()
        assert "/usr/bin:/bin" == environ["PATH"]
        assert "HOME" not in environ


def test_circusctl_speaks_to_it(bundle: Bundle) -> None:
    """Over the ipc endpoint in deploy/var/run."""
    bundle.start()

    assert "hospital-web: active" in poll(
        lambda: "active" in (said := bundle.control("status")) and said
    )


def test_a_killed_circusd_takes_all_with_it(slow_bundle: Bundle) -> None:
    """Workers, wards and the guard, with a check in flight too; the next start finds all free."""
    (slow_bundle.folder / "seconds").write_text("600")
    circusd = slow_bundle.start()
    poll(lambda: len(slow_bundle.workers()) == 2)
    with ThreadPoolExecutor() as threads:
        threads.submit(slow_bundle.get)
        poll(lambda: has_arrived(slow_bundle))
        workers, left = slow_bundle.workers(), descendants(circusd.pid)
        assert workers < left

        circusd.kill()
        circusd.wait()

        poll(lambda: all(map(is_gone, workers)), timeout_s=2.0)
    poll(lambda: all(map(is_gone, left)), timeout_s=5.0)
    slow_bundle.start()  # despite the ipc files that are left


def test_a_stop_answers_what_is_in_flight(slow_bundle: Bundle) -> None:
    """SIGTERM to circusd while a check runs: the request gets the check's own outcome; exit 0."""
    circusd = slow_bundle.start()
    with ThreadPoolExecutor() as threads:
        answer = threads.submit(slow_bundle.get)
        poll(lambda: has_arrived(slow_bundle))

        circusd.terminate()

        answered = answer.result()
    assert answered is not None
    assert 200 == answered[0], answered[1]
    assert 0 == circusd.wait(20)


def test_nothing_is_left_after_a_stop(slow_bundle: Bundle) -> None:
    """Not even the ward of a check that hangs on beyond the drain."""
    (slow_bundle.folder / "seconds").write_text("600")
    slow_bundle.replace("--graceful-timeout 12", "--graceful-timeout 1")
    circusd = slow_bundle.start()
    with ThreadPoolExecutor() as threads:
        threads.submit(slow_bundle.get)
        poll(lambda: has_arrived(slow_bundle))
        left = descendants(circusd.pid)

        circusd.send_signal(signal.SIGINT)

        assert 0 == circusd.wait(20)
    poll(lambda: all(map(is_gone, left)), timeout_s=5.0)


def test_a_second_start_finds_a_clean_house(bundle: Bundle) -> None:
    """Start, stop, start: twice in a row."""
    for _ in range(2):
        circusd = bundle.start()
        circusd.terminate()
        assert 0 == circusd.wait(20)


def test_a_restart_of_the_watcher_works(bundle: Bundle) -> None:
    """The hook is called again, on the command that it has changed."""
    bundle.start()
    before = poll(lambda: len(found := bundle.workers()) == 2 and found)

    bundle.control("restart", "hospital-web")

    poll(lambda: len(bundle.workers() - before) == 2)
    assert bundle.get("/none") is not None


def test_it_runs_as_an_ordinary_user(bundle: Bundle) -> None:
    """Nothing in it needs to be root: not to bind, to write, to spawn, or to end."""
    import psutil

    if os.getuid() != 0:
        return  # then every test here shows it
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        pytest.skip("install util-linux: setpriv starts a program as another user")
    for each in [bundle.folder, *bundle.folder.rglob("*")]:
        os.chown(each, 65_534, 65_534)
    # The Python of the tests may lie in a folder of root's: the user may read all, no more.
    may_read = ("--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search")

    circusd = bundle.start(
        setpriv, "--reuid=65534", "--regid=65534", "--clear-groups", *may_read, "--"
    )

    answered = bundle.get()
    assert answered is not None
    assert b"hospital.healthchecks.host.disk_space" in answered[1]
    assert {65_534} == {psutil.Process(pid).uids().effective for pid in bundle.workers()}
    circusd.terminate()
    assert 0 == circusd.wait(20)


def test_a_missing_socket_is_refused(bundle: Bundle) -> None:
    """Circus would hand its name to the workers as text, again and again."""
    bundle.replace("[socket:hospital-web]", "[socket:hospital-wbe]")

    circusd = bundle.launch()

    assert 1 == circusd.wait(20)
    assert "there is no socket hospital-web, which the cmd wants" in bundle.output()


def test_the_folders_that_it_needs_are_committed() -> None:
    """They are not made by circusd."""
    for name in ("run", "state", "log"):
        assert (ROOT / "deploy" / "var" / name / ".gitkeep").is_file()


def test_each_option_says_why() -> None:
    """A comment stands before each option, or before the first of a group."""
    for path in [ROOT / "deploy" / "circus.ini", *(ROOT / "circus.ini.d").glob("*.ini")]:
        explained = False
        for line in path.read_text().splitlines():
            if line.startswith("#"):
                explained = True
            elif not line.strip() or line.startswith("["):
                explained = False
            else:
                assert explained, f"{path.name}: {line}"
                assert " ;" not in line, f"{path.name}: {line}"


@pytest.fixture
def make_run(bundle: Bundle) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start ``make run`` in the copy, with what the tests run on as the installed environment."""
    shutil.copy(ROOT / "Makefile", bundle.folder)
    (bundle.folder / "none").mkdir()
    (bundle.folder / "none" / ".installed").touch()
    command = ["make", "run", "VENV=none", f"BIN={BIN}", "--old-file=none/.installed"]
    started = []

    def start() -> subprocess.Popen[str]:
        with (bundle.folder / "output").open("a") as output:
            started.append(
                subprocess.Popen(
                    command,
                    cwd=bundle.folder,
                    env={"PATH": "/usr/bin:/bin"},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    text=True,
                    process_group=0,  # what a terminal would send Ctrl-C to
                )
            )
        bundle.circusd = started[-1]  # what ends with the test
        return started[-1]

    yield start
    for each in started:
        with suppress(ProcessLookupError):
            os.killpg(each.pid, signal.SIGKILL)


def test_make_run_stops_at_a_taken_port(
    bundle: Bundle, make_run: Callable[..., subprocess.Popen[str]]
) -> None:
    """The line says who holds the port, and make fails, where circusd would exit 0."""
    with closing(socket.create_server(("127.0.0.1", bundle.port))):
        make = make_run()

        assert make.wait(30) != 0

    assert f"cannot listen on 127.0.0.1:{bundle.port}: the port is in use by " in bundle.output()
    assert f"(pid {os.getpid()}); stop it, or choose another port" in bundle.output()
    assert "Starting master" not in bundle.output()


def test_make_run_serves_until_control_c(
    bundle: Bundle, make_run: Callable[..., subprocess.Popen[str]]
) -> None:
    """The interrupt goes to make and circusd; workers and wards end with them."""
    make = make_run()
    poll(bundle.answers)
    poll(lambda: bundle.get() is not None)
    left = descendants(make.pid)
    assert len(left) > 2

    os.killpg(make.pid, signal.SIGINT)

    make.wait(20)
    poll(lambda: all(map(is_gone, left)), timeout_s=5.0)
