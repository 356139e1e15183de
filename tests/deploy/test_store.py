"""What stands on the disk: the old set or the new one, and nobody's work is run over."""

import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hospital.deploy.site import checkout_site
from hospital.deploy.store import PENDING, Store
from tests.deploy.conftest import MakeSite, Said, deploy, read_by_circus, tree_of

ROOT = Path(__file__).parents[2]
WEB = "circus.ini.d/hospital-web.ini"
HIDDEN = "circus.ini.d/hospital-web.secrets.ini"
SITE = '[secrets]\nA = "hush hush"\n'


@pytest.fixture
def rendered(tmp_path: Path) -> Path:
    """The set that says nothing special."""
    said = deploy("--output", tmp_path / "set")
    assert (0, "") == (said.code, said.err)
    return tmp_path / "set"


@pytest.fixture
def memory() -> Iterator[Path]:
    """A folder that is quick to write to where the machine has one: each write is waited for."""
    shared = Path("/dev/shm")  # noqa: S108 - a folder of its own is made in it
    is_usable = os.access(shared, os.W_OK)
    with tempfile.TemporaryDirectory(dir=shared if is_usable else None) as folder:
        yield Path(folder)


def edit(path: Path, old: str = "numprocesses = 2", new: str = "numprocesses = 9") -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_files_and_folders_are_not_for_everyone(tmp_path: Path, make_site: MakeSite) -> None:
    """Whatever the umask; the secret file is for its owner alone."""
    before = os.umask(0)
    try:
        deploy("--output", tmp_path / "set", "--site", make_site(SITE))
    finally:
        os.umask(before)

    modes = {
        str(path.relative_to(tmp_path)): stat.S_IMODE(path.stat().st_mode)
        for path in [tmp_path / "set", *(tmp_path / "set").rglob("*")]
    }
    assert {
        "set": 0o750,
        "set/circus.ini": 0o640,
        "set/circus.ini.d": 0o750,
        f"set/{WEB}": 0o640,
        f"set/{HIDDEN}": 0o600,
        "set/circusd-logging.json": 0o640,
        "set/var": 0o750,
        "set/var/log": 0o750,
        "set/var/run": 0o700,
        "set/var/run/beats": 0o700,
        "set/var/state": 0o700,
    } == modes


def test_a_second_run_changes_nothing(rendered: Path) -> None:
    """No file is written again, and it says so."""
    before = tree_of(rendered)

    said = deploy("--output", rendered)

    assert Said(0, f"unchanged: {rendered}\n", "") == said
    assert before == tree_of(rendered)


def test_only_what_differs_is_written(rendered: Path) -> None:
    """An older rendering that nobody edited needs no force."""
    before = tree_of(rendered)

    said = deploy("--output", rendered, "--numprocesses", "3")

    assert Said(0, f"written: {rendered / WEB}\n", "") == said
    after = tree_of(rendered)
    changed = {path for path in before if before[path][1] != after[path][1]}
    assert {WEB} == changed
    assert before["circusd-logging.json"] == after["circusd-logging.json"]
    assert before.keys() == after.keys()


@pytest.mark.parametrize("path", ["circus.ini", WEB, "circusd-logging.json"])
def test_an_edited_file_is_not_run_over(rendered: Path, path: str) -> None:
    """The difference is shown, and nothing else is written either."""
    edit(rendered / path, "hospital-web" if path == WEB else "hospital", "mine")
    before = tree_of(rendered)

    said = deploy("--output", rendered, "--port", "8080")

    assert 1 == said.code
    assert f"{rendered / path}: not as it was rendered, somebody edited it" in said.err
    assert "--force, which keeps a backup" in said.err
    assert f"--- {path} (as it is)" in said.out
    assert "mine" in said.out
    assert before == tree_of(rendered)


def test_a_file_that_was_never_ours_is_not_run_over(tmp_path: Path) -> None:
    """Somebody wrote a circus.ini there."""
    (tmp_path / "circus.ini").write_text("[circus]\n")

    said = deploy("--output", tmp_path)

    assert 1 == said.code
    assert "-[circus]" in said.out.splitlines() or " [circus]" in said.out.splitlines()
    assert ["circus.ini"] == [each.name for each in tmp_path.iterdir()]


def test_force_keeps_a_backup_that_circusd_does_not_read(rendered: Path) -> None:
    """Each edit has its own; what is kept already is not kept twice."""
    for number in (1, 2):
        edit(rendered / WEB, new=f"numprocesses = {number + 6}")

        said = deploy("--output", rendered, "--force")

        assert f"kept: {rendered / WEB}.~{number}~\n" in said.out
        assert f"= {number + 6}" in Path(f"{rendered / WEB}.~{number}~").read_text()
        assert 2 == read_by_circus(rendered)["watchers"][0]["numprocesses"]
    edit(rendered / WEB, new="numprocesses = 8")
    assert "kept" not in deploy("--output", rendered, "--force").out


def test_what_is_no_longer_rendered_is_removed(tmp_path: Path, make_site: MakeSite) -> None:
    """Else circusd would go on with it: a watcher of another name, secrets."""
    deploy("--output", tmp_path / "set", "--site", make_site(f'name = "old"\n{SITE}'))

    said = deploy("--output", tmp_path / "set")

    assert 0 == said.code
    assert 2 == said.out.count("removed: ")
    names = [each.name for each in (tmp_path / "set" / "circus.ini.d").iterdir()]
    assert ["hospital-web.ini"] == names


def test_what_is_no_longer_rendered_but_edited_is_kept(tmp_path: Path) -> None:
    """Until somebody says force; then there is a backup."""
    folder = tmp_path / "set"
    deploy("--output", folder, "--name", "old")
    edit(folder / "circus.ini.d" / "old-web.ini")

    said = deploy("--output", folder)

    assert 1 == said.code
    assert (folder / "circus.ini.d" / "old-web.ini").exists()
    assert 0 == deploy("--output", folder, "--force").code
    names = sorted(each.name for each in (folder / "circus.ini.d").iterdir())
    assert ["hospital-web.ini", "old-web.ini.~1~"] == names


@pytest.mark.parametrize("path", ["circus.ini", WEB, "circusd-logging.json"])
def test_a_link_is_not_written_through(tmp_path: Path, path: str) -> None:
    """Nor replaced, with force or without; what it points to is unchanged."""
    folder, victim = tmp_path / "set", tmp_path / "victim"
    victim.write_text("precious")
    (folder / path).parent.mkdir(parents=True)
    (folder / path).symlink_to(victim)

    for options in ((), ("--force",)):
        said = deploy("--output", folder, *options)

        assert 1 == said.code
        assert f"{folder / path} is a symbolic link; nothing is written through one" in said.err
        assert "precious" == victim.read_text()
    assert not (folder / "var").exists() or not any((folder / "var").iterdir())


def test_a_folder_that_is_a_link_is_not_written_through(tmp_path: Path) -> None:
    """The files would stand where nobody expects them."""
    (tmp_path / "set").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "set" / "circus.ini.d").symlink_to(tmp_path / "elsewhere")

    said = deploy("--output", tmp_path / "set", "--force")

    assert 1 == said.code
    assert "circus.ini.d is a symbolic link" in said.err
    assert [] == list((tmp_path / "elsewhere").iterdir())


@pytest.mark.parametrize("path", ["circus.ini", WEB])
def test_a_folder_in_the_way_is_told(tmp_path: Path, path: str) -> None:
    """In one line, and nothing is written."""
    (tmp_path / path).mkdir(parents=True)

    said = deploy("--output", tmp_path, "--force")

    assert 1 == said.code
    assert str(tmp_path / path) in said.err
    assert 1 == said.err.count("\n")
    assert [] == [each for each in tmp_path.rglob("*") if each.is_file()]


def test_a_file_in_the_way_of_the_folder_is_told(tmp_path: Path) -> None:
    """In one line."""
    (tmp_path / "set").write_text("x")

    said = deploy("--output", tmp_path / "set")

    assert (1, f"hospital-deploy: error: {tmp_path}/set is no folder; ") == (
        said.code,
        said.err.partition("move")[0],
    )


def test_what_somebody_else_put_there_is_told(rendered: Path) -> None:
    """It is read by circusd too; it is left alone."""
    own = rendered / "circus.ini.d" / "own.ini"
    own.write_text("[watcher:own]\ncmd = sleep 9\n")

    said = deploy("--output", rendered, "--numprocesses", "3")

    assert 0 == said.code
    assert f"note: circusd reads {own} too" in said.err
    assert ["hospital-web", "own"] == [w["name"] for w in read_by_circus(rendered)["watchers"]]


@pytest.mark.parametrize(
    "section", ["circus", "watcher:hospital-web", "env", "env:*", "env:a, hospital-*"]
)
def test_a_section_that_reaches_into_ours_is_refused(rendered: Path, section: str) -> None:
    """The two would be mixed, in an order that nobody knows."""
    (rendered / "circus.ini.d" / "own.ini").write_text(f"[{section}]\nA = 1\n")

    said = deploy("--output", rendered, "--numprocesses", "3")

    assert 1 == said.code
    assert f"[{section}]" in said.err


def test_two_do_not_write_at_once(rendered: Path) -> None:
    """The second one says so, and leaves what the first is about alone."""
    site = checkout_site(str(rendered))

    with Store(site).locked():
        said = deploy("--output", rendered, "--port", "1")

    assert 1 == said.code
    assert f"another hospital-deploy writes to {rendered}; wait until it has ended" in said.err


def test_a_secret_file_that_others_may_read_is_mended(tmp_path: Path, make_site: MakeSite) -> None:
    """Its content is right, its mode is not."""
    site = make_site(SITE)
    deploy("--output", tmp_path / "set", "--site", site)
    (tmp_path / "set" / HIDDEN).chmod(0o644)

    assert 1 == deploy("--output", tmp_path / "set", "--site", site, "--check").code
    assert "the mode 0600" in deploy("--output", tmp_path / "set", "--site", site, "--diff").out
    assert 0 == deploy("--output", tmp_path / "set", "--site", site).code
    assert 0o600 == stat.S_IMODE((tmp_path / "set" / HIDDEN).stat().st_mode)


@pytest.mark.parametrize("path", ["circus.ini", WEB, "circusd-logging.json"])
@pytest.mark.parametrize(("mode", "mended"), [(0o666, 0o640), (0o660, 0o640), (0o644, 0o640)])
def test_a_file_that_others_may_change_is_mended(
    rendered: Path, path: str, mode: int, mended: int
) -> None:
    """Its content is right; who may write it could change what circusd runs."""
    (rendered / path).chmod(mode)

    checked = deploy("--output", rendered, "--check")
    shown = deploy("--output", rendered, "--diff")
    said = deploy("--output", rendered)

    assert Said(1, f"would write: {rendered / path}\n", "") == checked
    assert (
        f"others may do more with it than they should; it gets the mode {mended:04o}" in shown.out
    )
    assert Said(0, f"written: {rendered / path}\n", "") == said
    assert mended == stat.S_IMODE((rendered / path).stat().st_mode)
    assert 0 == deploy("--output", rendered, "--check").code


def test_a_file_that_is_closer_than_need_be_is_left_alone(rendered: Path) -> None:
    """Somebody has his reasons; circusd is started by who rendered, and reads it all the same."""
    (rendered / WEB).chmod(0o600)

    assert 0 == deploy("--output", rendered, "--check").code
    assert Said(0, f"unchanged: {rendered}\n", "") == deploy("--output", rendered)


def test_the_modes_of_a_checkout_are_those_of_git(tmp_path: Path) -> None:
    """They follow the umask of who cloned, and are nobody else's business."""
    deploy("--output", tmp_path, "--profile", "checkout")
    (tmp_path / "deploy" / "circus.ini").chmod(0o666)

    assert 0 == deploy("--output", tmp_path, "--profile", "checkout", "--check").code


@pytest.mark.parametrize("is_removed", [False, True])
def test_a_backup_of_secrets_is_for_its_owner_alone(
    tmp_path: Path, make_site: MakeSite, *, is_removed: bool
) -> None:
    """Whatever mode the edited file had; also where there is such a backup already."""
    folder = tmp_path / "set"
    options = ("--output", folder, "--site", make_site(SITE))
    deploy(*options)
    edit(folder / HIDDEN, "hush hush", "hush")
    (folder / HIDDEN).chmod(0o644)
    backup = Path(f"{folder / HIDDEN}.~1~")
    if is_removed:
        shutil.copy(folder / HIDDEN, backup)

    said = deploy(*(("--output", folder) if is_removed else options), "--force")

    assert 0 == said.code
    assert "A = hush\n" in backup.read_text()
    assert 0o600 == stat.S_IMODE(backup.stat().st_mode)


def test_a_backup_is_not_for_everyone(rendered: Path) -> None:
    """It holds what the file holds, and gets no more than its mode."""
    edit(rendered / WEB)
    (rendered / WEB).chmod(0o666)

    deploy("--output", rendered, "--force")

    assert 0o640 == stat.S_IMODE(Path(f"{rendered / WEB}.~1~").stat().st_mode)


def test_nothing_is_read_from_a_mix_wherever_it_is_killed(memory: Path) -> None:
    """Before each change to the disk: circusd reads the old set or the new one.

    The next run leaves the new one and nothing else.
    """
    told = result_of("tests.deploy.kills", memory)

    assert told["steps"] > 60
    assert [] == told["mixed"]
    assert [] == told["unfinished"]
    assert [] == told["left"]


def test_what_fails_at_any_step_leaves_a_whole_set_and_says_which(memory: Path) -> None:
    """Ctrl-C and an I/O error: before the switch the old set and nothing else, then the new one.

    The next run leaves the new one and nothing else.
    """
    told = result_of("tests.deploy.faults", memory)

    assert told["before"] > 40
    assert told["after"] > 40
    assert [] == told["mixed"]
    assert [] == told["untrue"]
    assert [] == told["left"]
    assert [] == told["unfinished"]


def test_a_full_disk_leaves_the_old_set(memory: Path) -> None:
    """Whichever page is the last one; nothing else is left, and a read-only disk is told too."""
    own_mounts = ["unshare", "--mount", "--propagation=private"]
    if os.geteuid() != 0:
        own_mounts += ["--user", "--map-root-user"]
    if (
        shutil.which("unshare") is None
        or subprocess.run([*own_mounts, "true"], check=False).returncode
    ):
        pytest.skip("no disk can be mounted here; enable this test: run it as root, with unshare")

    told = result_of("tests.deploy.full_disk", memory, *own_mounts)

    assert told["failed"]
    assert told["written"]
    assert [] == told["changed"]
    assert [] == [line for line in told["said"] if "no space left" not in line]
    code, said, code_of_new, said_of_new, is_unchanged = told["read_only"]
    assert (1, 1, True) == (code, code_of_new, is_unchanged)
    assert "read-only file system; nothing is changed" in said
    assert "read-only file system" in said_of_new


def result_of(program: str, folder: Path, *prefix: str) -> dict[str, Any]:
    """Return what *program* prints about its work in *folder*."""
    result = subprocess.run(
        [*prefix, sys.executable, "-m", program, folder],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert 0 == result.returncode, result.stderr
    told: dict[str, Any] = json.loads(result.stdout)
    return told


def test_leftovers_of_a_kill_are_cleared_away(rendered: Path) -> None:
    """Also those that make no sense any more, before the new set was in force."""
    (rendered / PENDING).mkdir()
    (rendered / PENDING / "plan.json").write_text("{")

    said = deploy("--output", rendered)

    assert Said(0, f"unchanged: {rendered}\n", "") == said
    assert not (rendered / PENDING).exists()
