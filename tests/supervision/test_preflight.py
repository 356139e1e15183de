"""What is said of a configuration before circusd starts anything."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import circus.circusd
import circus.config
import circus.sockets
import circus.watcher
import pytest

from hospital.supervision import known_options, preflight
from hospital.supervision.preflight import configuration_of, is_circusd
from tests.circus_bundle import BIN, ROOT

CIRCUS = f"""
[circus]
endpoint = ipc://run/c.sock
pubsub_endpoint = ipc://run/e.sock
check_delay = 1

[watcher:web]
cmd = {sys.executable} -c pass
"""

BEATING = "[env:web]\nHOSPITAL_HEARTBEAT_DIR = run/b\nHOSPITAL_WATCHDOG = 5s\n"


class Set:
    """A configuration in the folder of the test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "run").mkdir()
        self.write(CIRCUS)

    def write(self, text: str, name: str = "circus.ini") -> None:
        (self.folder / name).write_text(text)

    def add(self, text: str) -> None:
        with (self.folder / "circus.ini").open("a") as file:
            file.write(f"{text}\n")

    def look(self, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str]]:
        """Return the exit code of the command, and the lines on standard error."""
        code = preflight.run(["circus.ini"])
        return code, capsys.readouterr().err.splitlines()


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Set:
    """One without a fault; circusd is started in its folder."""
    monkeypatch.chdir(tmp_path)
    return Set(tmp_path)


def test_without_a_fault_nothing_is_said_and_nothing_made(
    made: Set, capsys: pytest.CaptureFixture[str]
) -> None:
    """The look alone leaves the folder as it was."""
    before = sorted(made.folder.rglob("*"))

    assert (0, []) == made.look(capsys)
    assert before == sorted(made.folder.rglob("*"))


def test_the_committed_bundle_has_no_fault(capsys: pytest.CaptureFixture[str]) -> None:
    """But for the port, which somebody may have just now."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        preflight.run(["deploy/circus.ini"])

    said = capsys.readouterr().err.splitlines()
    assert [] == [line for line in said if "cannot listen on 127.0.0.1:2014" not in line]


@pytest.mark.parametrize(
    ("added", "said"),
    [
        ("[socket:s]\nhost = 192.0.2.1\nport = 80", "cannot listen on 192.0.2.1:80: this machine"),
        ("[socket:s]\nport = http", "the port is no number: 'http'; mend it in [socket:s] in "),
        ("[socket:s]\npath = no/s.sock", "unix:no/s.sock: no: there is no such folder; create it"),
        (f"[socket:s]\npath = {'x' * 108}", "the path has 108 bytes, and a socket's has 1 to 107"),
        ("[socket:s]\npath = circus.ini/s", "circus.ini: that is no folder; choose another path"),
        ("[socket:s]\npath = circus.ini", "unix:circus.ini: a file is there that is no socket; "),
        ("[watcher:w]\ncmd = no-such-program", "cannot find the program no-such-program; mend cmd"),
        ("[watcher:w]\ncmd = 'x", "the cmd cannot be taken apart: [watcher:w] in circus.ini: "),
        ("[watcher:w]\nnumprocesses = 1", "there is no cmd: [watcher:w] in circus.ini"),
        (
            "[watcher:w]\ncmd = sh $(circus.sockets.x)",
            "there is no socket x, which the cmd wants: [watcher:w] in circus.ini; write a section",
        ),
        (
            "[watcher:w]\ncmd = sh $(circus.sockets.s)\n[socket:s]\npath = run/s.sock",
            "the cmd wants a socket: [watcher:w] in circus.ini; write use_sockets = True there",
        ),
        ("[watcher:w]\ncmd = sh\nworking_dir = none", "there is no folder none; mend working_dir"),
        ("[watcher:w]\ncmd = sh\nuid = nosuchuser", "there is no such user or group: [watcher:w]"),
        (
            "[watcher:w]\ncmd = sh\nhooks.before_start = hospital.supervision.hooks.befor_start",
            "cannot import hospital.supervision.hooks.befor_start: ModuleNotFoundError: ",
        ),
        (
            "[watcher:w]\ncmd = sh\nstdout_stream.class = hospital.supervision.streams.LinStream",
            "cannot import hospital.supervision.streams.LinStream: ",
        ),
        (
            "[watcher:w]\ncmd = sh\nstdout_stream.class = hospital.supervision.streams.LineStream",
            "stdout_stream in [watcher:w] in circus.ini: there is no filename; name the file",
        ),
        ("[plugin:p]\nuse = no.such.Plugin", "cannot import no.such.Plugin: ModuleNotFoundError: "),
        ("[plugin:p]\npriority = 1", "there is no 'use' in [plugin:p] in circus.ini; name the"),
        (
            "[plugin:p]\nuse = hospital.supervision.guard.Guard\nheartbeat_dir = a b",
            "heartbeat_dir is not one word: a b in [plugin:p] in circus.ini; put it in quotes",
        ),
        (
            "[plugin:p]\nuse = hospital.supervision.guard.Guard\nheartbeat_dir = a\nwatchdgo = 1",
            "[plugin:p] in circus.ini: unknown option 'watchdgo'; did you mean 'watchdog'?",
        ),
        ("[env:web]\nHOSPITAL_HEARTBEAT_DIR = no/beats", "cannot keep heartbeat files in "),
        (
            "[watcher:w]\ncmd = sh -c hospital.serving.worker\n[env:w]\nHOSPITAL_CACHE_TLT = 5",
            "[env:w] in circus.ini: unknown variable ",
        ),
        (
            f"[watcher:w]\ncmd = {BIN}/hospital-serve\n[env:w]\nHOSPITAL_CACHE_TTL = soon",
            "[env:w] in circus.ini: HOSPITAL_CACHE_TTL",
        ),
    ],
)
def test_each_fault_refuses_the_start(
    made: Set, capsys: pytest.CaptureFixture[str], added: str, said: str
) -> None:
    """With a line that says where it is and what to do."""
    made.add(added)

    code, lines = made.look(capsys)

    assert 1 == code
    errors = [line for line in lines if line.startswith("circusd: error: ")]
    assert said in errors[0]
    assert 1 == len(errors)


@pytest.mark.parametrize(
    ("added", "said"),
    [
        (
            "[circus]\nchek_delay = 1",
            "circus.ini:10: unknown option 'chek_delay' in [circus]; did ",
        ),
        ("[circuss]\ncheck_delay = 1", "unknown section [circuss]; did you mean 'circus'?"),
        ("[wacther:w]\ncmd = sh", "unknown section [wacther:w]; did you mean 'watcher'?"),
        ("[watcher:w]\ncmd = sh\nnumproceses = 2", "did you mean 'numprocesses'?"),
        ("[watcher:w]\ncmd = sh\nhooks.before_strat = os.getcwd", "mean 'hooks.before_start'?"),
        (
            "[socket:s]\nprot = 80\npath = run/s",
            "unknown option 'prot' in [socket:s]; did you mean",
        ),
        ("[env:wbe]\nX = 1", "[env:wbe] is for no watcher; did you mean 'web'?"),
        (
            "[circus]\ncheck_delay = 9",
            ": check_delay in [circus] has no effect; it stands in circus.ini:5 already, and the",
        ),
        ("[env:web]\nHOSPITAL_CACHE_TLT = 5", "[env:web] in circus.ini: unknown variable "),
        (
            "[watcher:w]\ncmd = sh\nstdout_stream.filename = no/such/w.log",
            "cannot write logs in no/such: there is no such folder; create it: install -d -m 0750",
        ),
        (BEATING, "no guard looks at "),
        (
            BEATING + "[plugin:g]\nuse = hospital.supervision.guard.Guard\nheartbeat_dir = run/b",
            "HOSPITAL_WATCHDOG is 5s in [env:web] in circus.ini, and the guard's watchdog is 10s; ",
        ),
    ],
)
def test_what_has_no_effect_is_a_warning(
    made: Set, capsys: pytest.CaptureFixture[str], added: str, said: str
) -> None:
    """Circus takes it without a word; circusd starts all the same."""
    made.add(added)

    code, lines = made.look(capsys)

    assert 0 == code
    (line,) = [line for line in lines if said in line]
    assert line.startswith("circusd: warning: ")


def test_variables_of_circusd_stand_for_their_values(
    made: Set, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In an environment, as circusd itself reads it."""
    monkeypatch.setenv("RUNDIR", str(made.folder / "run"))
    made.add("[watcher:w]\ncmd = sleep 1000\n[env:w]\nPATH = $PATH")
    made.add("[env:web]\nHOSPITAL_HEARTBEAT_DIR = $RUNDIR/beats")

    assert (0, []) == made.look(capsys)


@pytest.mark.parametrize("option", ["include = parts/*.ini", "include_dir = parts"])
def test_included_files_that_cannot_be_read_refuse_the_start(
    made: Set, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    """Circus goes on without them: nobody would miss the watchers in them."""
    parts = made.folder / "parts"
    parts.mkdir()
    (parts / "good.ini").write_text("[watcher:w]\ncmd = sh\n")
    (parts / "folder.ini").mkdir()
    (parts / "gone.ini").symlink_to("nowhere")
    made.write(CIRCUS.replace("check_delay = 1", option))

    code, lines = made.look(capsys)

    remedy = "let circusd's user read it, or move it away"
    said = "circusd: error: cannot read the included file"
    assert 1 == code
    assert [
        f"{said} parts/folder.ini: is a directory; {remedy}",
        f"{said} parts/gone.ini: no such file or directory; {remedy}",
    ] == lines


def test_all_faults_are_told_at_once(made: Set, capsys: pytest.CaptureFixture[str]) -> None:
    """Who mends one need not start again to learn of the next."""
    (made.folder / "run").rmdir()
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
        made.add(f"[socket:s]\nhost = 127.0.0.1\nport = {port}\n[watcher:w]\ncmd = no-such-program")

        code, lines = made.look(capsys)

    assert 1 == code
    assert 4 == len(lines), lines
    assert sum(
        "run: there is no such folder; create it: install -d -m 0700 run" in x for x in lines
    )
    assert sum(f"(pid {os.getpid()}); stop it, or choose another port under" in x for x in lines)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "no such configuration: circus.ini; name the circus.ini of a set; "),
        ("[circus\n", "the configuration cannot be read: circus.ini: "),
        ("[circus]\ncheck_delay = soon\n", "the configuration cannot be read: circus.ini: "),
    ],
)
def test_what_cannot_be_read_is_told(
    made: Set, capsys: pytest.CaptureFixture[str], text: str | None, said: str
) -> None:
    """In one line, without a traceback."""
    if text is None:
        (made.folder / "circus.ini").unlink()
    else:
        made.write(text)

    code, (line,) = made.look(capsys)

    assert 1 == code
    assert line.startswith(f"circusd: error: {said}")


def test_a_living_socket_is_left_alone_and_a_dead_one_is_replaced_if_so_configured(
    made: Set, capsys: pytest.CaptureFixture[str]
) -> None:
    """Circus itself would take a socket from who listens there."""
    made.add("[socket:s]\npath = run/s.sock\nreplace = True")
    with closing(socket.socket(socket.AF_UNIX)) as listener:
        listener.bind("run/s.sock")
        listener.listen()

        code, (line,) = made.look(capsys)

    assert 1 == code
    assert f"unix:run/s.sock: the path is in use by {name_of_this_process()} (pid " in line
    assert (0, []) == made.look(capsys)
    made.write((made.folder / "circus.ini").read_text().replace("replace = True", ""))
    code, (line,) = made.look(capsys)
    assert 1 == code
    assert line.endswith("nobody listens on; remove it, or write replace = True")


def name_of_this_process() -> str:
    return Path("/proc/self/comm").read_text().strip()


def test_the_known_options_are_those_of_circus() -> None:
    """Read from its sources: none is missing here, and none is made up."""
    config = Path(circus.config.__file__).read_text()
    sockets = Path(circus.sockets.__file__).read_text()
    watcher = Path(circus.watcher.__file__).read_text()
    of_circus = set(re.findall(r"dget\('circus', '(\w+)'", config))
    of_sockets = set(re.findall(r"config\.get\('(\w+)'", sockets))
    (signature,) = re.findall(r"def __init__\(self, name, (.*?)\*\*options\)", watcher, re.DOTALL)
    of_watchers = set(re.findall(r"(\w+)(?:=[^,]*)?,", signature))
    not_options = {"env", "hooks", "loop", "prereload_fn", "rlimits", "stderr_stream"}
    hooks = set(re.findall(r"call_hook\(\s*[\"'](\w+)[\"']", watcher)) | {"extended_stats"}

    assert of_circus == known_options.CIRCUS
    assert of_sockets == known_options.SOCKET
    assert of_watchers - not_options - {"stdout_stream"} == known_options.WATCHER - {
        "check_flapping",
        "reload_timeout",
    }
    assert hooks == known_options.HOOKS


def test_circusd_is_told_by_its_command_line() -> None:
    """However it is started; nobody else is."""
    assert is_circusd(["/venv/bin/circusd", "circus.ini"])
    assert is_circusd([circus.circusd.__file__, "circus.ini"])
    assert not is_circusd(["/venv/bin/hospital-deploy", "circusd"])
    assert not is_circusd([])
    assert "x.ini" == configuration_of(["--pidfile", "p", "--daemon", "x.ini"])
    assert "" == configuration_of(["--log-level", "info"])
    assert "" == configuration_of(["--log-level"])


def test_only_one_circusd_begins(made: Set, capsys: pytest.CaptureFixture[str]) -> None:
    """Also of two that looked before either had its control socket."""
    program = (
        "import sys; from hospital.supervision import preflight\n"
        "preflight.begin('circus.ini'); print('begun', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as first:
        assert first.stdout is not None
        assert b"begun\n" == first.stdout.readline()

        second = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )

        first.kill()
    third = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert (1, "") == (second.returncode, second.stdout)
    assert f"circusd already runs on run/c.sock, pid {first.pid}; end it first: " in second.stderr
    assert (0, "begun\n") == (third.returncode, third.stdout)


def test_circusd_without_a_word_about_it_is_refused_too(made: Set) -> None:
    """Through the filter of the logger configuration alone, quickly, and with nothing left."""
    made.add("loggerconfig = log.json\n")
    made.write(
        CIRCUS.replace("check_delay = 1", "loggerconfig = log.json") + "[plugin:p]\nuse = x.Y"
    )
    made.write(
        json.dumps(
            {
                "version": 1,
                "filters": {"preflight": {"()": "hospital.supervision.preflight.Preflight"}},
            }
        ),
        "log.json",
    )
    shutil.rmtree(made.folder / "run")
    before = sorted(made.folder.rglob("*"))
    began_s = time.monotonic()

    done = subprocess.run(
        [BIN / "circusd", "circus.ini"], capture_output=True, text=True, timeout=30, check=False
    )

    assert 1 == done.returncode
    assert 3 == len(done.stderr.splitlines())
    assert "Traceback" not in done.stderr
    assert time.monotonic() - began_s < 5.0
    assert before == sorted(made.folder.rglob("*"))
