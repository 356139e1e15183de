"""What is rendered is what circusd reads, whatever a site says."""

import contextlib
import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hospital.deploy.keys import ENVIRONMENT, KEYS, SECRETS
from hospital.deploy.readback import DifferentError, prove
from hospital.deploy.render import MODE_OF_SECRETS, File, render
from hospital.deploy.site import Site
from hospital.deploy.site_file import Written
from hospital.deploy.site_maker import SiteMaker
from hospital.deploy.stamp import is_untouched
from tests.deploy.conftest import deploy, read_by_circus, web_of

ROOT = Path(__file__).parents[2]
TEMPLATES = ROOT / "hospital" / "deploy" / "templates"
EVIL = (
    *("a\nb", "a\r\n[circus]\nendpoint = tcp://0.0.0.0:1", "[watcher:x]", "a ;b", " ; x", "#x"),
    *("50 %", "%(here)s", "$HOME", "${HOME}", "$(circus.env.path)", "((circus.env.path))"),
    *("$PATH", "a'b", 'a"b', '""', "it's \\ here", "grün", "日本", "\u2028", "\u00a0", "\ud800"),
    *(" a", "a ", "", "a:::b:c", "a,b", "rem x", "\0", "\x1b[31m", "=", ": x", "@{path}", "@end"),
)


def site_of(folder: Path, values: dict[str, str], **variables: dict[str, str]) -> Site | None:
    """Return the site that says *values*, by key; None where they are refused."""
    return SiteMaker(Written(values=values, variables=variables), {}, {}).make(str(folder))


def default_site(folder: Path) -> Site:
    """Return the site that says nothing."""
    site = site_of(folder, {})
    assert site is not None
    return site


text = st.one_of(
    st.sampled_from(EVIL),
    st.text(max_size=20),
    st.text(alphabet="aA0 ;#$%(){}[]:=,'\"\\@\n\t/.", max_size=20),
    st.from_regex(r"[a-z0-9/:._ -]{1,20}", fullmatch=True),
)
sensible = st.sampled_from(["5", "10s", "2m", "0", "3", "/srv/x", "127.0.0.1", "::1", "all", "a.b"])
names = st.one_of(st.sampled_from(["A", "b_2", "REM", "a b", "__name__", "X=Y", "ä", "#A"]), text)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    values=st.dictionaries(
        st.sampled_from(sorted(KEYS)), st.one_of(text, sensible), max_size=3
    ).filter(lambda values: not {"user", "group"} & values.keys()),
    environment=st.dictionaries(names, text, max_size=2),
    secrets=st.dictionaries(names, text, max_size=2),
)
def test_what_is_not_refused_is_read_back_unchanged(
    tmp_path: Path,
    values: dict[str, str],
    environment: dict[str, str],
    secrets: dict[str, str],
) -> None:
    """Any text for any key: a clear refusal, or circusd reads what was meant."""
    tables = {ENVIRONMENT: environment, SECRETS: secrets}

    site = site_of(tmp_path, values, **tables)

    if site is not None:
        prove(site, render(site))


@pytest.mark.parametrize("value", ["50 %", "a'b\"c", "((circus.env.path))", "$(x) $1 a$", "a;b #c"])
def test_signs_that_mean_nothing_to_circus_are_kept(tmp_path: Path, value: str) -> None:
    """A password may hold them, and a worker gets them as they are."""
    said = deploy("--output", tmp_path, "--environment", f"A={value}")

    assert (0, "") == (said.code, said.err)
    assert value == web_of(tmp_path)["env"]["A"]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("numprocesses = 2", "numprocesses = 3", "watchers hospital-web numprocesses"),
        ("numprocesses = 2", "numproceses = 2", "sections watcher:hospital-web"),
        ("port = 2014", "port = 2014 ; x\ninterface = lo", "sections socket:hospital-web"),
        ("port = 2014", "port = 02014", "sockets hospital-web port"),
        ("umask = 077", "umask = 77 ", ""),
        ("umask = 077", "umask = 022", "[circus] umask"),
        ("watchdog = 10s", "watchdog = 10 s", "plugins plugin:hospital-guard"),
        ("log_backup_count = 5", "log_backup_count = 6", "plugins plugin:hospital-guard"),
        ("LANG = C.UTF-8", "LANG = C", "watchers hospital-web env LANG"),
        ("[env:hospital-web]", "[env:*]", "sections env:*"),
        ("--graceful-timeout 12", "--graceful-timeout '1 2'", "watchers hospital-web cmd"),
        ("copy_env = False", "copy_env = True", "watchers hospital-web copy_env"),
        ("statsd = False", "statsd = Nope", "circus cannot read what was rendered"),
        ("[watcher:hospital-web]", "no option", "circus cannot read what was rendered"),
        ('"backup_count": 5', '"backup_count": 6', "logging backup_count"),
    ],
)
def test_a_fault_of_a_template_is_noticed(tmp_path: Path, old: str, new: str, told: str) -> None:
    """Whatever a rendered file says other than what was meant, nothing is written."""
    site = default_site(tmp_path)
    files = [replace(each, text=each.text.replace(old, new)) for each in render(site)]
    assert files != render(site)

    with pytest.raises(DifferentError) if told else contextlib.nullcontext() as raised:
        prove(site, files)

    assert told in str(getattr(raised, "value", ""))


def test_a_secret_is_in_the_secret_file_alone(tmp_path: Path) -> None:
    """And a difference in it is not shown."""
    site = replace(default_site(tmp_path), secrets={"DB_PASSWORD": "hush hush"})

    files = render(site)

    assert ["circus.ini.d/hospital-web.secrets.ini"] == [
        each.path for each in files if "hush" in each.text
    ]
    assert MODE_OF_SECRETS == files[-1].mode
    changed = replace(files[-1], text=files[-1].text.replace("hush hush", "hush"))
    with pytest.raises(DifferentError, match="DB_PASSWORD") as raised:
        prove(site, [*files[:-1], changed])
    assert "hush" not in str(raised.value)


def test_an_address_of_ipv6_gets_its_family(tmp_path: Path) -> None:
    """Circus would look for an address of IPv4 otherwise."""
    deploy("--output", tmp_path, "--host", "::1")

    (socket,) = read_by_circus(tmp_path)["sockets"]
    assert ("::1", "AF_INET6") == (socket["host"], socket["family"])


def test_a_socket_of_circus_gets_the_mode_that_was_meant(tmp_path: Path) -> None:
    """Its umask is decimal: made of what circus reads, the socket has the mode."""
    from circus.sockets import CircusSocket

    folder = tmp_path / "s"
    folder.mkdir()
    deploy("--output", tmp_path / "set", "--socket", folder / "web.sock", "--socket-mode", "0620")
    (config,) = read_by_circus(tmp_path / "set")["sockets"]

    for _ in range(2):  # the second one replaces what the first has left, as after a kill
        made = CircusSocket.load_from_config(config)
        made.bind_and_listen()
        mode = (folder / "web.sock").stat().st_mode & 0o777
        made.detach()

        assert 0o620 == mode


def test_every_path_of_a_machine_is_absolute(tmp_path: Path) -> None:
    """So that circusd can be started in any folder; only the include is relative to its file."""
    deploy("--output", tmp_path)

    config = read_by_circus(tmp_path)
    web = web_of(tmp_path)
    paths = [
        *(config[name].removeprefix("ipc://") for name in ("endpoint", "pubsub_endpoint")),
        *(config["plugins"][0][name] for name in ("heartbeat_dir", "log_file")),
        *(web[name]["filename"] for name in ("stdout_stream", "stderr_stream")),
        config["logging"]["handlers"]["file"]["filename"],
        config["logging"]["filters"]["preflight"]["config"],
        shlex.split(web["cmd"])[0],
        web["working_dir"],
        web["env"]["HOSPITAL_HEARTBEAT_DIR"],
        web["env"]["HOSPITAL_STATE_DIR"],
    ]
    assert [] == [path for path in paths if not path.startswith("/")]


def explained(file: File) -> list[str]:
    """Return the options of *file* before which no comment stands."""
    silent, is_explained = [], False
    for line in file.text.splitlines():
        if line.startswith("#"):
            is_explained = True
        elif not line.strip() or line.startswith("["):
            is_explained = False
        elif not is_explained:
            silent.append(line)
    return silent


def test_each_option_says_why(tmp_path: Path) -> None:
    """Also those that stand only where somebody asked for them."""
    said = {key.path: key.default for key in KEYS.values() if key.default}
    said |= dict.fromkeys(("web.request_timeout", "web.head_timeout", "web.idle_timeout"), "9s")
    said |= {"web.max_connections": "9", "web.max_requests": "9", "web.fail_status": "503"}
    said |= {"web.token_file": "/t", "checks.timeout": "9s", "checks.executor": "ward"}
    said |= {"log.level": "info", "log.format": "json"}
    del said["web.socket_mode"]
    site = site_of(tmp_path, said, environment={"A": "1"}, secrets={"B": "2"})
    assert site is not None
    with_socket = replace(site, host="", socket="/s", socket_mode=0o660, user="u", group="g")

    for each in (site, with_socket):
        files = [file for file in render(each) if file.path.endswith(".ini")]
        assert [] == [line for file in files for line in explained(file)]
        assert [] == [line for file in files for line in file.text.splitlines() if "@" in line]
        assert [] == [file.path for file in files if "\n\n\n" in file.text]


def test_every_variable_stands_in_the_template() -> None:
    """A setting that the template forgot would be refused when somebody sets it."""
    text = (TEMPLATES / "web.ini").read_text()
    named = set(re.findall(r"(?m)^([A-Z_]+) = @\{\1\}$", text))

    assert {key.variable for key in KEYS.values() if key.variable} <= named


def test_the_committed_files_are_the_checkout(tmp_path: Path) -> None:
    """After a change of a template: hospital-deploy render --profile checkout --output ."""
    said = deploy("--output", ROOT, "--profile", "checkout", "--diff")

    assert "" == said.out, "render them: hospital-deploy render --profile checkout --output ."
    assert 0 == said.code
    said = deploy("--output", tmp_path, "--profile", "checkout")
    assert 0 == said.code
    for path in tmp_path.rglob("*"):
        if path.is_file():
            committed = ROOT / path.relative_to(tmp_path)
            assert committed.read_bytes() == path.read_bytes()
            assert is_untouched(path.read_text())
