"""What is said of the folders and files that circusd writes to, and of where it was started."""

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from hospital.supervision import preflight
from tests.nobody import NOBODY, as_nobody, needs_root

CIRCUS = """
[circus]
endpoint = ipc://run/c.sock
pubsub_endpoint = ipc://run/e.sock

[watcher:web]
cmd = sleep 1000
stdout_stream.class = hospital.supervision.streams.LineStream
stdout_stream.filename = log/web.log

[env:web]
HOSPITAL_HEARTBEAT_DIR = run/beats
PATH = $PATH
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A set of the user nobody without a fault; circusd is started there."""
    monkeypatch.chdir(tmp_path)
    tmp_path.chmod(0o755)
    Path("circus.ini").write_text(CIRCUS)
    Path("circus.ini").chmod(0o644)
    for name in ("run", "log"):
        Path(name).mkdir()
        if os.geteuid() == 0:
            os.chown(name, NOBODY, NOBODY)
    return tmp_path


def look(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return what nobody is told, but for where it was started: pytest's folder is closed."""

    def lines() -> list[str]:
        preflight.run(["circus.ini"])
        return capsys.readouterr().err.splitlines()

    told: list[str] = as_nobody(lines)
    return [line for line in told if "circusd was started in" not in line]


@needs_root
def test_a_set_of_nobodys_own_has_no_fault(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """So that each of the others has the one that it makes."""
    assert [] == look(capsys)


@needs_root
def test_who_may_not_enter_the_folder_of_the_start_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The processes of circusd enter it by its name, and the guard would be given up for good."""
    "localhost".encode("idna")  # Python's own folder may be closed to others, too
    tmp_path.chmod(0o700)
    monkeypatch.chdir(tmp_path)
    with TemporaryDirectory() as name:  # pytest's own folders are closed
        Path(name).chmod(0o755)
        configuration = Path(name, "circus.ini")
        configuration.write_text("[watcher:web]\ncmd = sleep 1000\n[env:web]\nPATH = $PATH\n")
        configuration.chmod(0o644)

        code, said = as_nobody(
            lambda: (preflight.run([str(configuration)]), capsys.readouterr().err)
        )

    assert 1 == code
    text = f"circusd was started in {tmp_path}, which this user may not enter; cd / first"
    assert f"circusd: error: {text}\n" in said
    assert "could not be looked for" not in said


@needs_root
def test_a_configuration_in_a_closed_folder_is_told_as_such(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is there, so a better name would be no help."""
    Path("run").chmod(0o700)
    os.chown("run", 0, 0)

    said = as_nobody(lambda: (preflight.run(["run/circus.ini"]), capsys.readouterr().err)[1])

    remedy = "let circusd's user read it, and enter the folders that it lies in"
    error = "circusd: error: this user may not read the configuration"
    assert f"{error} run/circus.ini; {remedy}\n" == said


def owned_by_root(*names: str) -> None:
    for name in names:
        path = Path(name)
        if path.suffix:
            path.touch(0o640)
        else:
            path.mkdir(0o750, exist_ok=True)
        os.chown(path, 0, 0)


_BELONGS, _CHOWN = "it belongs to root", "run as root: chown nobody"
_MAY_NOT = f"{_BELONGS}, and this user may not write there; {_CHOWN}"


@needs_root
@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["log"], f"circusd: warning: cannot write logs in log: {_MAY_NOT} log"),
        (
            ["log/web.log"],
            f"circusd: warning: cannot write the log log/web.log: {_BELONGS}; {_CHOWN} log/web.log",
        ),
        (
            ["run/beats"],
            f"circusd: error: cannot keep heartbeat files in run/beats: {_MAY_NOT} run/beats",
        ),
    ],
)
def test_what_belongs_to_somebody_else_has_to_be_given_to_this_user(
    folder: Path, capsys: pytest.CaptureFixture[str], names: list[str], said: str
) -> None:
    """As root leaves it who once started the set of another user."""
    if names == ["run/beats"]:
        Path("run/beats").mkdir(0o755)
    owned_by_root(*names)

    assert [said] == look(capsys)


@needs_root
@pytest.mark.parametrize("mode", [0o700, 0o755])
def test_a_run_folder_of_root_is_told_wherever_it_is_needed(
    folder: Path, capsys: pytest.CaptureFixture[str], mode: int
) -> None:
    """Whether it may be looked into or not: no other endpoint is better."""
    os.chown("run", 0, 0)
    Path("run").chmod(mode)

    said = look(capsys)

    assert 3 == len(said), said
    assert all(line.startswith("circusd: error: ") for line in said)
    assert all(line.endswith("; run as root: chown nobody run") for line in said), said


@needs_root
def test_a_log_folder_that_only_root_can_make_is_told_as_missing(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As /var/log/hospital is."""
    Path("circus.ini").write_text(CIRCUS.replace("log/web.log", "log/web/web.log"))
    os.chown("log", 0, 0)

    remedy = "create it as root: install -d -m 0750 -o nobody log/web"
    said = f"cannot write logs in log/web: there is no such folder; {remedy}"
    assert [f"circusd: warning: {said}"] == look(capsys)


@needs_root
def test_a_file_that_its_owner_may_not_write_needs_a_mode(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A new owner would be no help."""
    Path("log/web.log").touch(0o400)
    os.chown("log/web.log", NOBODY, NOBODY)
    Path("log/web.log").chmod(0o400)
    Path("run").chmod(0o500)

    said = look(capsys)

    assert said[0].endswith("its owner may not; run: chmod u+rw log/web.log"), said
    assert all(line.endswith("may not write there; run: chmod u+rwx run") for line in said[1:])
    assert 4 == len(said)
