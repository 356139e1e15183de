"""What a site can say, in site.toml and on the command line, and how faults are told."""

import os
import re
from pathlib import Path

import pytest

from hospital.deploy.keys import KEYS, VARIABLES
from hospital.deploy.render import render
from hospital.deploy.site import Site, checkout_site
from hospital.deploy.site_file import Written, read_site_file
from hospital.deploy.site_maker import SiteMaker
from hospital.deploy.toml_lines import line_of, lines_of
from hospital.settings import _READERS
from tests.deploy.conftest import MakeSite, deploy, read_by_circus, web_of

WHOLE = """\
name = "shop"
path = "/opt/bin:/usr/bin"

[web]
host = "0.0.0.0"
port = 8080
numprocesses = 4
graceful_timeout = "20s"
watchdog = 5
request_timeout = "20s"
reasons = "everyone"

[checks]
names = ["shop.checks", "./more"]
cache_ttl = 2.5

[log]
max_size = "1 MB"
count = 3
level = "warning"

[environment]
SHOP_URL = "http://127.0.0.1/?a=b;c"
HOSPITAL_DISK_USED_WARN = "0.5"

[secrets]
SHOP_PASSWORD = "pa$$ #1"
"""


def faults_of(path: Path, *options: str) -> list[str]:
    """Return the faults that are told of a site, without what stands before each."""
    said = deploy("--output", path.parent / "set", "--site", path, *options)
    assert 2 == said.code, said
    assert not (path.parent / "set").exists()
    start = "hospital-deploy: error: "
    assert all(line.startswith(start) for line in said.err.splitlines())
    return [
        line.removeprefix(start).removeprefix(f"{path.parent}/") for line in said.err.splitlines()
    ]


def test_every_key_reaches_circusd(tmp_path: Path, make_site: MakeSite) -> None:
    """What site.toml says is what circus reads."""
    said = deploy("--output", tmp_path / "set", "--site", make_site(WHOLE))

    assert (0, "") == (said.code, said.err)
    web = web_of(tmp_path / "set")
    assert "shop-web" == web["name"]
    assert 4 == web["numprocesses"]
    assert "--graceful-timeout 20 hospital.wsgi.application" in web["cmd"]
    assert 23.0 == web["graceful_timeout"]
    assert "1000000" == web["stdout_stream"]["max_bytes"]
    assert "3" == web["stderr_stream"]["backup_count"]
    wanted = {
        "HEALTHCHECKS": "shop.checks ./more",
        "HOSPITAL_CACHE_TTL": "2.5",
        "HOSPITAL_DISK_USED_WARN": "0.5",
        "HOSPITAL_LOG_LEVEL": "warning",
        "HOSPITAL_REASONS": "everyone",
        "HOSPITAL_REQUEST_TIMEOUT": "20s",
        "HOSPITAL_WATCHDOG": "5",
        "PATH": "/opt/bin:/usr/bin",
        "SHOP_PASSWORD": "pa$$ #1",
        "SHOP_URL": "http://127.0.0.1/?a=b;c",
    }
    assert wanted == {name: web["env"][name] for name in wanted}


def test_the_command_line_counts_more_than_the_file(tmp_path: Path, make_site: MakeSite) -> None:
    """Also where one of the two is a socket and the other a port."""
    site = make_site('[web]\nport = 8080\nnumprocesses = 3\n[environment]\nA = "1"\nB = "1"')
    options = ("--socket", "/run/web.sock", "--environment", "B=2", "--numprocesses", "5")

    said = deploy("--output", tmp_path / "set", "--site", site, *options)

    assert 0 == said.code, said.err
    web = web_of(tmp_path / "set")
    assert 5 == web["numprocesses"]
    assert ("1", "2") == (web["env"]["A"], web["env"]["B"])
    text = (tmp_path / "set" / "circus.ini.d" / "hospital-web.ini").read_text()
    assert "path = /run/web.sock\numask = 79\nreplace = True" in text
    assert "port =" not in text


def test_all_faults_are_told_together_with_their_lines(make_site: MakeSite) -> None:
    """Each in a line of its own, in the order of the file, then those of the command line."""
    lines = ('nmae = "x"', "[web]", "numproceses = 4", 'port = "http"', "[wbe]", "x = 1")

    seconds = "write a number of seconds, or one with a unit: 500ms, 10s, 2m, 1h, 7d"
    assert [
        "site.toml:1: unknown key 'nmae'; did you mean 'name'?",
        "site.toml:3: unknown key 'numproceses' in [web]; did you mean 'numprocesses'?",
        "site.toml:4: web.port is no number that fits: 'http'; write 1 to 65535",
        "site.toml:5: unknown table 'wbe'; did you mean 'web'?",
        f"--cache-ttl is no duration: 'fast'; {seconds}",
    ] == faults_of(make_site("\n".join(lines)), "--cache-ttl", "fast")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('name = "../x"', "site.toml:1: name is no name: '../x'"),
        ('name = "/etc/x"', "site.toml:1: name is no name: '/etc/x'"),
        ('name = "Shop"', "site.toml:1: name is no name: 'Shop'"),
        ('python = "python3"', "site.toml:1: python is no absolute path: 'python3'"),
        ('[folders]\nrun = "/a/../b"', "site.toml:2: folders.run cannot be handed on by circusd"),
        ('[folders]\nlog = "/a b"', "site.toml:2: folders.log cannot be handed on by circusd"),
        ('[folders]\nlog = "var"', "site.toml:2: folders.log is no absolute path: 'var'"),
        (f'[folders]\nrun = "/{"r" * 90}"', "is too long for circusd's sockets; name one of 87"),
        (f'[web]\nsocket = "/{"s" * 107}"', "site.toml:2: web.socket is too long for a socket"),
        ("[web]\nport = 0", "site.toml:2: web.port is no number that fits: '0'"),
        ("[web]\nport = 65536", "site.toml:2: web.port is no number that fits"),
        ("[web]\nport = true", "site.toml:2: web.port takes text or a number, not a bool"),
        ("[web]\nport = 1e300", "site.toml:2: web.port is too large"),
        ('[web]\nhost = "1.2.3"', "site.toml:2: web.host is no address: '1.2.3'"),
        ('[web]\nsocket_mode = "0660"', "site.toml:2: web.socket_mode stands without a socket"),
        ('[web]\nsocket = "/s"\nsocket_mode = "0444"', "web.socket_mode is no mode of a socket"),
        ('[web]\nport = 1\nsocket = "/s"', "site.toml:3: there is a socket beside host or port"),
        ("[web]\nnumprocesses = 0", "site.toml:2: web.numprocesses is no number that fits: '0'"),
        ("[web]\ngraceful_timeout = 0.5", "site.toml:2: web.graceful_timeout is no number"),
        (
            '[web]\nreasons = "evryone"',
            "web.reasons is unknown: 'evryone'; did you mean 'everyone'",
        ),
        ("[web]\nfail_status = 200", "site.toml:2: web.fail_status is no HTTP status of failure"),
        ('[web]\ntoken_file = "token"', "site.toml:2: web.token_file is no absolute path: 'token'"),
        ('[checks]\nnames = ["a b"]', "site.toml:2: checks.names takes names without white space"),
        ('[checks]\nnames = ""', "site.toml:2: checks.names names no health checks: ''"),
        ("[checks]\nnames = { a = 1 }", "site.toml:2: checks.names takes text or a number"),
        ('[log]\nmax_size = "1 KB"', "site.toml:2: log.max_size is no size that fits: '1 KB'"),
        ('[log]\nlevel = "loud"', "site.toml:2: log.level is unknown: 'loud'"),
        ("web = 1", "site.toml:1: web is a table; write [web] and its keys below it"),
        ("secrets = 1", "site.toml:1: secrets is a table"),
        (
            '[environment]\nPATH = "/x"',
            "site.toml:2: environment.PATH cannot be chosen; write path",
        ),
        ('[environment]\nHOSPITAL_CACHE_TTL = "1"', "has a key of its own; write checks.cache_ttl"),
        ('[environment]\nHOSPITAL_DISK = "1"', "site.toml:2: unknown variable 'HOSPITAL_DISK'"),
        ('[environment]\n"A B" = "1"', "site.toml:2: environment.A B is no name of a variable"),
        ('[environment]\nREM = "1"', "site.toml:2: environment.REM is no name of a variable"),
        ("[environment]\nA = 1", "site.toml:2: environment.A takes text, not 1"),
        ('[environment]\nA = "a ;b"', "leave out the ';' after a space"),
        ('[environment]\nA = "$HOME"', "leave out the '$' before a capital letter"),
        ('[environment]\nA = " a"', "leave out the spaces around it"),
        ('[environment]\nA = "a\\nb"', "leave out line ends"),
        ('[environment]\nA = "\\u00a0"', "that cannot be printed"),
        ("[environment]\nA = '\"\"'", "write nothing for an empty value"),
        (
            '[environment]\nA = "1"\n[secrets]\nA = "2"',
            "site.toml:4: A is a secret and stands else",
        ),
        (
            '[environment]\nHOSPITAL_DATABASE_URL = "postgresql://u:hush@h/db"',
            "HOSPITAL_DATABASE_URL holds a password (its value is not shown); write it under [se",
        ),
        ('[secrets]\nHOSPITAL_REASONS = "x"', "write web.reasons"),
        ('[secrets]\nHOSPITAL_DISK_USED_WARN = "1"', "is no secret; write it under [environment]"),
        ('group = "x"', "there is a group without a user; write a user too"),
    ],
)
def test_a_value_that_cannot_be_is_refused(make_site: MakeSite, text: str, told: str) -> None:
    """With the line, the value and what to do."""
    (fault,) = faults_of(make_site(text))

    assert told in fault
    assert ";" in fault


def test_a_password_for_the_database_is_no_word_of_the_command_line(
    tmp_path: Path, make_site: MakeSite
) -> None:
    """It is a secret; an address without one may stand anywhere."""
    name, address = "HOSPITAL_DATABASE_URL", "postgresql://u:hush@h/db"
    folder = tmp_path / "set"

    said = deploy("--output", folder, "--environment", f"{name}={address}")
    without = deploy("--output", folder, "--environment", f"{name}=postgresql://u@h/db")
    secret = deploy("--output", folder, "--site", make_site(f'[secrets]\n{name} = "{address}"'))

    assert (2, 0, 0) == (said.code, without.code, secret.code)
    assert f"--environment {name} holds a password" in said.err
    assert "hush" not in said.err
    assert address == web_of(folder)["env"][name]


def test_log_files_are_rotated_by_somebody_else_if_the_site_says_so(tmp_path: Path) -> None:
    """A size of 0 is never, for every log file of the set."""
    said = deploy("--output", tmp_path, "--log-max-size", "0", "--log-count", "7")

    assert (0, "") == (said.code, said.err)
    web, config = web_of(tmp_path), read_by_circus(tmp_path)
    file, (guard,) = config["logging"]["handlers"]["file"], config["plugins"]
    assert ("0", "7") == (web["stdout_stream"]["max_bytes"], web["stdout_stream"]["backup_count"])
    assert ("0", "7") == (guard["log_max_bytes"], guard["log_backup_count"])
    assert (0, 7) == (file["max_bytes"], file["backup_count"])


def test_a_secret_is_not_told_with_its_fault(make_site: MakeSite) -> None:
    """Neither where its value cannot be used, nor where it has the wrong type."""
    site = make_site('[secrets]\nA = "hush hush ; x"\nB = 271828\n"C D" = "hush hush"')

    told = " ".join(faults_of(site))

    assert "hush" not in told
    assert "271828" not in told
    assert 3 == told.count("site.toml:")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"[web\nport = 1", "site.toml:1: is no TOML: "),
        (b"port = = 1", "site.toml:1: is no TOML: invalid value"),
        (b"a = 1\na = 2", "site.toml:2: 'a' stands twice, on line 1 too; remove one"),
        (
            b"[web]\nport = 1\n[log]\n[web]\nhost = 'a'",
            "site.toml:4: 'web' stands twice, on line 1 too; remove one",
        ),
        (b"[web]\nport = 1\n\nport = 2", "site.toml:4: 'web.port' stands twice, on line 2 too"),
        (b"a = {b = 1, b = 2}", "site.toml:1: is no TOML: "),
        (b"port = 2014", "site.toml:1: unknown key 'port'; write it under [web]"),
        (b"a = 1\nb = '\xff'", "site.toml:2: is not UTF-8; save it as UTF-8"),
        (b"a = " + b"9" * 5000, "site.toml: is no TOML: "),
        (b"a = " + b"[" * 100_000, "site.toml: is nested too deep"),
        (b"#" * 1_000_001, "site.toml: is longer than 1000000 bytes"),
        (b"[web]\nport = 0x" + b"f" * 5000, "site.toml:2: web.port is too large"),
    ],
)
def test_a_file_that_is_no_site_is_told_in_a_line(
    make_site: MakeSite, content: bytes, told: str
) -> None:
    """Whatever is in it."""
    path = make_site("")
    path.write_bytes(content)

    (fault,) = faults_of(path)

    assert fault.startswith(told)


def test_a_file_that_cannot_be_read_is_told_in_a_line(tmp_path: Path) -> None:
    """A folder, a pipe that nobody writes to, a file that is not there, no name at all."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()

    for name, told in (
        ("folder", "is no regular file"),
        ("pipe", "is no regular file"),
        ("none", "cannot be read: no such file"),
        ("a\0b", "cannot be read: no file can have this name"),
    ):
        written = read_site_file(str(tmp_path / name))
        assert [True] == [told in fault for fault in written.faults], name


def test_lines_are_found_whatever_the_form() -> None:
    """Quoted and dotted keys, tables in one line, strings of several lines."""
    text = 'a.b = 1\n"c d" = """\n[no]\nx = 1\n"""\n[ web . x ] # y\n\'e\' = { f = 1 }\n'

    lines = lines_of(text)

    assert (1, 1, 2) == (lines["a",], lines["a", "b"], lines["c d",])
    assert (6, 7) == (lines["web", "x"], line_of(("web", "x", "e", "f"), lines))
    assert ("no",) not in lines
    assert line_of(("none",), lines) is None


def test_every_setting_has_a_key_or_a_reason() -> None:
    """A new variable of hospital is either a key of a site, or set by the set itself."""
    unused = {"HOSPITAL_CHECK_INTERVAL", "HOSPITAL_RUNTIME_DIR"}  # nothing reads them yet
    set_by_folders = {"HOSPITAL_HEARTBEAT_DIR", "HOSPITAL_STATE_DIR"}

    assert set(_READERS) == (VARIABLES.keys() - {"HEALTHCHECKS"}) | set_by_folders | unused


def test_every_key_has_an_option_of_its_own() -> None:
    """The command line can say what site.toml can, but for secrets."""
    options = [key.option for key in KEYS.values()]

    assert sorted(set(options)) == sorted(options)
    assert not [option for option in options if "secret" in option]


def test_a_user_is_for_root_alone(make_site: MakeSite) -> None:
    """Nobody else can become somebody else; and the user has to be there."""
    site = make_site('user = "no-such-user"')

    (fault,) = faults_of(site)

    assert fault.startswith("site.toml:1: user")
    wanted = "no-such-user" if os.geteuid() == 0 else "root alone"
    assert wanted in fault


def test_a_site_does_not_show_its_secrets(tmp_path: Path) -> None:
    """Not in its repr, nor in that of its files: both end up in messages of failing programs."""
    written = Written(variables={"secrets": {"A": "hush-hush"}})

    site = SiteMaker(written, {}, {}).make(str(tmp_path))

    assert isinstance(site, Site)
    assert {"A": "hush-hush"} == site.secrets
    assert "hush" not in repr(site)
    assert "hush" not in repr(render(site))


def test_the_checkout_takes_nothing_else(tmp_path: Path) -> None:
    """It is what is committed."""
    said = deploy("--output", tmp_path, "--profile", "checkout", "--port", "1")

    assert 2 == said.code
    assert "the checkout is always the same; leave out, or render for a machine: --port" in said.err
    assert "deploy/var/run" == checkout_site(str(tmp_path)).run


def test_every_key_stands_in_the_reference() -> None:
    """With its option and its default."""
    text = (Path(__file__).parents[2] / "docs" / "reference" / "deploy.md").read_text()
    rows = dict(re.findall(r"(?m)^\| `([a-z_.]+)` \| (`--[a-z-]+` \| .*?) \|", text))

    assert KEYS.keys() == rows.keys()
    defaults = {"path": "the usual folders of the system"}
    for key in KEYS.values():
        option, _, default = rows[key.path].partition(" | ")
        assert f"`{key.option}`" == option
        if key.default is not None:
            assert defaults.get(key.path, f"`{key.default}`") == default
