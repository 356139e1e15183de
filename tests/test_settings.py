from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hospital.errors import SettingError
from hospital.settings import LIMITS, Settings, one_of, read_settings


def test_nothing_set_means_the_documented_defaults() -> None:
    """The values that DESIGN.md names."""
    settings = read_settings({})

    assert Settings(limits=LIMITS) == settings
    assert (settings.check_timeout_s, settings.cache_ttl_s, settings.request_timeout_s) == (
        10.0,
        0.0,
        30.0,
    )
    assert (settings.executor, settings.reasons, settings.fail_status) == ("auto", "token", 500)


@pytest.mark.parametrize(
    ("name", "text", "field", "value"),
    [
        ("HEALTHCHECKS", " a.b  ./checks/db.py\n", "names", ("a.b", "./checks/db.py")),
        ("HOSPITAL_CHECK_TIMEOUT", "250ms", "check_timeout_s", 0.25),
        ("HOSPITAL_CHECK_INTERVAL", "1m", "check_interval_s", 60.0),
        ("HOSPITAL_CACHE_TTL", "0", "cache_ttl_s", 0.0),
        ("HOSPITAL_EXECUTOR", "thread", "executor", "thread"),
        ("HOSPITAL_RUNTIME_DIR", "/run/hospital", "runtime_dir", Path("/run/hospital")),
        ("HOSPITAL_STATE_DIR", "var", "state_dir", Path("var")),
        ("HOSPITAL_TOKEN_FILE", "/etc/token", "token_file", Path("/etc/token")),
        ("HOSPITAL_REASONS", "loopback", "reasons", "loopback"),
        ("HOSPITAL_FAIL_STATUS", "503", "fail_status", 503),
        ("HOSPITAL_REQUEST_TIMEOUT", "5", "request_timeout_s", 5.0),
        ("HOSPITAL_HEAD_TIMEOUT", "3s", "head_timeout_s", 3.0),
        ("HOSPITAL_IDLE_TIMEOUT", "5", "idle_timeout_s", 5.0),
        ("HOSPITAL_MAX_CONNECTIONS", "7", "max_connections", 7),
        ("HOSPITAL_MAX_REQUESTS", "1000", "max_requests", 1000),
        ("HOSPITAL_ACCESS_LOG", "all", "access_log", "all"),
        ("HOSPITAL_HEARTBEAT_DIR", "/run/beats", "heartbeat_dir", Path("/run/beats")),
        ("HOSPITAL_WATCHDOG", "10s", "watchdog_s", 10.0),
        ("HOSPITAL_LOG_LEVEL", "debug", "log_level", "debug"),
        ("HOSPITAL_LOG_FORMAT", "console", "log_format", "console"),
    ],
)
def test_each_variable_sets_its_field(name: str, text: str, field: str, value: object) -> None:
    """And no other."""
    settings = read_settings({name: text, "PATH": "/bin"})

    assert Settings(limits=LIMITS, **{field: value}) == settings  # type: ignore[arg-type]


def test_a_limit_can_be_set_and_switched_off() -> None:
    """An empty value is no limit."""
    limits = read_settings(
        {"HOSPITAL_DISK_USED_WARN": " 0.5 ", "HOSPITAL_DISK_USED_FAIL": ""}
    ).limits

    assert limits == LIMITS | {"HOSPITAL_DISK_USED_WARN": "0.5", "HOSPITAL_DISK_USED_FAIL": ""}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("HOSPITAL_CHECK_TIMEOUT", "0", "HOSPITAL_CHECK_TIMEOUT must be above 0"),
        ("HOSPITAL_CHECK_TIMEOUT", "", "HOSPITAL_CHECK_TIMEOUT is no duration: ''"),
        ("HOSPITAL_EXECUTOR", "wards", "HOSPITAL_EXECUTOR is unknown: 'wards'; .*'ward'"),
        ("HOSPITAL_REASONS", "all", "choose from token, loopback, everyone"),
        ("HOSPITAL_FAIL_STATUS", "200", "is no HTTP status of failure: '200'; write 400 to 599"),
        ("HOSPITAL_FAIL_STATUS", "٥٠٠", "is no HTTP status of failure"),  # noqa: RUF001 - on purpose
        ("HOSPITAL_MAX_CONNECTIONS", "0", "is no count: '0'; write 1 to 1000000000"),
        ("HOSPITAL_MAX_REQUESTS", "-1", "is no count: '-1'; write 0 to 1000000000"),
        ("HOSPITAL_MAX_REQUESTS", "9" * 30, "HOSPITAL_MAX_REQUESTS is no count"),
        ("HOSPITAL_ACCESS_LOG", "none", "choose from summary, all, off"),
        ("HOSPITAL_RUNTIME_DIR", "", "HOSPITAL_RUNTIME_DIR is no path: ''"),
        ("HOSPITAL_DISK_USED_WARN", "85%", "HOSPITAL_DISK_USED_WARN is no range: '85%'"),
        ("HOSPITAL_LOG_LEVEL", "DEBUG", "HOSPITAL_LOG_LEVEL is unknown: 'DEBUG'"),
        ("HOSPITAL_CHEK_TIMEOUT", "1", "did you mean 'HOSPITAL_CHECK_TIMEOUT'"),
        ("HOSPITAL_DISK_USED_WARM", "1", "did you mean 'HOSPITAL_DISK_USED_WARN'"),
        ("HOSPITAL_", "1", "unknown variable 'HOSPITAL_'"),
    ],
)
def test_a_bad_or_unknown_variable_is_an_error(name: str, text: str, message: str) -> None:
    """It names the variable, the value, and what to write."""
    with pytest.raises(SettingError, match=message):
        read_settings({name: text})


def test_all_faults_are_told_together() -> None:
    """Nobody mends a configuration one error at a time."""
    environ = {"HOSPITAL_EXECUTOR": "x", "HOSPITAL_CACHE_TTL": "x", "HOSPITAL_NOPE": "x"}

    with pytest.raises(SettingError) as caught:
        read_settings(environ)

    assert [name for name in environ if name not in str(caught.value)] == []


@given(st.text(alphabet="ABCDEFGHIJKLMNOPQRSTUVWXYZ_", min_size=1, max_size=20))
def test_the_set_of_variables_is_closed(name: str) -> None:
    """Whatever else begins with the prefix is refused."""
    known = {"WARD", "CHECK_TIMEOUT", "CACHE_TTL", "EXECUTOR", "REASONS", "LOG_LEVEL"}
    if name in known or f"HOSPITAL_{name}" in LIMITS:
        return

    with pytest.raises(SettingError):
        read_settings({f"HOSPITAL_{name}": "\0"})


def test_what_hospital_sets_itself_is_no_fault() -> None:
    """A ward finds its own mark in its environment."""
    assert Settings(limits=LIMITS) == read_settings({"HOSPITAL_WARD": "1"})


def test_the_process_is_read_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an argument it is the environment of this process that counts."""
    monkeypatch.setenv("HEALTHCHECKS", "a b")

    assert read_settings().names == ("a", "b")


def test_a_choice_is_one_of_its_words() -> None:
    """And the nearest is named where it is none."""
    assert one_of("--format", "json", ("text", "json")) == "json"
    with pytest.raises(SettingError, match="--format is unknown: 'jsn'; did you mean 'json'"):
        one_of("--format", "jsn", ("text", "json"))
