"""What the tests of hospital-deploy share: the command, and what circusd would read."""

import io
import json
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hospital.deploy.command import Command
from hospital.deploy.readback import _environ


@dataclass(frozen=True)
class Said:
    """What a run of the command said."""

    code: int
    out: str
    err: str


Deploy = Callable[..., Said]
MakeSite = Callable[[str], Path]


def deploy(*arguments: str | Path) -> Said:
    """Run ``hospital-deploy render`` with *arguments* in this process."""
    out, err = io.StringIO(), io.StringIO()
    code = Command(out, err).run(["render", *map(str, arguments)])
    return Said(code, out.getvalue(), err.getvalue())


@contextmanager
def environ(**only: str) -> Any:
    """Let the environment be what circusd has, since it puts variables of it into values."""
    with _environ({"PATH": "/bin", **only}):
        yield


def read_by_circus(folder: Path, main: str = "circus.ini") -> dict[str, Any]:
    """Return what circus reads of the set in *folder*, with the logging that it names."""
    from circus.config import get_config

    with environ():
        config: dict[str, Any] = get_config(str(folder / main))
    config["logging"] = json.loads(Path(config.pop("loggerconfig")).read_text())
    return config


def web_of(folder: Path) -> dict[str, Any]:
    """Return what circus reads of the web watcher in *folder*."""
    (web,) = (each for each in read_by_circus(folder)["watchers"] if each["name"].endswith("-web"))
    watcher: dict[str, Any] = web
    return watcher


def tree_of(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Return what lies in *folder*: modification time and content by path."""
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def make_site(tmp_path: Path) -> MakeSite:
    """Write a site.toml, and return where it is."""

    def make(text: str) -> Path:
        path = tmp_path / "site.toml"
        path.write_text(text)
        path.chmod(0o600)
        return path

    return make
