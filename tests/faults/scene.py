"""Where a fault happens: a folder, a bundle, a crowd of clients, mounts; all of it ends with it."""

import ctypes
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.faults.asking import Address, Wrk
from tests.faults.bundle import ROOT, Bundle
from tests.faults.waiting import DEADLINE_S, poll

_CLONE_NEWNS = 0x0002_0000


class Visitors:
    """A crowd of clients that behave badly, in a process of its own."""

    def __init__(self, kind: str, address: Address, number: int, per_s: float) -> None:
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.faults.crowd", kind, address[0], str(address[1])),
                *("--number", str(number), "--per-s", str(per_s)),
            ],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def report(self) -> dict[str, Any]:
        """Return how they fare."""
        if self.process.stdin is None or self.process.stdout is None:
            raise RuntimeError("it was started with pipes")
        self.process.stdin.write("?\n")
        self.process.stdin.flush()
        told: dict[str, Any] = json.loads(self.process.stdout.readline())
        return told

    def wait_for(
        self, condition: Callable[[dict[str, Any]], Any], timeout_s: float
    ) -> dict[str, Any]:
        """Return the first report of which *condition* is true."""

        def look() -> dict[str, Any] | None:
            told = self.report()
            return told if condition(told) else None

        told: dict[str, Any] = poll(look, timeout_s, "what is asked of the clients")
        return told

    def leave(self) -> None:
        """Send them home."""
        self.process.kill()
        self.process.communicate(timeout=DEADLINE_S)


class Scene:
    """Gives what faults are made with, in *folder*."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self._stack = stack
        self.bundles: list[Bundle] = []

    def bundle(self) -> Bundle:
        """Return a bundle in a folder of its own, not started yet."""
        folder = self.folder / f"bundle{len(self.bundles) + 1}"
        folder.mkdir()
        made = Bundle(folder)
        self.bundles.append(made)
        self._stack.callback(made.end)
        return made

    def visitors(self, kind: str, address: Address, number: int, per_s: float = 1e9) -> Visitors:
        """Return a crowd of *number* clients, of which *per_s* come a second."""
        made = Visitors(kind, address, number, per_s)
        self._stack.callback(made.leave)
        return made

    def wrk(self, address: Address, seconds: float, **options: Any) -> Wrk:
        """Return wrk under way."""
        made = Wrk(address, seconds, **options)

        def end() -> None:
            made.process.kill()
            made.process.communicate(timeout=DEADLINE_S)

        self._stack.callback(end)
        return made

    def start(self, *command: str, **options: Any) -> "subprocess.Popen[str]":
        """Start a program that ends with the scene."""
        made = subprocess.Popen(command, text=True, stdin=subprocess.DEVNULL, **options)

        def end() -> None:
            made.kill()
            made.wait(DEADLINE_S)

        self._stack.callback(end)
        return made

    def mount(self, path: Path, size_kb: int, *options: str) -> None:
        """Put an empty file system of a few KB at *path*; takes ``root``."""
        path.mkdir(exist_ok=True)
        how = ",".join([f"size={size_kb}k", "mode=0750", *options])
        subprocess.run(["mount", "-t", "tmpfs", "-o", how, "tmpfs", path], check=True)

        def unmount() -> None:
            command = ["umount", "--lazy", "--quiet", str(path)]
            subprocess.run(command, check=False, stderr=subprocess.DEVNULL)

        self._stack.callback(unmount)


@contextmanager
def set_up(folder: Path) -> Iterator[Scene]:
    """Give a scene, and end what happened there."""
    with ExitStack() as stack:
        yield Scene(folder, stack)


def own_mounts() -> None:
    """Let what this process mounts be seen by it and its children alone; takes ``root``.

    Raises:
        OSError: If the kernel refuses.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNS) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
