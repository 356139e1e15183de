"""The command hospital-deploy: what it says, and the exit codes."""

import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from hospital.deploy.command import Command
from hospital.deploy.options import make_parser
from tests.deploy.conftest import MakeSite, Said, deploy, tree_of

SECRETS = '[secrets]\nDB_PASSWORD = "hush hush"\n'


def run(*arguments: str) -> Said:
    out, err = io.StringIO(), io.StringIO()
    return Said(Command(out, err).run(arguments), out.getvalue(), err.getvalue())


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("", "there is no command; write hospital-deploy render --output DIR"),
        ("rendr --output /x", "unknown command 'rendr'; did you mean 'render'?"),
        ("render", "there is no folder to write to; name one: --output DIR"),
        ("render --output", "argument --output: expected one argument; see hospital-deploy --help"),
        ("render --output /x --prot 1", "unknown option '--prot'; did you mean '--port'?"),
        ("render --output /x --profile vms", "--profile is unknown: 'vms'; did you mean 'vm'?"),
        ("render --output /x --secret A=hush", "there is no option for a secret; write it under"),
        ("render --output /x --environment A", "--environment sets no variable: 'A'; write"),
        ("render --output /x\ny", "--output cannot be handed on by circusd: '/x\\ny'; write"),
    ],
)
def test_a_command_line_without_sense_is_told(arguments: str, told: str) -> None:
    """In one line, with exit code 2; a secret is never told."""
    said = run(*arguments.split(" ")) if arguments else run()

    assert 2 == said.code
    assert told in said.err
    assert "" == said.out
    assert 1 == said.err.count("\n") or not arguments
    assert "hush" not in said.err


def test_help_and_version_are_no_mistakes() -> None:
    """Both on standard output."""
    from hospital import __version__

    help_of_command = run("render", "--help")

    assert Said(0, f"hospital-deploy {__version__}\n", "") == run("--version")
    assert (0, "") == (help_of_command.code, help_of_command.err)
    options = [each for action in make_parser()._actions for each in action.option_strings]
    assert [] == [each for each in options if each not in help_of_command.out]


def test_check_says_whether_something_would_change(tmp_path: Path) -> None:
    """It writes nothing, not even a folder."""
    folder = tmp_path / "set"

    before = deploy("--output", folder, "--check")

    assert 1 == before.code
    assert f"would write: {folder}/circus.ini\n" in before.out
    assert not folder.exists()
    deploy("--output", folder)
    assert Said(0, f"up to date: {folder}\n", "") == deploy("--output", folder, "--check")
    tree = tree_of(folder)
    changed = deploy("--output", folder, "--check", "--name", "other")
    assert 1 == changed.code
    assert f"would remove: {folder}/circus.ini.d/hospital-web.ini\n" in changed.out
    assert tree == tree_of(folder)


def test_diff_shows_what_would_change(tmp_path: Path) -> None:
    """As a unified diff; it writes nothing."""
    deploy("--output", tmp_path)
    tree = tree_of(tmp_path)

    said = deploy("--output", tmp_path, "--diff", "--numprocesses", "7")

    assert 1 == said.code
    assert "--- circus.ini.d/hospital-web.ini (as it is)\n" in said.out
    assert "\n-numprocesses = 2\n+numprocesses = 7\n" in said.out
    assert tree == tree_of(tmp_path)
    assert Said(0, "", "") == deploy("--output", tmp_path, "--diff")


def test_no_secret_is_shown(tmp_path: Path, make_site: MakeSite) -> None:
    """Neither the new one nor the old one, wherever it stands; nor a digest to guess it by."""
    folder = tmp_path / "set"
    site = make_site(SECRETS)
    said = [deploy("--output", folder, "--site", site, "--diff")]
    said.append(deploy("--output", folder, "--site", site))
    web = folder / "circus.ini.d" / "hospital-web.ini"
    web.write_text(web.read_text() + "OTHER_PASSWORD = older-hush\nCOPY = hush hush\n")
    secret = folder / "circus.ini.d" / "hospital-web.secrets.ini"
    secret.write_text(secret.read_text() + "  more hush\nX: hush too\n")

    make_site(SECRETS.replace("hush hush", "new hush"))
    said += [deploy("--output", folder, "--site", site, *each) for each in (["--diff"], [])]
    said.append(deploy("--output", folder, "--site", make_site(SECRETS), "--force"))
    make_site(SECRETS.replace("hush hush", "new hush"))
    only_value = deploy("--output", folder, "--site", site, "--diff")

    assert [1, 0, 1, 1, 0] == [each.code for each in said]
    shown = "".join(f"{each.out}{each.err}" for each in said)
    assert "DB_PASSWORD = (hidden)" in shown
    assert "hush" not in shown
    assert "hush" not in only_value.out
    assert not re.search(r"[0-9a-f]{64}", only_value.out)
    assert "circus.ini.d/hospital-web.secrets.ini (as rendered)" in only_value.out


def test_a_site_with_secrets_that_others_may_read_is_told(
    tmp_path: Path, make_site: MakeSite
) -> None:
    """It works all the same: the file is not ours."""
    site = make_site(SECRETS)
    site.chmod(0o644)

    said = deploy("--output", tmp_path / "set", "--site", site)

    assert 0 == said.code
    assert f"note: {site} holds secrets, and others may read it; run: chmod 600" in said.err


def test_a_folder_that_somebody_named_is_told_and_not_made(tmp_path: Path) -> None:
    """With the line that makes it."""
    folder = tmp_path / "log"

    said = deploy("--output", tmp_path / "set", "--log-folder", folder)

    assert 0 == said.code
    assert f"note: {folder} is not there; run: install -d -m 0750 {folder}\n" in said.err
    assert not folder.exists()
    folder.mkdir()
    assert "" == deploy("--output", tmp_path / "set", "--log-folder", folder).err


@pytest.mark.parametrize("name", ["var/log", "var/state", "var"])
def test_a_folder_that_is_a_link_is_left_alone(tmp_path: Path, name: str) -> None:
    """It is somebody's: neither its mode nor its owner is changed, what it needs is told."""
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    foreign.chmod(0o755)
    link = tmp_path / "set" / name
    link.parent.mkdir(parents=True)
    link.symlink_to(foreign)
    user = ("--user", "nobody") if os.geteuid() == 0 else ()

    said = deploy("--output", tmp_path / "set", *user)

    assert 0 == said.code
    assert 0o755 == foreign.stat().st_mode & 0o777
    assert os.geteuid() == foreign.stat().st_uid
    assert [] == list(foreign.iterdir())
    told = f"note: {link} must belong to nobody; run: install -d -m 0700 -o nobody"
    assert (told in said.err) == (name == "var/state" and bool(user))
    told = f"note: {link}/log is not there; run: install -d -m 0750 {link}/log\n"
    assert (told in said.err) == (name == "var")


def test_the_folders_of_the_socket_and_of_the_workers_are_told_and_not_made(
    tmp_path: Path,
) -> None:
    """With the lines that make them; those of the set itself are made."""
    socket, code = tmp_path / "web" / "web.sock", tmp_path / "code"
    output = ("--output", tmp_path / "set")

    said = deploy(*output, "--socket", socket, "--working-dir", code)
    own = deploy(*output, "--socket", tmp_path / "set" / "var" / "run" / "web.sock")
    socket.parent.mkdir()
    code.mkdir()
    later = deploy(*output, "--socket", socket, "--working-dir", code)

    assert 0 == said.code
    for folder in (socket.parent, code):
        assert f"note: {folder} is not there; run: install -d -m 0755 {folder}\n" in said.err
    assert "" == own.err == later.err


def test_what_keeps_the_set_from_working_is_told(tmp_path: Path) -> None:
    """A token file that is not there or that others may read, a Python that is none."""
    token = tmp_path / "token"
    options = ("--output", tmp_path / "set", "--token-file", token, "--python", "/no/python")

    said = deploy(*options)
    token.write_text("x")
    token.chmod(0o644)
    later = deploy(*options)

    assert "note: /no/python is not there, or cannot be run" in said.err
    assert f"note: cannot look at the token file {token}: no such file" in said.err
    assert f"note: others may read the token file {token}; run: chmod 600 {token}" in later.err


@pytest.mark.parametrize("module", ["hospital.deploy", "hospital.deploy.command"])
def test_it_is_a_program(tmp_path: Path, module: str) -> None:
    """The command ends with the code, and the modules run too."""
    result = subprocess.run(
        [sys.executable, "-m", module, "render", "--output", tmp_path / "set"],
        env={"PATH": os.defpath},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )

    assert (0, "") == (result.returncode, result.stderr)
    assert f"written: {tmp_path}/set/circus.ini" == result.stdout.splitlines()[0]
    python = (tmp_path / "set" / "circus.ini.d" / "hospital-web.ini").read_text()
    assert f"cmd = {sys.executable} -m hospital.serving.worker" in python


def test_a_python_that_was_started_by_a_relative_path_is_named_absolute(tmp_path: Path) -> None:
    """As it was started: a link is not resolved, since an environment is found by it."""
    bin_folder = tmp_path / "venv" / "bin"
    bin_folder.mkdir(parents=True)
    (tmp_path / "here").mkdir()
    (bin_folder / "python").symlink_to(sys.executable)

    result = subprocess.run(
        ["../venv/bin/python", "-m", "hospital.deploy", "render", "--output", "../set"],
        cwd=tmp_path / "here",
        env={"PATH": os.defpath, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )

    assert (0, "") == (result.returncode, result.stderr)
    text = (tmp_path / "set" / "circus.ini.d" / "hospital-web.ini").read_text()
    assert f"cmd = {bin_folder}/python -m hospital.serving.worker" in text


@pytest.mark.parametrize("redirection", [">/dev/full", ">&-", ">&- 2>&-", "2>/dev/full"])
def test_nobody_there_to_read_is_no_reason_to_fail(tmp_path: Path, redirection: str) -> None:
    """The set is written all the same, and no traceback stands anywhere."""
    command = f"{sys.executable} -m hospital.deploy render --output {tmp_path}/set {redirection}"
    environment = {name: text for name, text in os.environ.items() if name != "PYTHONUNBUFFERED"}

    result = subprocess.run(
        ["sh", "-c", command],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )

    assert (0, "") == (result.returncode, result.stderr)
    assert (tmp_path / "set" / "circus.ini").exists()


def test_a_folder_that_is_closed_or_gone_is_told(tmp_path: Path) -> None:
    """In one line each, for who may not enter it, and where there is no current folder."""
    closed = tmp_path / "closed"
    (closed / "set").mkdir(parents=True)
    closed.chmod(0o000)
    command = f"mkdir {tmp_path}/gone && cd {tmp_path}/gone && rmdir {tmp_path}/gone && "
    command += f"{sys.executable} -P -m hospital.deploy render --output x"

    gone = subprocess.run(
        ["sh", "-c", command], capture_output=True, text=True, check=False, timeout=30
    )
    told = None if os.geteuid() == 0 else deploy("--output", closed / "set")  # root may enter
    closed.chmod(0o700)

    assert (1, 1) == (gone.returncode, gone.stderr.count("\n"))
    assert "cannot use the current folder: no such file or directory" in gone.stderr
    assert told is None or f"{closed}/set: permission denied; render as its owner" in told.err


def test_a_folder_through_which_the_workers_cannot_pass_is_told(tmp_path: Path) -> None:
    """Root renders for another user into a folder that is not for others."""
    if os.geteuid() != 0:
        return  # nobody else can render for another user
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)

    said = deploy("--output", closed / "set", "--user", "nobody", "--run-folder", tmp_path)

    assert 0 == said.code
    assert f"note: nobody cannot pass through {closed}; run: chmod o+x {closed}\n" in said.err
    beats = f"install -d -m 0700 -o nobody -g {group_of_nobody()} {tmp_path}/beats"
    assert f"note: {tmp_path}/beats is not there; run: {beats}\n" in said.err


def test_a_python_and_a_token_that_the_workers_cannot_get_at_are_told(tmp_path: Path) -> None:
    """Root gets at everything, so it is told as the workers' user would see it."""
    if os.geteuid() != 0:
        return  # nobody else can render for another user; test_reach has what is told
    closed, token = tmp_path / "closed", tmp_path / "token"
    closed.mkdir(mode=0o700)
    (closed / "python").symlink_to(sys.executable)
    token.write_text("x")
    token.chmod(0o600)
    options = ("--user", "nobody", "--python", closed / "python", "--token-file", token)

    said = deploy("--output", tmp_path / "set", *options)

    assert 0 == said.code
    assert f"note: nobody cannot pass through {closed}; run: chmod o+x {closed}\n" in said.err
    assert f"note: nobody cannot read the token file {token}; run: chown nobody {token}" in said.err


def group_of_nobody() -> str:
    """Return the name of the group of the user nobody."""
    import grp
    import pwd

    return grp.getgrgid(pwd.getpwnam("nobody").pw_gid).gr_name
