"""The closed set of what a site can say, each key with its option, its default and its sense.

Rule: a key stands here or it does not exist. ``docs/reference/deploy.md`` has a row for each.
"""

from dataclasses import dataclass
from typing import Any

from hospital.deploy import values
from hospital.errors import SettingError
from hospital.settings import read_settings

Reader = values.Reader


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One thing that a site can say.

    Attributes:
        path: Where it stands in site.toml: ``web.port``; without a point before the first table.
        option: How the command line calls it.
        read: From what was written to what is rendered.
        sense: What it is, for the help.
        default: What holds on a VM where nothing is said; None for nothing.
        variable: The variable of the worker that it becomes; empty where it becomes none.
    """

    path: str
    option: str
    read: Reader
    sense: str
    default: str | None = None
    variable: str = ""


def _setting(name: str) -> Reader:
    """Return a reader that asks ``settings`` about the variable *name*."""

    def read(label: str, text: str) -> str:
        text = values.plain(label, text.strip(" "))
        try:
            read_settings({name: text})
        except SettingError as error:
            raise SettingError(str(error).replace(name, label)) from None
        return text

    return read


def _key(path: str, option: str, read: Reader, sense: str, default: str | None = None) -> Key:
    return Key(path=path, option=option, read=read, sense=sense, default=default)


def _variable(path: str, option: str, variable: str, sense: str, **more: Any) -> Key:
    more = {"read": _setting(variable), **more}
    return Key(path=path, option=option, variable=variable, sense=sense, **more)


KEYS = {
    each.path: each
    for each in (
        _key("name", "--name", values.prefix, "what names begin with: hospital-web", "hospital"),
        _key("python", "--python", values.absolute_path, "the Python of the workers; this one"),
        _key("user", "--user", values.account, "who the workers are; only root can say it"),
        _key("group", "--group", values.account, "their group; that of the user"),
        _key(
            "path",
            "--path",
            values.search_path,
            "PATH of the workers",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        ),
        _key("web.host", "--host", values.host, "address to listen on", "127.0.0.1"),
        _key("web.port", "--port", values.port, "port to listen on", "2014"),
        _key("web.socket", "--socket", values.socket_path, "unix socket, instead of host and port"),
        _key("web.socket_mode", "--socket-mode", values.mode, "mode of that socket", "0660"),
        _key("web.numprocesses", "--numprocesses", values.processes, "how many workers", "2"),
        _key("web.working_dir", "--working-dir", values.absolute_path, "their folder; DIR"),
        _key(
            "web.graceful_timeout",
            "--graceful-timeout",
            values.whole_seconds,
            "how long a worker drains",
            "12",
        ),
        _variable(
            "web.watchdog",
            "--watchdog",
            "HOSPITAL_WATCHDOG",
            "a worker that hangs for so long is killed; 0 for never",
            default="10s",
        ),
        _variable(
            "web.request_timeout",
            "--request-timeout",
            "HOSPITAL_REQUEST_TIMEOUT",
            "a request is answered within it",
        ),
        _variable(
            "web.head_timeout",
            "--head-timeout",
            "HOSPITAL_HEAD_TIMEOUT",
            "the head of a request arrives within it",
        ),
        _variable(
            "web.idle_timeout",
            "--idle-timeout",
            "HOSPITAL_IDLE_TIMEOUT",
            "how long a connection is kept between two requests",
        ),
        _variable(
            "web.max_connections",
            "--max-connections",
            "HOSPITAL_MAX_CONNECTIONS",
            "connections of a worker",
        ),
        _variable(
            "web.max_requests",
            "--max-requests",
            "HOSPITAL_MAX_REQUESTS",
            "requests after which a worker is replaced; 0 for never",
        ),
        _variable(
            "web.fail_status", "--fail-status", "HOSPITAL_FAIL_STATUS", "HTTP status of not green"
        ),
        _variable(
            "web.reasons",
            "--reasons",
            "HOSPITAL_REASONS",
            "who may see reasons: token, loopback, everyone",
            default="token",
        ),
        _variable(
            "web.token_file",
            "--token-file",
            "HOSPITAL_TOKEN_FILE",
            "file of the bearer token for reasons",
            read=values.absolute_path,
        ),
        _variable(
            "web.access_log",
            "--access-log",
            "HOSPITAL_ACCESS_LOG",
            "summary, all or off",
            default="summary",
        ),
        _variable(
            "checks.names",
            "--checks",
            "HEALTHCHECKS",
            "what is checked: names, files, folders, with spaces between",
            default="hospital.healthchecks.predictable hospital.healthchecks.host",
            read=values.names,
        ),
        _variable(
            "checks.timeout",
            "--check-timeout",
            "HOSPITAL_CHECK_TIMEOUT",
            "for each check that has none of its own",
        ),
        _variable(
            "checks.cache_ttl",
            "--cache-ttl",
            "HOSPITAL_CACHE_TTL",
            "a finished run is served again for so long",
            default="5",
        ),
        _variable("checks.executor", "--executor", "HOSPITAL_EXECUTOR", "ward, thread or auto"),
        _key("folders.run", "--run-folder", values.absolute_path, "sockets and heartbeats"),
        _key("folders.state", "--state-folder", values.absolute_path, "what outlives a restart"),
        _key("folders.log", "--log-folder", values.absolute_path, "log files"),
        _variable("log.level", "--log-level", "HOSPITAL_LOG_LEVEL", "debug, info, warning, error"),
        _variable("log.format", "--log-format", "HOSPITAL_LOG_FORMAT", "json or console"),
        _key(
            "log.max_size",
            "--log-max-size",
            values.size,
            "a log file is rotated then; 0 for never",
            "10 MB",
        ),
        _key("log.count", "--log-count", values.files, "how many old log files are kept", "5"),
    )
}

TABLES = frozenset(path.partition(".")[0] for path in KEYS if "." in path)

ENVIRONMENT = "environment"
SECRETS = "secrets"
FREE_TABLES = (ENVIRONMENT, SECRETS)
"""Tables whose keys are variables of the workers, for the checks."""

VARIABLES = {each.variable: each for each in KEYS.values() if each.variable}

OWN_VARIABLES = {
    **dict.fromkeys(("LANG", "PYTHONUTF8", "PYTHONUNBUFFERED"), "hospital-deploy sets it itself"),
    **dict.fromkeys(("CIRCUSD_PID", "HOSPITAL_WARD", "HOSPITAL_START_DELAY"), "circusd sets it"),
    "HOSPITAL_HEARTBEAT_DIR": "it lies in folders.run",
    "HOSPITAL_STATE_DIR": "write folders.state instead",
    "PATH": "write path instead",
}
"""Variables that no table may set, and why."""
