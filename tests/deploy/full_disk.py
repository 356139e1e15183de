"""Let hospital-deploy write to a disk that is full at every possible place, or read-only.

Run as a program in a mount namespace of its own: ``full_disk.py FOLDER`` prints one JSON object.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.deploy.conftest import deploy, tree_of

MOST_BLOCKS = 12


def mount(folder: Path, *options: str) -> None:
    """Mount a small disk on *folder*, or mount it anew with other *options*."""
    subprocess.run(["mount", "-t", "tmpfs", *options, "none", folder], check=True)


def fill(folder: Path, free_blocks: int) -> None:
    """Leave *free_blocks* pages of the disk free."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            pass
        file.truncate(max(0, file.tell() // 4096 - free_blocks) * 4096)


def main(home: Path) -> None:
    """Print what happened with each number of free pages."""
    told: dict[str, Any] = {"failed": [], "written": [], "changed": [], "said": []}
    for free in range(MOST_BLOCKS):
        disk = home / str(free)
        disk.mkdir()
        mount(disk, "-o", "size=512k")
        assert deploy("--output", disk / "set", "--port", "1111").code == 0
        fill(disk, free)
        before = tree_of(disk)

        said = deploy("--output", disk / "set", "--port", "2222", "--force")

        if said.code == 0:
            told["written"].append(free)
        else:
            told["failed"].append(free)
            told["said"].append(said.err)
            if tree_of(disk) != before:
                told["changed"].append(free)
    disk = home / "0"
    mount(disk, "-o", "remount,ro")
    before = tree_of(disk)
    said = deploy("--output", disk / "set", "--port", "3333")
    new = deploy("--output", disk / "other")
    told["read_only"] = [said.code, said.err, new.code, new.err, tree_of(disk) == before]
    print(json.dumps(told))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
