"""Write a set so that circusd reads the old one or the new one, whenever we are killed.

circusd begins with circus.ini, and that names the others. So the new files are written to a
folder beside it first. Then circus.ini is replaced by one that names those: that one rename is
the moment at which the new set is in force. Only then, while nobody reads them, the files in
their usual places are replaced, and at last circus.ini by one that names these again.

Rule: what fails before that moment leaves the old set and nothing else; from then on nothing is
taken back, whatever happens. What is left behind is finished, or cleared away, by the next run.

A circusd that began to read at such a moment opens the rest of its files a little later, so there
is a pause before those that it may be about to open are replaced or removed. A pause is no lock:
who reads more slowly finds files of both sets, or misses some. The folder goes all the same, since
a copy of the secrets should not outlive what it is for.
"""

import fcntl
import json
import os
import shutil
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from hospital.deploy.present import Change, Plan
from hospital.deploy.render import INCLUDED, LOGGING, File, main_path, render_main
from hospital.deploy.site import Site
from hospital.errors import HospitalError

PENDING = ".hospital-deploy.pending"
_PLAN = "plan.json"
_SWITCH = "switch.ini"
_MODE_OF_FOLDERS = 0o750
_OPEN = 0o755  # workers of another user pass through; the files in it are not for them
_MOST_BACKUPS = 999
_PAUSE_S = 0.01  # circusd opens all its files within 2 ms


class Store:
    """The folder of a set.

    Args:
        site: What is rendered.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self.root = Path(site.output)
        self.main = self.root / main_path(site)
        self._pending = self.main.parent / PENDING

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other writers out while the block runs; the folder is made if it is missing.

        Raises:
            HospitalError: If it cannot be had, or somebody else writes there.
        """
        made = make_folder(self.root, _OPEN if self._site.user else _MODE_OF_FOLDERS)
        try:
            try:
                descriptor = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            except OSError as error:
                raise _failed(f"cannot open {self.root}", error) from None
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(descriptor)
                what = f"another hospital-deploy writes to {self.root}"
                raise HospitalError(what, "", "wait until it has ended") from None
            try:
                self._recover()
                yield
            finally:
                os.close(descriptor)
        except BaseException:
            remove_folders(made)
            raise

    def write(self, plan: Plan, files: Sequence[File], made: Sequence[Path] = ()) -> list[Path]:
        """Have *files* stand in the folder, and return the backups of what was edited.

        Args:
            plan: What is to be done.
            files: The whole set.
            made: Folders that were made for it, the innermost first; they go where it fails.

        Raises:
            HospitalError: If that fails; it says which set is in force.
        """
        made = list(made)
        backups: list[Path] = []
        is_switched = False
        may_be_read = self.main.exists()
        try:
            for each in files:
                made = [*make_folder((self.root / each.path).parent, _MODE_OF_FOLDERS), *made]
            self._prepare(plan, files)
            for change in plan.edited:
                backup = _back_up(self.root / change.path, change)
                if backup is not None:
                    backups.append(backup)
            (self._pending / _SWITCH).replace(self.main)
            is_switched = True
            _sync(self.main.parent)
            self._finish(_PAUSE_S if may_be_read else 0)
        except BaseException as error:
            # a signal may come after the rename and before the line below it
            if is_switched or self._may_be_switched():
                raise _unfinished(self.root, error) from error
            self._take_back(made, backups)
            if isinstance(error, OSError):
                raise _failed(f"cannot write to {self.root}", error, "nothing is changed") from None
            raise
        return backups

    def _take_back(self, made: Sequence[Path], backups: Sequence[Path]) -> None:
        for path in backups:
            path.unlink(missing_ok=True)
        shutil.rmtree(self._pending, ignore_errors=True)
        remove_folders(made)

    def _prepare(self, plan: Plan, files: Sequence[File]) -> None:
        """Write the new set, and what is left to do, to the folder beside circus.ini."""
        self._pending.mkdir(mode=0o700)
        for each in files:
            _write(self._pending / each.path, each.text.encode(), each.mode)
        for path in plan.foreign:
            content = (self.root / path).read_bytes()
            _write(self._pending / path, content, (self.root / path).stat().st_mode & 0o777)
        steps = {
            "replace": [each.path for each in plan.changes if each.new is not None],
            "remove": [each.path for each in plan.changes if each.new is None],
        }
        _write(self._pending / _PLAN, json.dumps(steps).encode(), 0o600)
        _write(self._pending / _SWITCH, self._switching_main().encode(), files[0].mode)
        for folder, _, _ in os.walk(self._pending):
            _sync(Path(folder))

    def _switching_main(self) -> str:
        """Return a circus.ini that names the files beside it instead of those in their places."""
        start = self._site.deploy_folder
        within = Path(main_path(self._site)).parent
        return render_main(
            self._site,
            include=f"{PENDING}/{INCLUDED}/*.ini",
            loggerconfig=str(Path(start, PENDING, within, LOGGING)),
        )

    def _is_switched(self) -> bool:
        try:
            return f"{PENDING}/".encode() in self.main.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return False

    def _may_be_switched(self) -> bool:
        """Tell whether the new set may be in force; where nobody can tell, it may."""
        try:
            return self._is_switched()
        except OSError:
            return True

    def _recover(self) -> None:
        """Finish what a killed run had put in force, or clear away what it had not."""
        try:
            if self._is_switched() and (self._pending / _PLAN).exists():
                self._finish(_PAUSE_S)
            elif self._pending.exists():
                shutil.rmtree(self._pending)
        except (OSError, ValueError) as error:
            what = f"cannot clear away {self._pending}, which a killed run left"
            raise HospitalError(f"{what}: {error}", "", "look at it, and remove it") from None

    def _finish(self, pause_s: float) -> None:
        """Put all in its place: every step may have been done already."""
        time.sleep(pause_s)  # for who has read the old circus.ini
        steps = json.loads((self._pending / _PLAN).read_bytes())
        main = main_path(self._site)
        for path in steps["replace"]:
            if path != main and (self._pending / path).exists():
                _replace(self._pending / path, self.root / path)
        for path in steps["remove"]:
            (self.root / path).unlink(missing_ok=True)
        for folder in {(self.root / path).parent for path in steps["replace"] + steps["remove"]}:
            _sync(folder)
        (self._pending / main).replace(self.main)
        _sync(self.main.parent)
        time.sleep(pause_s)  # for who has read the one that named the folder
        shutil.rmtree(self._pending)


def make_folder(path: Path, mode: int) -> list[Path]:
    """Make the folder *path*, and return what was made, the innermost first.

    Raises:
        HospitalError: If it cannot be made.
    """
    missing = []
    for each in (path, *path.parents):
        if each.exists() or each.is_symlink():
            break
        missing.append(each)
    made: list[Path] = []
    try:
        for each in reversed(missing):
            each.mkdir()
            made.insert(0, each)
            each.chmod(mode)
    except OSError as error:
        remove_folders(made)
        raise _failed(f"cannot make the folder {path}", error) from None
    if not path.is_dir():
        remedy = "move it away, or render to another folder"
        raise HospitalError(f"{path} is no folder", "", remedy)
    return made


def remove_folders(paths: Sequence[Path]) -> None:
    """Remove those of *paths* that are empty, the innermost first."""
    for path in paths:
        with suppress(OSError):
            path.rmdir()


def _back_up(path: Path, change: Change) -> Path | None:
    """Keep what stands at *path* beside it, under a name that circusd does not include.

    It is the same file, so first it loses what others may do with it beyond what *change* allows.

    Returns:
        The backup; None if there is one with the same content already.
    """
    _close(path, change.mode)
    content = path.read_bytes()
    for number in range(1, _MOST_BACKUPS):
        backup = path.with_name(f"{path.name}.~{number}~")
        try:
            os.link(path, backup)
        except FileExistsError:
            if not backup.is_symlink() and backup.is_file() and backup.read_bytes() == content:
                _close(backup, change.mode)
                return None
            continue
        return backup
    raise FileExistsError(None, f"{_MOST_BACKUPS} backups are there already", str(path))


def _close(path: Path, mode: int) -> None:
    """Take from group and others what *mode* does not give them."""
    found = stat.S_IMODE(path.stat().st_mode)
    if found & 0o077 & ~mode:
        path.chmod(found & (0o700 | mode))


def _write(path: Path, content: bytes, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor
        os.fchmod(file.fileno(), mode)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _replace(source: Path, target: Path) -> None:
    """Let *target* be *source* at once; that stays, since circusd may read it until the end."""
    link = source.with_name(f"{source.name}.place")
    link.unlink(missing_ok=True)
    os.link(source, link)
    link.replace(target)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unfinished(root: Path, error: BaseException) -> HospitalError:
    remedy = "the new set is in force; run the same again to put all in its place"
    if isinstance(error, OSError):
        return _failed(f"cannot replace a file in {root}", error, remedy)
    what = "interrupted" if isinstance(error, KeyboardInterrupt) else type(error).__name__
    return HospitalError(f"{what} while replacing the files in {root}", "", remedy)


def _failed(what: str, error: OSError, remedy: str = "") -> HospitalError:
    reason = (error.strerror or str(error)).lower()
    return HospitalError(f"{what}: {reason}", "", remedy or "render as its owner, or elsewhere")
