"""Rules of the checks of this machine, run on this machine."""

import errno
import os
import subprocess
import sys
import time
import unittest
from collections.abc import Callable
from pathlib import Path
from shutil import which

import pytest

from hospital.healthchecks import host
from hospital.healthchecks.mounts import Mount
from hospital.marking import Notes, is_healthcheck, options_of, taking_notes
from hospital.model import Status
from hospital.settings import LIMITS, read_settings

CHECKS = (host.disk_space, host.inodes, host.load, host.memory, host.open_files)
isolating = pytest.mark.skipif(
    os.geteuid() != 0 or not all(map(which, ("unshare", "mount"))),
    reason="needs mounts of its own: run as root, with util-linux",
)


def notes_of(check: Callable[[], None]) -> Notes:
    """Return what *check* says; skip where the system does not tell."""
    with taking_notes() as notes:
        try:
            check()
        except unittest.SkipTest as skip:
            pytest.skip(f"{skip}: run it on another machine")
    return notes


@pytest.mark.parametrize("check", CHECKS)
def test_each_is_a_health_check_with_title_tag_and_remedy(check: Callable[[], None]) -> None:
    """So that a list of them can be read, selected from, and acted upon."""
    options = options_of(check)

    assert is_healthcheck(check)
    assert ("host",) == options.tags
    assert options.fix
    assert check.__doc__
    assert check.__doc__.endswith(".")


@pytest.mark.parametrize("check", CHECKS)
def test_each_measures_a_ratio_within_its_limits(check: Callable[[], None]) -> None:
    """One number or several, each with the limits that the settings name."""
    notes = notes_of(check)

    limits = set(read_settings().limits.values())
    assert notes.measurements
    for measurement in notes.measurements.values():
        assert "1" == measurement.unit
        assert measurement.value >= 0
        assert {measurement.warn, measurement.fail} <= limits | {""}


def test_the_root_is_measured_as_df_shows_it() -> None:
    """What an ordinary user can have counts, not what is kept for root."""
    held = os.statvfs("/")
    used = held.f_blocks - held.f_bfree

    notes = notes_of(host.disk_space)

    expected = used / (used + held.f_bavail)
    assert expected == pytest.approx(notes.measurements["disk_used:/"].value, abs=0.01)


def test_all_together_take_less_than_50_ms() -> None:
    """They run every few seconds, so they must cost next to nothing; the best of five counts."""
    best_s = 1.0
    for _ in range(5):
        started = time.perf_counter()
        for check in CHECKS:
            with taking_notes():
                check()
        best_s = min(best_s, time.perf_counter() - started)

    assert best_s < 0.05


@pytest.mark.parametrize(
    ("check", "variable"),
    [
        (host.disk_space, "DISK_USED"),
        (host.inodes, "INODES_USED"),
        (host.memory, "MEMORY_AVAILABLE"),
        (host.load, "LOAD_PER_CORE"),
        (host.open_files, "FILES_USED"),
    ],
)
def test_limits_come_from_the_environment(
    check: Callable[[], None], variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each check has two variables of its own; an empty one switches its limit off."""
    limit = "1000000:"
    monkeypatch.setenv(f"HOSPITAL_{variable}_FAIL", limit)
    monkeypatch.setenv(f"HOSPITAL_{variable}_WARN", "")

    notes = notes_of(check)

    judged = [each for each in notes.measurements.values() if each.fail]
    assert {(limit, "", Status.FAIL)} == {(each.fail, each.warn, each.status) for each in judged}


def test_every_limit_of_the_settings_belongs_to_a_check() -> None:
    """A limit that nobody reads would be one that nobody gets."""
    names = {name.removeprefix("HOSPITAL_").rpartition("_")[0] for name in LIMITS}

    source = Path(host.__file__).read_text()

    assert {name for name in names if f'"{name}"' in source} == names


def statvfs(**held: int) -> os.statvfs_result:
    names = (
        "f_bsize", "f_frsize", "f_blocks", "f_bfree", "f_bavail",
        "f_files", "f_ffree", "f_favail", "f_flag", "f_namemax",
    )  # fmt: skip
    return os.statvfs_result([held.get(name, 0) for name in names])


def test_reserved_blocks_count_as_taken() -> None:
    """5 % kept for root are not there for others: full is 1, though blocks are free."""
    full = statvfs(f_blocks=100, f_bfree=5, f_bavail=0)
    half = statvfs(f_blocks=100, f_bfree=50, f_bavail=45)

    assert 1.0 == host.space_used(full)
    assert 50 / 95 == host.space_used(half)


def test_file_systems_without_size_or_inodes_have_no_ratio() -> None:
    """Btrfs and vfat say 0 inodes: they make them as they go."""
    assert host.space_used(statvfs()) is None
    assert host.inodes_used(statvfs(f_blocks=100, f_bfree=50, f_bavail=45)) is None
    assert 0.25 == host.inodes_used(statvfs(f_files=100, f_ffree=75, f_favail=75))


def test_a_mount_that_cannot_be_looked_at_is_told() -> None:
    """Gone is gone, forbidden is a warning, and a fault of the disk is an error."""
    errors = {
        "gone": FileNotFoundError(errno.ENOENT, "No such file or directory"),
        "forbidden": PermissionError(errno.EACCES, "Permission denied"),
        "broken": OSError(errno.EIO, "Input/output error"),
    }
    faults = []
    for name, error in errors.items():

        def look(_held: os.statvfs_result, error: OSError = error) -> float:
            raise error

        with taking_notes() as notes:
            faults.append((name, host._look_at([Mount("/")], look), notes.warnings))

    assert [
        ("gone", ([], []), []),
        ("forbidden", ([], []), ["cannot look at /: Permission denied"]),
        ("broken", ([], ["/: Input/output error"]), []),
    ] == faults


def test_of_very_many_mounts_the_fullest_are_kept() -> None:
    """A check can record so many measurements; the one that matters must be among them."""
    mounts = [Mount("/", is_writable=number != 3) for number in range(200)]
    ratios = iter(range(200))

    used, faults = host._look_at(mounts, lambda _held: float(next(ratios)))

    assert (host.MOST_MOUNTS, []) == (len(used), faults)
    assert [199.0, 198.0] == [ratio for _, ratio in used[:2]]


def test_without_linux_tables_psutil_says_which_mounts_there_are() -> None:
    """As on macOS; here it agrees with the tables about the disks."""
    mounts = host._mounts_by_psutil()

    assert {mount.path for mount in mounts} <= {mount.path for mount in host._mounts()}


@isolating
def test_a_full_mount_fails_by_its_name_and_number(tmp_path: Path) -> None:
    """A real tmpfs, filled: that mount fails, the root does not."""
    program = """
import subprocess
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100k,nr_inodes=10", "none", "/run"], check=True)
with open("/run/big", "wb") as file:
    file.write(bytes(98 * 1024))
for number in range(7):
    open(f"/run/{number}", "w").close()
from hospital.healthchecks import host
from hospital.marking import taking_notes
with taking_notes() as notes:
    host.disk_space()
    host.inodes()
for name in ("disk_used:/run", "inodes_used:/run"):
    print(name, notes.measurements[name].value, notes.measurements[name].status)
"""
    done = subprocess.run(
        ["unshare", "--mount", sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert (0, "") == (done.returncode, done.stderr)
    assert "disk_used:/run 1.0 fail\ninodes_used:/run 0.9 warn\n" == done.stdout


@isolating
def test_a_container_with_an_overlay_root_measures_it(tmp_path: Path) -> None:
    """No block device among the mounts, and still a number for the root."""
    program = """
from hospital.healthchecks import host
from hospital.marking import taking_notes
with taking_notes() as notes:
    host.disk_space()
print(*notes.measurements)
"""
    script = """
set -e
mount -t tmpfs none "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" none "$1/root"
mount -t proc none "$1/root/proc"
exec chroot "$1/root" "$2" -c "$3"
"""
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, "sh", str(tmp_path), sys.executable, program],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    if "unknown filesystem type" in done.stderr or "overlay" in done.stderr:
        pytest.skip("no overlay file system here: load the module overlay")

    assert (0, "") == (done.returncode, done.stderr)
    assert "disk_used:/\n" == done.stdout
