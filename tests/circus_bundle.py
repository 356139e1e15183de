"""A copy of the committed bundle with a port of its own, and circusd running it."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from hospital.serving import beat

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent
PORT_OF_THE_BUNDLE = "2014"
BUSY = 3


def poll(condition: Callable[[], Any], timeout_s: float = 15) -> Any:
    end = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < end, "it did not come true in time"
        time.sleep(0.02)
    return value


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def descendants(pid: int) -> set[int]:
    import psutil

    with suppress(psutil.Error):
        return {child.pid for child in psutil.Process(pid).children(recursive=True)}
    return set()


class Bundle:
    """A copy of the configuration, and circusd running it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with closing(socket.create_server(("127.0.0.1", 0))) as probe:
            self.port = probe.getsockname()[1]
        for name in ("deploy", "circus.ini.d"):
            ignored = shutil.ignore_patterns("*.sock", "*.lock", "*.log*", "beats")
            shutil.copytree(ROOT / name, folder / name, ignore=ignored)
        self.replace(f"port = {PORT_OF_THE_BUNDLE}", f"port = {self.port}")
        self.circusd: subprocess.Popen[str] | None = None

    def replace(self, old: str, new: str, name: str = "circus.ini.d/hospital-web.ini") -> None:
        path = self.folder / name
        text = path.read_text()
        assert 1 == text.count(old)
        path.write_text(text.replace(old, new))

    def serve(self, application: str, *, watchdog: str = "10s", workers: int = 2) -> None:
        """Serve *application*, the source of a module, instead of the checks of this machine."""
        (self.folder / "app.py").write_text(application)
        self.replace("hospital.wsgi.application\n", "app.application\n")
        self.replace("numprocesses = 2", f"numprocesses = {workers}")
        self.replace("HOSPITAL_WATCHDOG = 10s", f"HOSPITAL_WATCHDOG = {watchdog}")
        self.replace("watchdog = 10s", f"watchdog = {watchdog}", "deploy/circus.ini")

    def launch(self, *prefix: str) -> subprocess.Popen[str]:
        """Start circusd as from a virtual environment that is not activated."""
        with (self.folder / "output").open("a") as output:
            self.circusd = subprocess.Popen(
                [*prefix, BIN / "circusd", "deploy/circus.ini"],
                cwd=self.folder,
                env={"PATH": "/usr/bin:/bin"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                text=True,
            )
        return self.circusd

    def start(self, *prefix: str) -> subprocess.Popen[str]:
        """Launch it, and wait until it serves."""
        circusd = self.launch(*prefix)
        poll(self.answers)
        return circusd

    def answers(self) -> bool:
        assert self.circusd is not None
        assert self.circusd.poll() is None, self.output()
        return self.get("/health-of-the-port") is not None  # a 404 costs no run

    def get(self, path: str = "/") -> tuple[int, bytes] | None:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=20)
        with closing(connection):
            try:
                connection.request("GET", path, headers={"Host": f"127.0.0.1:{self.port}"})
                response = connection.getresponse()
                return response.status, response.read()
            except (OSError, HTTPException):
                return None

    def workers(self) -> set[int]:
        import psutil

        assert self.circusd is not None
        if is_gone(self.circusd.pid):
            return set()
        found = set()
        for child in psutil.Process(self.circusd.pid).children():
            with suppress(psutil.Error):
                if "hospital.serving.worker" in child.cmdline() and not is_gone(child.pid):
                    found.add(child.pid)
        return found

    def serving(self) -> set[int]:
        """Return the workers that say themselves that they serve."""
        return {
            pid
            for pid in self.workers()
            if (said := beat.read(beat.path_of(self.folder / "deploy/var/run/beats", pid)))
            and said.state == beat.SERVING
        }

    def control(self, *arguments: str) -> str:
        return self.ask(*arguments).stdout

    def ask(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Give a command to circusd; again, as long as it is busy with another."""
        while (done := self._ask(*arguments)).returncode == BUSY and "already running" in (
            done.stdout
        ):
            time.sleep(0.05)
        return done

    def circusctl(self) -> list[str]:
        """Return the beginning of a command for this circusd, to be given in its folder."""
        return [str(BIN / "circusctl"), "--endpoint", "ipc://deploy/var/run/circusd.sock"]

    def _ask(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.circusctl(), *arguments],
            cwd=self.folder,
            env={"PATH": "/usr/bin:/bin"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=30,
            check=False,
        )

    def log(self, name: str = "hospital-web") -> str:
        """Return what stands in a log file."""
        path = self.folder / "deploy" / "var" / "log" / f"{name}.log"
        return path.read_text() if path.exists() else ""

    def output(self) -> str:
        return (self.folder / "output").read_text()

    def end(self) -> None:
        if self.circusd is None:
            return
        left = descendants(self.circusd.pid)
        self.circusd.kill()
        self.circusd.wait()
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
