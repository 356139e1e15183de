"""The folders that a set needs: made where they lie in the set's own folder, else told.

Rule: a folder that somebody named belongs to that person; nothing is changed about it. Who puts a
link in the place of one, or of what it lies in, has named one.
"""

import grp
import os
import pwd
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from hospital.deploy.site import Site
from hospital.deploy.store import make_folder, remove_folders
from hospital.errors import HospitalError


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder that a set needs.

    Attributes:
        path: Where.
        mode: Its permission bits.
        user: Its owner; empty for who renders.
        group: Its group; empty for that of who renders.
        is_own: Whether it lies where hospital-deploy put it itself, and not behind a link.
    """

    path: Path
    mode: int
    user: str
    group: str
    is_own: bool


def folders_of(site: Site) -> list[Folder]:
    """Return the folders of *site*, outer ones first.

    Workers of another user pass through the run folder to their heartbeats, and see nothing else.
    """
    own = Path(site.output, "var")
    through = 0o711 if site.user else 0o700
    wanted = [
        (site.run, through, "", ""),
        (site.beats, 0o700, site.user, site.group),
        (site.state, 0o700, site.user, site.group),
        (site.log, 0o750, "", ""),
    ]
    return [
        Folder(Path(path), mode, user, group, _is_within(own, Path(path)))
        for path, mode, user, group in wanted
    ]


def _is_within(own: Path, path: Path) -> bool:
    """Tell whether *path* lies in *own*, and no link leads out of it on the way."""
    if not path.is_relative_to(own):
        return False
    ways = [each for each in (path, *path.parents) if each.is_relative_to(own)]
    return not any(os.path.islink(each) for each in ways)  # noqa: PTH114 - Path raises for what is closed


def make(site: Site) -> list[Path]:
    """Make the folders of *site* that lie in its own, and return those that are new.

    Raises:
        HospitalError: If one cannot be made, or cannot be given to who needs it.
    """
    made: list[Path] = []
    for folder in folders_of(site):
        if not folder.is_own:
            continue
        try:
            made = [*make_folder(folder.path, 0o755 if site.user else 0o750), *made]
            if _owner(folder) not in {None, _owned_by(folder.path)}:
                os.chown(folder.path, *(_owner(folder) or (-1, -1)), follow_symlinks=False)
            if stat.S_IMODE(folder.path.lstat().st_mode) != folder.mode:
                folder.path.chmod(folder.mode)
        except BaseException as error:
            remove_folders(made)
            if not isinstance(error, OSError):
                raise
            reason = (error.strerror or str(error)).lower()
            what = f"cannot give {folder.path} the owner and mode that it needs: {reason}"
            remedy = _ownership(site, folder) if isinstance(error, PermissionError) else ""
            raise HospitalError(what, "", remedy or f"run: {_command(folder)}") from None
    return made


def missing(site: Site) -> Iterator[str]:
    """Yield what to run for each folder that somebody named and that is not as it must be."""
    for folder in folders_of(site):
        if folder.is_own:
            continue
        if not folder.path.is_dir():
            if folder.path != Path(site.beats) or folder.user:  # else circusd makes it
                yield f"{folder.path} is not there; run: {_command(folder)}"
        elif folder.user and _owned_by(folder.path) != _owner(folder):
            yield f"{folder.path} must belong to {folder.user}; run: {_command(folder)}"
    made = {Path(site.output), *(each.path for each in folders_of(site) if each.is_own)}
    for path in dict.fromkeys(_others(site)):
        if path not in made and not path.is_dir():
            yield f"{path} is not there; run: install -d -m 0755 {path}"


def _others(site: Site) -> Iterator[Path]:
    """Yield the folders that have no mode of ours: everything in them is somebody else's."""
    yield Path(site.working_dir)
    if site.socket:
        yield Path(site.socket).parent


def _owned_by(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_uid, status.st_gid


def _owner(folder: Folder) -> tuple[int, int] | None:
    with suppress(KeyError):
        if folder.user:
            return pwd.getpwnam(folder.user).pw_uid, grp.getgrnam(folder.group).gr_gid
    return None


def _command(folder: Folder) -> str:
    owner = f" -o {folder.user} -g {folder.group}" if folder.user else ""
    return f"install -d -m {folder.mode:04o}{owner} {folder.path}"


def _ownership(site: Site, folder: Folder) -> str:
    """Return what root has to run for who renders; empty where nothing is somebody else's."""
    renderer = os.geteuid()
    for each in (*reversed(folder.path.parents), folder.path):
        is_ours = each.is_relative_to(site.output) and os.path.lexists(each)
        if renderer and is_ours and each.lstat().st_uid != renderer:
            with suppress(KeyError):
                return f"run as root: chown -R {pwd.getpwuid(renderer).pw_name} {each}"
            return f"run as root: chown -R {renderer} {each}"
    return ""
