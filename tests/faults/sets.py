"""A rendered set: what writes it, and what circus reads of it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

KILLER = """
import os, runpy, signal, sys

left = int(sys.argv.pop(1))
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
ACTS = {"os.rename", "os.link", "os.mkdir", "os.remove", "os.rmdir", "os.chmod", "os.symlink"}


def hook(event, arguments):
    global left
    is_write = event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITES
    if event in ACTS or is_write:
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)


sys.dont_write_bytecode = True
sys.addaudithook(hook)
sys.argv[0] = "hospital-deploy"
runpy.run_module("hospital.deploy", run_name="__main__")
"""


def render(folder: Path, *arguments: str, killer: int = 0) -> "subprocess.CompletedProcess[str]":
    """Run the command; with *killer* it is killed at that step of its writing."""
    program = ["-c", KILLER, str(killer)] if killer else ["-m", "hospital.deploy"]
    return subprocess.run(
        [sys.executable, *program, "render", "--output", str(folder), *arguments],
        env={"PATH": "/usr/bin:/bin"},
        cwd=folder.parent,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def read(folder: Path) -> dict[str, Any]:
    """Return what circus reads, in a process that has not another environment each time."""
    program = (
        "import json, sys; from circus.config import get_config; "
        "json.dump(get_config(sys.argv[1]), sys.stdout, default=str)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(folder / "circus.ini")],
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def written(folder: Path) -> list[Path]:
    """Return the files in *folder* and below."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def essence(folder: Path) -> str:
    """Return what circusd would run; where the files of the set lie is left out."""
    seen = read(folder)
    text = json.dumps([seen["watchers"], seen["sockets"], seen["plugins"]], sort_keys=True)
    logging = json.loads(Path(seen["loggerconfig"]).read_text())
    return text + json.dumps(logging, sort_keys=True)
