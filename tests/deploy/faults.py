"""Let hospital-deploy fail at each of its looks at the disk, once it begins to write.

Run as a program: ``faults.py FOLDER`` prints one JSON object. At each step it is interrupted, as
by Ctrl-C, and in another run it gets an I/O error. It runs in a process of its own, since the
hook that raises cannot be removed.
"""

import errno
import json
import shutil
import sys
from pathlib import Path
from typing import Any

from hospital.deploy.store import PENDING
from tests.deploy.conftest import deploy, tree_of
from tests.deploy.kills import CHANGES, prepare, what_circusd_reads

IN_FORCE = "the new set is in force; run the same again"


class Raiser:
    """Raises an error once, at a step of the writing.

    Args:
        folder: The set that is written; who reads anything else is left alone.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)
        self._error: BaseException | None = None
        self._left = 0
        self._is_writing = False
        sys.addaudithook(self._look)

    def arm(self, step: int, error: BaseException) -> None:
        """Raise *error* at the step number *step*, from 1."""
        self._left, self._error, self._is_writing = step, error, False

    def is_armed(self) -> bool:
        """Tell whether nothing was raised; from now on nothing will be."""
        error, self._error = self._error, None
        return error is not None

    def _look(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self._error is None or event not in {"open", *CHANGES}:
            return
        path = str(arguments[0])
        if event == "open" and not path.startswith(self._folder):
            return
        self._is_writing = self._is_writing or path.endswith(PENDING)
        self._left -= self._is_writing
        if self._left == 0:
            error, self._error = self._error, None
            raise error


def main(home: Path) -> None:
    """Print what happened at each step, for a first set and for one that replaces another."""
    folder, template = home / "set", home / "template"
    site = home / "site.toml"
    site.write_text('[web]\nport = 1111\n[secrets]\nA = "old secret"\n')
    site.chmod(0o600)
    new = ("--output", str(folder), "--port", "2222", "--numprocesses", "3", "--force")
    told: dict[str, Any] = {"before": 0, "after": 0, "mixed": [], "untrue": [], "left": []}
    told["unfinished"] = []
    raiser = Raiser(folder)

    assert deploy("--output", str(folder), "--site", str(site)).code == 0
    edited = folder / "circus.ini.d" / "hospital-web.ini"
    edited.write_text(edited.read_text().replace("= 1111", "= 1112"))
    shutil.copytree(folder, template)

    for start, error in (
        (home / "none", KeyboardInterrupt()),
        (template, KeyboardInterrupt()),
        (template, OSError(errno.EIO, "Input/output error")),
    ):
        prepare(folder, start)
        old, before = what_circusd_reads(folder), tree_of(folder).keys()
        assert deploy(*new).code == 0
        meant, files = what_circusd_reads(folder), tree_of(folder).keys()
        step = 0
        while True:
            step += 1
            prepare(folder, start)
            raiser.arm(step, error)
            said = deploy(*new)
            if raiser.is_armed():
                break
            at = [start.name, repr(error), step, said.err]
            seen = what_circusd_reads(folder)
            told["before" if seen == old else "after"] += 1
            if seen not in (old, meant):
                told["mixed"].append(at)
            if said.code != (seen == old or IN_FORCE in said.err) or said.err.count("\n") > 1:
                told["untrue"].append(at)
            if seen == old and tree_of(folder).keys() != before:
                told["left"].append([*at, sorted(tree_of(folder).keys() ^ before)])
            again = deploy(*new)
            if again.code or what_circusd_reads(folder) != meant:
                told["unfinished"].append([*at, again.err])
            if tree_of(folder).keys() != files:
                told["left"].append([*at, sorted(tree_of(folder).keys() ^ files)])
        assert what_circusd_reads(folder) == meant
    print(json.dumps(told))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
