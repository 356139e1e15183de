"""What circusd should find in a rendered set, told by the site and not by the templates.

Rule: nothing is shared with ``render`` but the site, so that a fault of one shows in the other.
"""

from typing import Any

from hospital.deploy.site import Site

_STREAM = "hospital.supervision.streams.LineStream"
_HOOKS = "hospital.supervision.hooks"

ARBITER = {
    "check_delay": 1.0,
    "endpoint_owner": None,
    "multicast_endpoint": "",
    "statsd": False,
    "umask": 0o077,
    "warmup_delay": 0,
    "httpd": False,
    "debug": False,
    "debug_gc": False,
    "pidfile": None,
    "loglevel": "warning",
    "logoutput": None,
    "fqdn_prefix": None,
}
"""Options of circusd that are the same in every set."""


def arbiter_of(site: Site) -> dict[str, Any]:
    """Return the options of circusd itself."""
    return {
        **ARBITER,
        "endpoint": f"ipc://{site.run}/circusd.sock",
        "pubsub_endpoint": f"ipc://{site.run}/circusd-events.sock",
        "loggerconfig": f"{site.deploy_folder}/circusd-logging.json",
    }


def watcher_of(site: Site) -> dict[str, Any]:
    """Return the options of the web watcher that are not circus's own defaults."""
    words = [site.python, "-m", "hospital.serving.worker", "--backend", "gevent", "--fd"]
    words += [f"$(circus.sockets.{site.name}-web)", "--graceful-timeout"]
    words += [str(site.graceful_timeout_s), "hospital.wsgi.application"]
    stream = {
        "class": _STREAM,
        "filename": f"{site.log}/{site.name}-web.log",
        "max_bytes": str(site.max_size_bytes),
        "backup_count": str(site.count),
        "format": site.log_format,
    }
    found: dict[str, Any] = {
        "name": f"{site.name}-web",
        "cmd": words,
        "numprocesses": site.numprocesses,
        "use_sockets": True,
        "copy_env": False,
        "stop_signal": 15,
        "stop_children": False,
        "graceful_timeout": float(site.graceful_timeout_s + 3),
        "stdout_stream": stream,
        "stderr_stream": stream,
        "hooks": {
            "before_start": [f"{_HOOKS}.use_this_python", False],
            "before_spawn": [f"{_HOOKS}.before_spawn", False],
            "after_spawn": [f"{_HOOKS}.after_spawn", False],
            "before_signal": [f"{_HOOKS}.before_signal", False],
            "before_reap": [f"{_HOOKS}.before_reap", False],
            "after_reap": [f"{_HOOKS}.after_reap", False],
        },
        "reload_timeout": "10",
        "env": environment_of(site),
    }
    if site.working_dir:
        found["working_dir"] = site.working_dir
    if site.user:
        found |= {"uid": site.user, "gid": site.group}
    return found


def environment_of(site: Site) -> dict[str, str]:
    """Return what a worker finds in its environment; ``$PATH`` stands for circusd's own."""
    return {
        **site.settings,
        **site.environment,
        **site.secrets,
        "PATH": site.path,
        "LANG": "C.UTF-8",
        "PYTHONUTF8": "1",
        "PYTHONUNBUFFERED": "1",
    }


def socket_of(site: Site) -> dict[str, str]:
    """Return the options of the socket that the workers share, as texts."""
    if site.socket:
        umask = 0o777 - site.socket_mode  # circus reads it as decimal
        return {"path": site.socket, "umask": str(umask), "replace": "True", "backlog": "4096"}
    family = {"family": "AF_INET6"} if ":" in site.host else {}
    return {"host": site.host, "port": str(site.port), **family, "backlog": "4096"}


def plugin_of(site: Site) -> dict[str, str]:
    """Return the options of the guard, as circusd hands them on."""
    watchdog_s = _seconds(site.settings["HOSPITAL_WATCHDOG"])
    return {
        "heartbeat_dir": f"{site.run}/beats",
        "watchdog": f"{watchdog_s:g}s",
        "log_file": f"{site.log}/{site.name}-guard.log",
        "log_max_bytes": str(site.max_size_bytes),
        "log_backup_count": str(site.count),
        "copy_env": "",
        "copy_path": "",
    }


def sections_of(site: Site) -> dict[str, set[str]]:
    """Return the sections of the whole set and the options in each: there are no others."""
    watcher = watcher_of(site)
    streams = {
        f"{name}.{option}"
        for name in ("stdout_stream", "stderr_stream")
        for option in watcher[name]
    }
    hooks = {f"hooks.{name}" for name in watcher["hooks"]}
    plain = watcher.keys() - {"name", "stdout_stream", "stderr_stream", "hooks", "env"}
    constant = ("check_delay", "multicast_endpoint", "statsd", "umask", "loglevel", "include")
    return {
        "circus": {*constant, "endpoint", "pubsub_endpoint", "loggerconfig"},
        f"watcher:{site.name}-web": plain | streams | hooks,
        f"socket:{site.name}-web": set(socket_of(site)),
        f"env:{site.name}-web": set(environment_of(site)),
        f"plugin:{site.name}-guard": {"use", *plugin_of(site)},
    }


def _seconds(text: str) -> float:
    from hospital.durations import parse_duration

    return parse_duration(text, zero=True)
