"""Everything that ``HOSPITAL_*`` says, read once into a frozen value.

Rule: the set of variables is closed; a variable that is not in it, or holds a bad value, is an
error, and all errors of an environment are told together.
"""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hospital.durations import parse_duration
from hospital.errors import SettingError, did_you_mean
from hospital.ranges import parse_range

PREFIX = "HOSPITAL_"
_HIGHEST_COUNT = 1_000_000_000
NAMES_VARIABLE = "HEALTHCHECKS"
EXECUTORS = ("auto", "ward", "thread")
REASONS = ("token", "loopback", "everyone")
LOG_LEVELS = ("debug", "info", "warning", "error")
LOG_FORMATS = ("json", "console")
ACCESS_LOGS = ("summary", "all", "off")

WARD_VARIABLE = "HOSPITAL_WARD"
"""Set by hospital itself in the environment of each ward, so that what a check leaves is found."""

START_DELAY_VARIABLE = "HOSPITAL_START_DELAY"
"""Set by our Circus hook for a worker whose predecessors died young: seconds to wait first."""

LIMITS = {
    "HOSPITAL_DISK_USED_WARN": "0.85",
    "HOSPITAL_DISK_USED_FAIL": "0.95",
    "HOSPITAL_INODES_USED_WARN": "0.85",
    "HOSPITAL_INODES_USED_FAIL": "0.95",
    "HOSPITAL_MEMORY_AVAILABLE_WARN": "0.10:",
    "HOSPITAL_MEMORY_AVAILABLE_FAIL": "0.05:",
    "HOSPITAL_LOAD_PER_CORE_WARN": "2",
    "HOSPITAL_LOAD_PER_CORE_FAIL": "8",
    "HOSPITAL_FILES_USED_WARN": "0.80",
    "HOSPITAL_FILES_USED_FAIL": "0.95",
}
"""Limits of ``hospital.healthchecks.host``, ranges of the monitoring-plugins kind; an empty
value switches a limit off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of this process; each field is the variable without its prefix.

    Attributes:
        names: ``HEALTHCHECKS``, split at white space.
        check_timeout_s: Seconds a check may take that does not say otherwise.
        check_interval_s: Seconds between two scheduled runs of a check.
        cache_ttl_s: Seconds a finished run is served again, on demand; 0 for never.
        executor: ``auto``, ``ward`` or ``thread``.
        runtime_dir: Folder of the snapshot; None where there is none.
        state_dir: Folder of history, drain and silences; None where there is none.
        token_file: File that holds the bearer token for reasons; None where there is none.
        reasons: Who may see reasons: ``token``, ``loopback`` or ``everyone``.
        fail_status: HTTP status of a run that is not green.
        request_timeout_s: Seconds after which a request is answered in any case.
        head_timeout_s: Seconds in which the head of a request must arrive, and then its body.
        idle_timeout_s: Seconds that a connection may be kept open between two requests.
        max_connections: Connections of a worker at once, 1 or more.
        max_requests: Requests after which a worker gives way to a new one; 0 for never.
        access_log: ``summary``, ``all`` or ``off``.
        heartbeat_dir: Folder of heartbeat files; None where nobody watches.
        watchdog_s: Seconds after which a worker that stopped beating is killed; 0 for never.
        log_level: ``debug``, ``info``, ``warning`` or ``error``.
        log_format: ``json`` or ``console``.
        limits: The limits of the checks of this machine, see ``LIMITS``.
    """

    names: tuple[str, ...] = ()
    check_timeout_s: float = 10.0
    check_interval_s: float = 10.0
    cache_ttl_s: float = 0.0
    executor: str = "auto"
    runtime_dir: Path | None = None
    state_dir: Path | None = None
    token_file: Path | None = None
    reasons: str = "token"
    fail_status: int = 500
    request_timeout_s: float = 30.0
    head_timeout_s: float = 10.0
    idle_timeout_s: float = 75.0
    max_connections: int = 1000
    max_requests: int = 0
    access_log: str = "summary"
    heartbeat_dir: Path | None = None
    watchdog_s: float = 0.0
    log_level: str = "info"
    log_format: str = "json"
    limits: Mapping[str, str]


def read_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Return the settings that *environ* (default: this process's environment) holds.

    Raises:
        SettingError: If a variable is unknown or holds a bad value; all faults in one message.

    >>> read_settings({"HOSPITAL_CHECK_TIMEOUT": "2s"}).check_timeout_s
    2.0
    """
    environ = os.environ if environ is None else environ
    values: dict[str, Any] = {"names": tuple(environ.get(NAMES_VARIABLE, "").split())}
    limits = dict(LIMITS)
    faults = []
    for name, text in environ.items():
        if not name.startswith(PREFIX) or name in _SET_BY_OTHERS:
            continue
        if "HOSPITAL_SERVICE_HOST" in environ and _FOR_CONTAINERS.match(name):
            continue
        try:
            if name in LIMITS:
                limits[name] = _read_limit(name, text)
            elif name in _READERS:
                field, read = _READERS[name]
                values[field] = read(name, text)
            else:
                raise _unknown(name)
        except SettingError as error:
            faults.append(str(error))
    if faults:
        raise SettingError(" · ".join(faults))
    return Settings(limits=limits, **values)


def _unknown(name: str) -> SettingError:
    known = [*_READERS, *LIMITS]
    hint = did_you_mean(name, known) or f"known are {', '.join(sorted(known))}"
    return SettingError("unknown variable", repr(name), hint)


def _read_limit(name: str, text: str) -> str:
    if text.strip():
        parse_range(text, name)
    return text.strip()


def _read_seconds(name: str, text: str) -> float:
    return parse_duration(text, name)


def _read_ttl(name: str, text: str) -> float:
    return parse_duration(text, name, zero=True)


def _read_count(least: int) -> Callable[[str, str], int]:
    def read(name: str, text: str) -> int:
        if not (text.isascii() and text.isdigit() and least <= int(text[:999]) <= _HIGHEST_COUNT):
            remedy = f"write {least} to {_HIGHEST_COUNT}"
            raise SettingError(f"{name} is no count:", repr(text)[:80], remedy)
        return int(text)

    return read


def _read_path(name: str, text: str) -> Path:
    if not text or "\0" in text:
        raise SettingError(f"{name} is no path:", repr(text)[:80], "write a path, or unset it")
    return Path(text)


def _read_fail_status(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) == 3 and text[0] in "45"):  # noqa: PLR2004 - three digits
        raise SettingError(
            f"{name} is no HTTP status of failure:", repr(text)[:80], "write 400 to 599"
        )
    return int(text)


def one_of(name: str, text: str, choices: tuple[str, ...]) -> str:
    """Return *text* if it is one of *choices*.

    Raises:
        SettingError: If it is not.
    """
    if text not in choices:
        hint = did_you_mean(text, choices) or f"choose from {', '.join(choices)}"
        raise SettingError(f"{name} is unknown:", repr(text)[:80], hint)
    return text


def _choice(choices: tuple[str, ...]) -> Callable[[str, str], str]:
    return lambda name, text: one_of(name, text, choices)


_READERS: dict[str, tuple[str, Callable[[str, str], Any]]] = {
    "HOSPITAL_CHECK_TIMEOUT": ("check_timeout_s", _read_seconds),
    "HOSPITAL_CHECK_INTERVAL": ("check_interval_s", _read_seconds),
    "HOSPITAL_CACHE_TTL": ("cache_ttl_s", _read_ttl),
    "HOSPITAL_EXECUTOR": ("executor", _choice(EXECUTORS)),
    "HOSPITAL_RUNTIME_DIR": ("runtime_dir", _read_path),
    "HOSPITAL_STATE_DIR": ("state_dir", _read_path),
    "HOSPITAL_TOKEN_FILE": ("token_file", _read_path),
    "HOSPITAL_REASONS": ("reasons", _choice(REASONS)),
    "HOSPITAL_FAIL_STATUS": ("fail_status", _read_fail_status),
    "HOSPITAL_REQUEST_TIMEOUT": ("request_timeout_s", _read_seconds),
    "HOSPITAL_HEAD_TIMEOUT": ("head_timeout_s", _read_seconds),
    "HOSPITAL_IDLE_TIMEOUT": ("idle_timeout_s", _read_seconds),
    "HOSPITAL_MAX_CONNECTIONS": ("max_connections", _read_count(1)),
    "HOSPITAL_MAX_REQUESTS": ("max_requests", _read_count(0)),
    "HOSPITAL_ACCESS_LOG": ("access_log", _choice(ACCESS_LOGS)),
    "HOSPITAL_HEARTBEAT_DIR": ("heartbeat_dir", _read_path),
    "HOSPITAL_WATCHDOG": ("watchdog_s", _read_ttl),
    "HOSPITAL_LOG_LEVEL": ("log_level", _choice(LOG_LEVELS)),
    "HOSPITAL_LOG_FORMAT": ("log_format", _choice(LOG_FORMATS)),
}
_SET_BY_OTHERS = frozenset({WARD_VARIABLE, START_DELAY_VARIABLE, "HOSPITAL_DATABASE_URL"})
_FOR_CONTAINERS = re.compile(r"HOSPITAL_(?:SERVICE_(?:HOST|PORT)|PORT(?:_\d+_\w+)?$)")
"""What Kubernetes sets in each container beside a Service that is called hospital."""
