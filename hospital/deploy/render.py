"""From a site to the files of its set.

Rule: nothing is decided here, and nothing is written.
"""

import ipaddress
import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files

from hospital.deploy.keys import VARIABLES
from hospital.deploy.site import KILL_AFTER_DRAIN_S, Site
from hospital.deploy.stamp import MARK, stamped
from hospital.deploy.template import fill
from hospital.durations import parse_duration

MODE = 0o640
MODE_IN_A_CHECKOUT = 0o644
MODE_OF_SECRETS = 0o600
INCLUDED = "circus.ini.d"
MAIN = "circus.ini"
LOGGING = "circusd-logging.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file of a set.

    Attributes:
        path: Where it stands, below the folder of the set.
        text: What is in it; in no repr, it may hold secrets.
        mode: Its permission bits.
    """

    path: str
    text: str = field(repr=False)
    mode: int

    @property
    def is_secret(self) -> bool:
        """Whether nobody but its owner may read it."""
        return self.mode == MODE_OF_SECRETS


def main_path(site: Site) -> str:
    """Return where circus.ini stands, below the folder of the set."""
    return f"deploy/{MAIN}" if site.is_checkout else MAIN


def logging_path(site: Site) -> str:
    """Return where the logging of circusd is configured, below the folder of the set."""
    return f"deploy/{LOGGING}" if site.is_checkout else LOGGING


def render(site: Site) -> list[File]:
    """Return the files of *site*: circus.ini, the logging of circusd, and what is included."""
    mode = MODE_IN_A_CHECKOUT if site.is_checkout else MODE
    found = [
        File(path=main_path(site), text=render_main(site), mode=mode),
        File(path=logging_path(site), text=_render_logging(site), mode=mode),
        File(path=f"{INCLUDED}/{site.web}.ini", text=_render("web.ini", site), mode=mode),
    ]
    if site.secrets:
        path = f"{INCLUDED}/{site.web}.secrets.ini"
        found.append(File(path=path, text=_render("secrets.ini", site), mode=MODE_OF_SECRETS))
    return found


def render_main(site: Site, *, include: str = "", loggerconfig: str = "") -> str:
    """Return circus.ini, with other places of what it names where they are given."""
    instead = {"include": include, "loggerconfig": loggerconfig}
    return _render("circus.ini", site, {name: text for name, text in instead.items() if text})


def _render(template: str, site: Site, instead: Mapping[str, str] = {}) -> str:
    text = files("hospital.deploy").joinpath("templates", template).read_text("utf-8")
    return stamped(fill(text, {**_values(site), **instead}))


def _values(site: Site) -> dict[str, str]:
    """Return what the templates name; an empty text is for them what is not there."""
    return {
        **{name: site.settings.get(name, "") for name in VARIABLES},
        **{name: site.settings.get(name, "") for name in _FOLDERS},
        "mark": MARK,
        "checkout": "yes" if site.is_checkout else "",
        "vm_host": "" if site.is_checkout else site.host,
        "one": "yes" if site.numprocesses == 1 else "",
        "folder": site.deploy_folder,
        "main": f"{site.deploy_folder}/{MAIN}",
        "include": f"../{INCLUDED}/*.ini" if site.is_checkout else f"{INCLUDED}/*.ini",
        "loggerconfig": f"{site.deploy_folder}/{LOGGING}",
        "endpoint": f"ipc://{site.run}/circusd.sock",
        "pubsub_endpoint": f"ipc://{site.run}/circusd-events.sock",
        "web": site.web,
        "guard": site.guard,
        "beats": site.beats,
        "watchdog": watchdog_of(site),
        "log": site.log,
        "python": shlex.quote(site.python),
        "graceful_timeout": str(site.graceful_timeout_s),
        "kill_timeout": str(site.graceful_timeout_s + KILL_AFTER_DRAIN_S),
        "working_dir": site.working_dir,
        "user": site.user,
        "group": site.group,
        "numprocesses": str(site.numprocesses),
        "max_bytes": str(site.max_size_bytes),
        "backup_count": str(site.count),
        "log_format": site.log_format,
        "host": site.host,
        "port": str(site.port),
        "ipv6": "yes" if is_ipv6(site.host) else "",
        "socket": site.socket,
        "socket_mode": f"{site.socket_mode:04o}",
        "umask": str(0o777 & ~site.socket_mode),
        "path": site.path,
        "environment": _assignments(site.environment),
        "secrets": _assignments(site.secrets),
    }


_FOLDERS = ("HOSPITAL_HEARTBEAT_DIR", "HOSPITAL_STATE_DIR")


def _assignments(variables: Mapping[str, str]) -> str:
    return "\n".join(f"{name} = {variables[name]}".rstrip() for name in sorted(variables))


def watchdog_of(site: Site) -> str:
    """Return the watchdog's time without spaces, which an option of a plugin cannot hold."""
    return f"{parse_duration(site.settings['HOSPITAL_WATCHDOG'], zero=True):g}s"


def is_ipv6(host: str) -> bool:
    """Tell whether *host* is an address that needs the family of IPv6."""
    try:
        return ipaddress.ip_address(host).version == 6  # noqa: PLR2004 - the version of IP
    except ValueError:
        return False


def _render_logging(site: Site) -> str:
    from hospital.supervision.circusd_logs import make_config

    config = make_config(
        log_file=f"{site.log}/circusd.log",
        max_bytes=site.max_size_bytes,
        backup_count=site.count,
        console=site.is_checkout,
        preflight_config=f"{site.deploy_folder}/{MAIN}",
    )
    marked = {"rendered by": f"{MARK}: edits are noticed", **config}
    return stamped(json.dumps(marked, indent=2, ensure_ascii=False) + "\n")
