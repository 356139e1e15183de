"""Decide a site from what site.toml and the command line say.

Rule: this is the only place that decides, and it tells all faults together.
"""

import grp
import math
import os
import pwd
import re
from collections.abc import Callable, Mapping
from functools import partial

from hospital.deploy import values
from hospital.deploy.keys import ENVIRONMENT, KEYS, OWN_VARIABLES, SECRETS, VARIABLES, Key
from hospital.deploy.reach import this_python
from hospital.deploy.site import VM, Site
from hospital.deploy.site_file import Written
from hospital.errors import SettingError, UsageError
from hospital.redaction import redact
from hospital.settings import PREFIX, read_settings

_LONGEST_IN_RUN = "/circusd-events.sock"


class SiteMaker:
    """Decides a site, and keeps the faults on the way, to tell them all together.

    Args:
        written: What site.toml says.
        given: Text by the path of its key, from the command line; it counts more.
        variables: Variables from the command line, by name.
    """

    def __init__(
        self, written: Written, given: Mapping[str, str], variables: Mapping[str, str]
    ) -> None:
        self.faults = list(written.faults)
        self._written = written
        self._given = given
        self._variables = variables

    def make(self, output: str) -> Site | None:
        """Return the site that is rendered to *output*; None if there are faults."""
        read = {path: self._read(key) for path, key in KEYS.items()}
        read = {path: text for path, text in read.items() if self._counts(path)}
        folder = self._try(lambda: _absolute("--output", output)) or "/"
        settings = {
            key.variable: text
            for path, key in KEYS.items()
            if key.variable and (text := read.get(path)) is not None
        }
        user, group = self._account(read.get("user") or "", read.get("group") or "")
        run = read.get("folders.run") or f"{folder}/var/run"
        state = read.get("folders.state") or f"{folder}/var/state"
        settings |= {"HOSPITAL_HEARTBEAT_DIR": f"{run}/beats", "HOSPITAL_STATE_DIR": state}
        self._socket_fits(run)
        environment, secrets = self._tables()
        python = read.get("python") or self._try(lambda: _absolute("this Python", this_python()))
        is_socket = "web.socket" in read
        if not is_socket and (said := self._said("web.socket_mode")):
            self.faults.append(f"{said} stands without a socket; leave it out, or name a socket")
        if self.faults:
            self.faults.sort(key=_line)
            return None
        site = Site(
            profile=VM,
            output=folder,
            name=str(read["name"]),
            python=str(python),
            user=user,
            group=group,
            path=str(read["path"]),
            host="" if is_socket else str(read["web.host"]),
            port=0 if is_socket else int(str(read["web.port"])),
            socket=str(read["web.socket"]) if is_socket else "",
            socket_mode=int(str(read["web.socket_mode"]), 8) if is_socket else 0,
            numprocesses=int(str(read["web.numprocesses"])),
            working_dir=read["web.working_dir"] or folder,
            graceful_timeout_s=int(str(read["web.graceful_timeout"])),
            run=run,
            state=state,
            log=read["folders.log"] or f"{folder}/var/log",
            max_size_bytes=int(str(read["log.max_size"])),
            count=int(str(read["log.count"])),
            log_format=read["log.format"] or "json",
            settings=settings,
            environment=environment,
            secrets=secrets,
        )
        return self._proved(site)

    def _proved(self, site: Site) -> Site | None:
        """Return *site* if the workers take all its settings together."""
        try:
            read_settings({**site.environment, **site.settings})
        except SettingError as error:
            self.faults.append(str(error))
            return None
        return site

    def _counts(self, path: str) -> bool:
        """Tell host and port from a socket: what the command line says turns the other off."""
        told = self._given if any(each in self._given for each in _PLACES) else self._written.values
        if path == "web.socket":
            if path in told and ("web.host" in told or "web.port" in told):
                where = "" if told is self._given else self._written.place(path)
                remedy = "leave out one of them"
                self.faults.append(f"{where}there is a socket beside host or port; {remedy}")
            return path in told
        return path not in _PLACES or "web.socket" not in told

    def _read(self, key: Key) -> str | None:
        if key.path in self._given:
            return self._try(lambda: key.read(key.option, self._given[key.path]))
        text = self._written.values.get(key.path)
        if text is not None:
            return self._try(lambda: key.read(key.path, text), self._place(key.path))
        return key.read(key.path, key.default) if key.default is not None else None

    def _said(self, path: str) -> str:
        """Return how *path* is called where it was said; nothing if it was not."""
        if path in self._given:
            return KEYS[path].option
        return f"{self._place(path)}{path}" if path in self._written.values else ""

    def _place(self, path: str) -> str:
        return self._written.place(path)

    def _try(self, read: Callable[[], str], place: str = "") -> str | None:
        try:
            return read()
        except UsageError as error:
            self.faults.append(f"{place}{error}")
            return None

    def _account(self, user: str, group: str) -> tuple[str, str]:
        """Return user and group of the workers, if there are such and they may be had."""
        if not user:
            if group:
                self.faults.append("there is a group without a user; write a user too")
            return "", ""
        label = "--user" if "user" in self._given else f"{self._place('user')}user"
        if os.geteuid() != 0:
            remedy = "leave it out, and start circusd as that user; or render as root"
            self.faults.append(f"{label} can be said by root alone, not by you; {remedy}")
            return "", ""
        try:
            entry = pwd.getpwnam(user)
            name = group or grp.getgrgid(entry.pw_gid).gr_name
            grp.getgrnam(name)
        except KeyError as error:
            self.faults.append(f"{label}: {error.args[0]}; name an account of this machine")
            return "", ""
        return user, name

    def _socket_fits(self, run: str) -> None:
        length = len((run + _LONGEST_IN_RUN).encode())
        if length > values.LONGEST_SOCKET_PATH:
            most = values.LONGEST_SOCKET_PATH - len(_LONGEST_IN_RUN)
            remedy = f"name one of {most} bytes at most with --run-folder, such as /run/hospital"
            self.faults.append(f"the run folder {run} is too long for circusd's sockets; {remedy}")

    def _tables(self) -> tuple[dict[str, str], dict[str, str]]:
        environment = self._table(ENVIRONMENT, values.plain)
        secrets = self._table(SECRETS, values.secret)
        for name, text in self._variables.items():
            label = f"--environment {name}"[:80]
            self._try(partial(_free_name, label, name))
            environment[name] = self._try(partial(values.plain, label, text)) or ""
            self._try(partial(_hospital_variable, name, text, label))
        for name in environment.keys() & secrets.keys():
            where = self._place(f"{SECRETS}.{name}")
            self.faults.append(f"{where}{name} is a secret and stands elsewhere too; leave one out")
        return environment, secrets

    def _table(self, table: str, read: values.Reader) -> dict[str, str]:
        found = {}
        for name, text in self._written.variables.get(table, {}).items():
            label = f"{table}.{name}"
            shown = f"{table}.{name if name.isprintable() else ascii(name)}"[:80]
            place = self._place(label)
            self._try(partial(_free_name, shown, name), place)
            found[name] = self._try(partial(read, shown, text), place) or ""
            if table == ENVIRONMENT:
                self._try(partial(_hospital_variable, name, text, shown), place)
            elif name.startswith(PREFIX) and name not in {*VARIABLES, *OWN_VARIABLES, *_SECRET}:
                self.faults.append(f"{place}{shown} is no secret; write it under [{ENVIRONMENT}]")
        return found


def _line(fault: str) -> float:
    """Return the line of site.toml that *fault* names, so that faults stand in its order."""
    match = re.match(r"[^:]*:(\d+): ", fault)
    return int(match[1]) if match else math.inf


_SECRET = ("HOSPITAL_DATABASE_URL",)
_PLACES = ("web.host", "web.port", "web.socket")


def _free_name(label: str, name: str) -> str:
    values.variable(label, name)
    if name in VARIABLES:
        raise SettingError(f"{label} has a key of its own", "", f"write {VARIABLES[name].path}")
    if name in OWN_VARIABLES:
        raise SettingError(f"{label} cannot be chosen", "", OWN_VARIABLES[name])
    return name


def _hospital_variable(name: str, text: str, label: str) -> str:
    """Have settings judge a variable of hospital that has no key of its own."""
    if name in _SECRET and redact(text) != text:
        what = f"{label} holds a password (its value is not shown)"
        raise SettingError(what, "", f"write it under [{SECRETS}] of site.toml")
    if name.startswith(PREFIX) and name not in VARIABLES and name not in OWN_VARIABLES:
        read_settings({name: text})
    return name


def _absolute(label: str, path: str) -> str:
    return values.absolute_path(label, path)
