"""What stands in the folder of a set already, and how it differs from what is to stand there.

Rule: no link is followed below that folder, and nothing is changed.
"""

import errno
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from hospital.deploy.render import INCLUDED, MODE, MODE_IN_A_CHECKOUT, MODE_OF_SECRETS, File
from hospital.deploy.stamp import is_stamped, is_untouched
from hospital.errors import HospitalError

_LONGEST_BYTES = 1_000_000
_SECTION = re.compile(r"^\[(?P<header>.+)\]", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Change:
    """A file that is to be written or removed.

    Attributes:
        path: Where it stands, below the folder of the set.
        old: What stands there; None for nothing.
        new: What is to stand there; None where it is removed.
        is_edited: Whether somebody changed it, or wrote it in the first place.
    """

    path: str
    old: str | None
    new: File | None
    is_edited: bool

    @property
    def is_secret(self) -> bool:
        """Whether secrets stand in it, or stood there."""
        return ".secrets." in self.path or bool(self.new and self.new.is_secret)

    @property
    def mode(self) -> int:
        """The permission bits that it may have at most."""
        if self.is_secret:
            return MODE_OF_SECRETS
        return self.new.mode if self.new else MODE


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done.

    Attributes:
        changes: The files to write or to remove.
        foreign: Files that circusd reads too, and that hospital-deploy did not write, by path.
    """

    changes: tuple[Change, ...]
    foreign: tuple[str, ...]

    @property
    def edited(self) -> list[Change]:
        """The changes that would run over somebody's work."""
        return [each for each in self.changes if each.is_edited]


def make_plan(root: Path, files: list[File]) -> Plan:
    """Return what is to be done so that *files* stand in *root*.

    Raises:
        HospitalError: If there is a link, a folder or something unreadable in the way, or a
            file that is not ours speaks of what is ours.
    """
    changes = [each for each in (_change(root, file) for file in files) if each is not None]
    ours = {file.path for file in files}
    foreign = []
    for path in _included(root):
        if path in ours:
            continue
        if (root / path).is_symlink():  # none of ours, so somebody may have his reasons
            text = _followed(root / path)
        else:
            text, _ = _read(root, path)
        if text is not None and is_stamped(text) and not (root / path).is_symlink():
            changes.append(Change(path, text, None, not is_untouched(text)))
        elif text is not None:
            _refuse_to_share(path, text, files)
            foreign.append(path)
    return Plan(tuple(changes), tuple(foreign))


def _change(root: Path, file: File) -> Change | None:
    text, mode = _read(root, file.path)
    # in a checkout git and the umask decide about modes
    is_open = file.mode != MODE_IN_A_CHECKOUT and bool(mode & 0o077 & ~file.mode)
    if text == file.text and not is_open:
        return None
    is_edited = text is not None and text != file.text and not is_untouched(text)
    return Change(file.path, text, file, is_edited)


def _included(root: Path) -> Iterator[str]:
    try:
        names = sorted(each.name for each in (root / INCLUDED).iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise _unreadable(root / INCLUDED, error) from None
    yield from (f"{INCLUDED}/{name}" for name in names if fnmatchcase(name, "[!.]*.ini"))


def _read(root: Path, path: str) -> tuple[str | None, int]:
    """Return what stands at *path* below *root*, and its mode; None if there is nothing."""
    for parent in reversed(Path(path).parents[:-1]):
        _refuse_a_link(root / parent)
    target = root / path
    try:
        descriptor = os.open(target, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None, 0
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise _link(target) from None
        raise _unreadable(target, error) from None
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        what = f"{target} is no regular file"
        raise HospitalError(what, "", "move it away, or render to another folder")
    with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor
        content = file.read(_LONGEST_BYTES)
    return content.decode("utf-8", "surrogateescape"), mode


def _followed(path: Path) -> str | None:
    try:
        return path.read_text("utf-8", "surrogateescape")
    except OSError:
        return None  # circusd will not read it either


def _refuse_a_link(folder: Path) -> None:
    if folder.is_symlink():
        raise _link(folder)


def _link(path: Path) -> HospitalError:
    remedy = "nothing is written through one; remove it, or render to another folder"
    return HospitalError(f"{path} is a symbolic link", "", remedy)


def _unreadable(path: Path, error: OSError) -> HospitalError:
    reason = (error.strerror or str(error)).lower()
    return HospitalError(f"cannot read {path}: {reason}", "", "render as its owner, or elsewhere")


def _refuse_to_share(path: str, text: str, files: list[File]) -> None:
    """Refuse a foreign file with a section of ours: circusd would mix the two."""
    ours = {name for file in files if file.path.endswith(".ini") for name in _sections(file.text)}
    environments = [name.removeprefix("env:") for name in ours if name.startswith("env:")]
    for name in _sections(text):
        patterns = [each.strip() for each in name.removeprefix("env:").split(",")]
        is_ours = name.startswith("env:") and any(
            fnmatchcase(each, pattern) for each in environments for pattern in patterns
        )
        if name in ours or name == "env" or is_ours:
            what = f"{path} holds a section that hospital-deploy renders or that reaches into one:"
            raise HospitalError(what, f"[{name}]"[:80], "move it to another folder, or rename it")


def _sections(text: str) -> set[str]:
    return set(_SECTION.findall(text))
