"""A network of its own for a program, in which every port is free.

A documented command listens where its program does by default. On a machine that does other work
too, that port may be taken; in a network namespace it never is, and nobody else can reach it.
"""

import functools
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

BIN = Path(sys.executable).parent
DEADLINE_S = 30.0


@functools.cache
def missing() -> str:
    """Return what is missing for a network of one's own; nothing where it is all there."""
    for program, package in (("unshare", "util-linux"), ("ip", "iproute2"), ("curl", "curl")):
        if shutil.which(program) is None:
            return f"{program} is missing; enable this test with: apt-get install {package}"
    result = subprocess.run([*_unshare(), "true"], capture_output=True, check=False, timeout=30)
    if result.returncode:
        return "a network namespace cannot be made; enable this test: run it as root"
    return ""


def _unshare() -> list[str]:
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return ["unshare", *user, "--net"]


def poll(condition: Callable[[], Any]) -> Any:
    """Return what *condition* returns as soon as it is true."""
    deadline = time.monotonic() + DEADLINE_S
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {DEADLINE_S:.0f} s"
        time.sleep(0.02)
    return value


class OwnNetwork:
    """A shell that runs *line*, literally, in *folder* and in a network of its own.

    Args:
        line: What is typed.
        folder: Where it is typed; what is printed goes to ``printed`` there.
        environ: Added to an environment of ``PATH`` and ``HOME``.
    """

    def __init__(self, line: str, folder: Path, **environ: str) -> None:
        self._printed = folder / "printed"
        self._here = os.readlink("/proc/self/ns/net")  # noqa: PTH115 - no path
        with self._printed.open("w") as printed:
            self.shell = subprocess.Popen(
                [*_unshare(), "/bin/sh", "-c", 'ip link set lo up && exec /bin/sh -c "$0"', line],
                cwd=folder,
                env={
                    "PATH": f"{BIN}{os.pathsep}{os.defpath}:/usr/sbin:/sbin",
                    "HOME": str(folder),
                    "PYTHONUNBUFFERED": "1",
                    **environ,
                },
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.STDOUT,
            )
        self._network = poll(self._entered)

    def __enter__(self) -> Self:
        """Return this network."""
        return self

    def __exit__(self, *_error: object) -> None:
        """Kill whatever is left in it."""
        for pid in self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.shell.kill()
        self.shell.wait()
        os.close(self._network)

    def curl(self, port: int, path: str = "/", *options: str) -> tuple[int, str]:
        """Return status and body of a GET, as soon as somebody listens on *port*."""
        url = f"http://127.0.0.1:{port}{path}"
        told = poll(lambda: self._curl(*options, url))
        body, _, status = told.rpartition("\n")
        return int(status), body

    def processes(self) -> set[int]:
        """Return the processes that run in it."""
        mine = f"net:[{os.fstat(self._network).st_ino}]"
        found = set()
        for process in Path("/proc").iterdir():
            with suppress(OSError):
                if process.name.isdigit() and os.readlink(process / "ns/net") == mine:  # noqa: PTH115 - no path
                    found.add(int(process.name))
        return found

    def server(self) -> int:
        """Return the program: the shell itself where it has given way to it, else its child."""
        children = Path(f"/proc/{self.shell.pid}/task/{self.shell.pid}/children").read_text()
        name = Path(f"/proc/{self.shell.pid}/comm").read_text().strip()
        return int(children.split()[0]) if name in {"sh", "dash", "bash"} else self.shell.pid

    def workers(self) -> list[int]:
        """Return the processes that the program has started."""
        server = self.server()
        return [*map(int, Path(f"/proc/{server}/task/{server}/children").read_text().split())]

    def terminate(self) -> int:
        """Send SIGTERM, wait until all is gone, and return the exit code as a shell tells it."""
        os.kill(self.server(), signal.SIGTERM)
        code = self.shell.wait(timeout=DEADLINE_S)
        poll(lambda: not self.processes())
        return code if code >= 0 else 128 - code

    @property
    def printed(self) -> str:
        """What has been printed by now."""
        return self._printed.read_text()

    def _entered(self) -> int | None:
        assert self.shell.poll() is None, self.printed
        place = f"/proc/{self.shell.pid}/ns/net"
        if os.readlink(place) == self._here:  # noqa: PTH115 - no path
            return None
        return os.open(place, os.O_RDONLY)

    def _curl(self, *arguments: str) -> str:
        user = [] if os.geteuid() == 0 else ["--user", "--preserve-credentials"]
        enter = ["nsenter", *user, f"--net=/proc/self/fd/{self._network}"]
        if user:
            enter.append(f"--target={self.shell.pid}")
        result = subprocess.run(
            [*enter, "curl", "--silent", "--write-out", "\n%{http_code}", *arguments],
            pass_fds=[self._network],
            capture_output=True,
            text=True,
            check=False,
            timeout=DEADLINE_S,
        )
        return "" if result.returncode else result.stdout
