"""The folders and files that circusd and its watchers write to: found before anything starts.

Rules: as in :mod:`hospital.supervision.preflight_checks`.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from hospital.errors import HospitalError
from hospital.serving.usable_folders import fault_of, fault_of_makeable, file_fault, may_enter
from hospital.supervision import beats_folder
from hospital.supervision.configuration import Configuration, log_files
from hospital.supervision.hooks import owner_of


class OwnerFields:
    """The user and the group of a watcher, as attributes."""

    def __init__(self, watcher: dict[str, Any]) -> None:
        self.uid, self.gid = watcher["uid"], watcher["gid"]


def started_in_faults(_configuration: Configuration) -> Iterator[HospitalError]:
    """Yield why no process could start in the folder where circusd was started.

    circusd itself was put there by somebody else; its plugins and workers enter it by its name.
    """
    try:
        folder = os.getcwd()  # noqa: PTH109 - a text
    except OSError:
        yield HospitalError("circusd was started in a folder that is gone", "", "cd / first")
        return
    if not may_enter(folder):
        what = "circusd was started in"
        yield HospitalError(what, f"{folder}, which this user may not enter", "cd / first")


def folder_faults(configuration: Configuration) -> Iterator[HospitalError]:
    """Yield why the folder of heartbeat files cannot be there, and the logger configuration."""
    named = configuration.circus["loggerconfig"]
    if named and not os.path.isfile(named):  # noqa: PTH113 - Path raises for what is closed
        remedy = f"mend loggerconfig in {configuration.path}"
        yield HospitalError("there is no file", named, remedy)
    pidfile = configuration.circus["pidfile"]
    if pidfile and (fault := fault_of(Path(pidfile).parent, "0755")):
        yield HospitalError("cannot write the pidfile", f"{pidfile}: {fault.reason}", fault.remedy)
    for folder in heartbeat_folders(configuration):
        if fault := fault_of_makeable(folder, "0700"):
            # circusd makes the last part itself, for the user of the workers
            fault = fault_of(folder.parent, "0700") or fault
            what = "cannot keep heartbeat files in"
            yield HospitalError(what, f"{folder}: {fault.reason}", fault.remedy)


def heartbeat_folders(
    configuration: Configuration,
) -> dict[Path, tuple[int, int] | None]:
    """Return the folders in which the watchers beat, and whose they are to be."""
    found = {}
    for watcher in configuration.watchers:
        folder = beats_folder.folder_of(watcher["env"], watcher["working_dir"] or "")
        if folder is not None:
            with suppress(ValueError, KeyError):  # it is refused for that
                found[folder] = owner_of(OwnerFields(watcher))
    return found


def log_warnings(configuration: Configuration) -> Iterator[HospitalError]:
    """Yield the logs that cannot be written: a reason to speak, not to stay down."""
    files = list(dict.fromkeys(Path(name) for name in log_files(configuration)))
    unusable = set()
    for folder in dict.fromkeys(each.parent for each in files):
        if fault := fault_of_makeable(folder, "0750"):
            unusable.add(folder)
            yield HospitalError("cannot write logs in", f"{folder}: {fault.reason}", fault.remedy)
    for file in files:
        if file.parent not in unusable and (fault := file_fault(file)):
            yield HospitalError("cannot write the log", f"{file}: {fault.reason}", fault.remedy)
