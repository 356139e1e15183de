"""Kill hospital-deploy before each of its changes to the disk, and look what circusd would read.

Run as a program: ``kills.py FOLDER`` prints one JSON object. It forks for each step, so it has one
thread and is no part of the process of the tests.
"""

import json
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

from tests.deploy.conftest import deploy, read_by_circus, tree_of

CHANGES = {"os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.link", "os.chmod", "os.chown"}
FOREIGN = "[watcher:own]\ncmd = true\n"


def is_change(event: str, arguments: tuple[Any, ...]) -> bool:
    """Tell whether an event of the interpreter is a change to the disk."""
    if event == "open":
        _, mode, flags = arguments
        return bool(flags & (os.O_WRONLY | os.O_RDWR) or (mode and set(mode) & set("wxa+")))
    return event in CHANGES


def kill_before(step: int) -> None:
    """Have this process killed before its change number *step*, from 1."""
    left = step

    def look(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal left
        if is_change(event, arguments):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(look)


def was_killed(step: int, *arguments: str) -> bool:
    """Run the command in a child that is killed before change number *step*."""
    pid = os.fork()
    if pid == 0:
        kill_before(step)
        os._exit(deploy(*arguments).code)
    _, status = os.waitpid(pid, 0)
    if not os.WIFSIGNALED(status):
        assert os.waitstatus_to_exitcode(status) == 0, arguments
    return os.WIFSIGNALED(status)


def what_circusd_reads(folder: Path) -> Any:
    """Return what circusd would do with the set in *folder*; None if there is none yet."""
    if not (folder / "circus.ini").exists():
        return None
    try:
        config = read_by_circus(folder)
    except OSError as error:
        return f"broken: {error}"
    for each in config["watchers"]:
        each["env"] = dict(sorted(each["env"].items()))
    return json.loads(json.dumps(config, default=str))


def prepare(folder: Path, template: Path) -> None:
    """Let *folder* be as *template*."""
    shutil.rmtree(folder, ignore_errors=True)
    if template.exists():
        shutil.copytree(template, folder)


def main(home: Path) -> None:
    """Print what happened at each step, for a first set and for one that replaces another."""
    folder, template = home / "set", home / "template"
    site = home / "site.toml"
    site.write_text('[web]\nport = 1111\n[secrets]\nA = "old secret"\n')
    site.chmod(0o600)
    new = ("--output", str(folder), "--port", "2222", "--numprocesses", "3", "--force")
    told: dict[str, Any] = {"steps": 0, "mixed": [], "left": [], "unfinished": []}

    assert deploy("--output", str(folder), "--site", str(site)).code == 0
    (folder / "circus.ini.d" / "own.ini").write_text(FOREIGN)
    edited = folder / "circus.ini.d" / "hospital-web.ini"
    edited.write_text(edited.read_text().replace("= 1111", "= 1112"))
    shutil.copytree(folder, template)
    backup = template / "circus.ini.d" / "hospital-web.ini"

    for start in (home / "none", template):
        prepare(folder, start)
        old = what_circusd_reads(folder)
        assert deploy(*new).code == 0
        meant = what_circusd_reads(folder)
        files = set(tree_of(folder))
        step = 0
        while True:
            step += 1
            prepare(folder, start)
            if not was_killed(step, *new):
                break
            seen = what_circusd_reads(folder)
            if seen not in (old, meant):
                told["mixed"].append([start.name, step])
            again = deploy(*new)
            if again.code or what_circusd_reads(folder) != meant:
                told["unfinished"].append([start.name, step, again.err])
            if set(tree_of(folder)) != files:
                told["left"].append([start.name, step, sorted(set(tree_of(folder)) ^ files)])
            if start is template:
                kept = folder / "circus.ini.d" / "hospital-web.ini.~1~"
                assert kept.read_bytes() == backup.read_bytes(), step
        told["steps"] += step - 1
        assert what_circusd_reads(folder) == meant
    print(json.dumps(told))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
