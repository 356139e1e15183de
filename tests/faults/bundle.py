"""A copy of the committed bundle with a port of its own, and circusd running it."""

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from tests.faults import processes
from tests.faults.applications import BESIDE
from tests.faults.asking import Answer, ask
from tests.faults.processes import Roll
from tests.faults.waiting import DEADLINE_S, poll

ROOT = Path(__file__).parent.parent.parent
BIN = Path(sys.executable).parent
WATCHER = "watcher:hospital-web"
SOCKET = "socket:hospital-web"
ENVIRONMENT = "env:hospital-web"
GUARD = "plugin:hospital-guard"
_WORKER = "hospital.serving.worker"
_NO_ROUTE = "/health-of-the-port"


def free_port() -> int:
    """Return a port that nobody has, and that no client is given for its end of a connection."""
    while True:
        port = random.randrange(20_000, 30_000)  # noqa: S311 - no secret
        with suppress(OSError), closing(socket.create_server(("127.0.0.1", port))):
            return port


class Bundle:
    """The bundle in *folder*.

    Attributes:
        address: Where it answers.
        roll: Every process of it that was seen.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.address = ("127.0.0.1", free_port())
        self.roll = Roll()
        self._circusd: subprocess.Popen[str] | None = None
        for name in ("deploy", "circus.ini.d"):
            shutil.copytree(ROOT / name, folder / name, ignore=_left_behind)
        self.put(SOCKET, "port", str(self.address[1]))

    @property
    def circusd(self) -> "subprocess.Popen[str]":
        """The process of circusd."""
        if self._circusd is None:
            raise RuntimeError("it was not launched")
        return self._circusd

    @property
    def log_folder(self) -> Path:
        """Where the logs are."""
        return self.folder / "deploy" / "var" / "log"

    @property
    def run_folder(self) -> Path:
        """Where the control sockets and the heartbeats are."""
        return self.folder / "deploy" / "var" / "run"

    def put(self, section: str, option: str, value: str) -> None:
        """Give *option* another value, or add it."""
        head = f"[{section}]"
        for path in (
            self.folder / "deploy" / "circus.ini",
            *self.folder.glob("circus.ini.d/*.ini"),
        ):
            lines = path.read_text().splitlines()
            if head not in lines:
                continue
            begin = lines.index(head) + 1
            end = next(
                (at for at in range(begin, len(lines)) if lines[at].startswith("[")), len(lines)
            )
            standing = [
                at for at in range(begin, end) if lines[at].partition("=")[0].strip() == option
            ]
            lines[begin:begin] = [f"{option} = {value}"]
            for at in standing:
                del lines[at + 1]
            path.write_text("\n".join(lines) + "\n")
            return
        raise LookupError(f"there is no section {head}")

    def environment(self, **variables: str) -> None:
        """Set variables of the workers."""
        for name, value in variables.items():
            self.put(ENVIRONMENT, name, value)

    def checks(self, names: str, source: str = "") -> None:
        """Run other checks; *source* is that of the module *names*."""
        self.environment(HEALTHCHECKS=names)
        if source:
            (self.folder / f"{names}.py").write_text(source)

    def one_answer(self) -> None:
        """Always answer the same from the cache: what is measured is not the checks."""
        self.checks("hospital.healthchecks.predictable")
        self.environment(HOSPITAL_CACHE_TTL="3600")

    def workers_at_once(self, number: int) -> None:
        """Run so many workers."""
        self.put(WATCHER, "numprocesses", str(number))

    def watchdog(self, seconds: int) -> None:
        """Kill workers that do not beat for so long."""
        self.environment(HOSPITAL_WATCHDOG=str(seconds))
        self.put(GUARD, "watchdog", str(seconds))

    def serve(self, application: str = "beside.app", source: str = BESIDE) -> None:
        """Serve another application, from a module in the folder."""
        (self.folder / f"{application.split('.', maxsplit=1)[0]}.py").write_text(source)
        self.put(WATCHER, "cmd", self.command().rpartition(" ")[0] + f" {application}")

    def command(self) -> str:
        """Return the command of the watcher."""
        text = (self.folder / "circus.ini.d" / "hospital-web.ini").read_text()
        return next(line for line in text.splitlines() if line.startswith("cmd =")).partition("= ")[
            2
        ]

    def launch(self, *prefix: str) -> None:
        """Start circusd as from a virtual environment that is not activated."""
        with (self.folder / "output").open("a") as output:
            self._circusd = subprocess.Popen(
                [*prefix, BIN / "circusd", "deploy/circus.ini"],
                cwd=self.folder,
                env={"PATH": "/usr/sbin:/usr/bin:/bin"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                text=True,
            )
        self.roll.note({self._circusd.pid})

    def start(self, *prefix: str, number: int = 2) -> None:
        """Launch it, and wait until all workers serve."""
        self.launch(*prefix)
        poll(self.answers, 20, "an answer")
        poll(lambda: len(self.ready()) >= number, 20, f"{number} workers that serve")

    def answers(self) -> bool:
        """Tell whether it answers at all.

        Raises:
            RuntimeError: If circusd has ended.
        """
        if self.circusd.poll() is not None:
            raise RuntimeError(f"circusd ended with {self.circusd.returncode}: {self.output()}")
        return self.ask(_NO_ROUTE, timeout_s=1) is not None

    def ask(self, path: str = "/", *, timeout_s: float = 20.0) -> Answer | None:
        """Return the answer to a GET."""
        return ask(self.address, path, timeout_s=timeout_s)

    def tree(self) -> set[int]:
        """Return circusd and all that descends from it."""
        return self.roll.note({self.circusd.pid, *processes.descendants(self.circusd.pid)})

    def workers(self) -> set[int]:
        """Return the processes of the workers."""
        return {
            pid
            for pid in self.tree()
            if _WORKER in processes.command(pid) and _parent(pid) == self.circusd.pid
        }

    def ready(self) -> set[int]:
        """Return the workers that serve: whose heartbeat says so, once there are heartbeats."""
        beats = self.run_folder / "beats"
        if not beats.is_dir():
            return self.workers()
        return {pid for pid in self.workers() if _state(beats / str(pid)) == "serving"}

    def guard(self) -> int:
        """Return the process of the guard; 0 where there is none."""
        found = [
            pid
            for pid in self.tree()
            if _parent(pid) == self.circusd.pid
            and "hospital.supervision.guard.Guard" in processes.command(pid)
        ]
        return found[0] if found else 0

    def control(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run circusctl; it may be refused while circusd is busy, and then asks again."""

        def run() -> "subprocess.CompletedProcess[str] | None":
            done = subprocess.run(
                [
                    *(BIN / "circusctl", "--timeout", "30"),
                    *("--endpoint", "ipc://deploy/var/run/circusd.sock", *arguments),
                ],
                cwd=self.folder,
                env={"PATH": "/usr/bin:/bin"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=60,
                check=False,
            )
            return None if "arbiter is already running" in done.stdout else done

        done: subprocess.CompletedProcess[str] = poll(run, 60, f"circusctl {arguments[0]}")
        return done

    def output(self) -> str:
        """Return what was written to standard output and error."""
        path = self.folder / "output"
        return path.read_text(errors="replace") if path.exists() else ""

    def logged(self) -> str:
        """Return all that was said: the logs, old ones too, and standard output and error."""
        files = sorted(self.log_folder.glob("*.log*")) if self.log_folder.is_dir() else []
        return "".join(path.read_text(errors="replace") for path in files) + self.output()

    def log_lines(self, name: str = "hospital-web.log") -> list[bytes]:
        """Return the lines of a log and of its older files, as they are."""
        files = [path for path in self.log_folder.glob(f"{name}*") if path.is_file()]
        return [line for path in files for line in path.read_bytes().split(b"\n")[:-1]]

    def events(self, event: str) -> list[dict[str, Any]]:
        """Return what the workers logged as *event*."""
        found = []
        for line in self.log_lines():
            with suppress(ValueError):
                told = json.loads(line)
                if told.get("event") == event:
                    found.append(told)
        return found

    def stop(self, timeout_s: float = 30.0) -> int:
        """Tell circusd to stop, and return its exit code."""
        self.tree()
        self.circusd.send_signal(signal.SIGTERM)
        return self.circusd.wait(timeout_s)

    def end(self) -> None:
        """End all that was started."""
        if self._circusd is None:
            return
        with suppress(OSError):
            self._circusd.send_signal(signal.SIGCONT)
        self.tree()
        self._circusd.kill()
        self._circusd.wait(DEADLINE_S)
        self.roll.kill()


def _left_behind(folder: str, names: list[str]) -> list[str]:
    """Return what somebody's own circusd has left in the folders of the checkout."""
    inside_var = "/deploy/var/" in f"{folder}/"
    return [
        name for name in names if inside_var and name != ".gitkeep" and Path(folder).name != "var"
    ]


def _parent(pid: int) -> int:
    seen = processes.stat(pid)
    return 0 if seen is None else seen.parent


def _state(path: Path) -> str:
    try:
        return str(json.loads(path.read_bytes()).get("state"))
    except (OSError, ValueError):
        return ""


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    """Send a signal to a process, which may be gone."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)
