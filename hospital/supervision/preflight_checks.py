"""What would keep circusd from working, found before it binds or starts anything.

circusd 0.19 steals the control socket of another circusd, exits 0 on a taken port, and goes on
without a watcher whose hook, stream or program is missing. Each function here yields what it
finds: errors, which refuse the start, and warnings, which do not.

Rules: nothing is left behind or changed here; all of it together takes a few milliseconds.
"""

import os
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hospital.errors import HospitalError, PortError, SettingError
from hospital.redaction import clean_line
from hospital.serving import ports
from hospital.serving.socket_paths import AnsweredError, check_unix
from hospital.serving.usable_folders import may_enter
from hospital.supervision import beats_folder
from hospital.supervision.configuration import Configuration
from hospital.supervision.guard import OPTIONS as GUARD_OPTIONS
from hospital.supervision.guard import Guard, option_faults
from hospital.supervision.hooks import missing_sockets, owner_of
from hospital.supervision.preflight_folders import OwnerFields

Found = HospitalError

# a module, or a program, in a command: hospital.serving.worker, bin/hospital-serve
_OURS = re.compile(r"(?:^|[\s/'\"])hospital(?:[.\-]\w|\s)")


def include_faults(configuration: Configuration) -> Iterator[Found]:
    """Yield the included files that circusd would go on without."""
    for file, reason in configuration.unread.items():
        remedy = "let circusd's user read it, or move it away"
        yield Found("cannot read the included file", f"{file}: {reason}", remedy)


def socket_faults(configuration: Configuration) -> Iterator[Found]:
    """Yield the addresses of ``[socket:…]`` sections that circusd could not listen on."""
    for each in configuration.sockets:
        where = configuration.place(f"socket:{each['name']}")
        try:
            if "path" in each:
                remedy = f"choose another path under {where}"
                check_unix(each["path"], replace=bool(each["replace"]), remedy=remedy)
            else:
                port = each.get("port", "8080")
                if not port.isdecimal():
                    yield PortError("the port is no number:", repr(port), f"mend it in {where}")
                    continue
                remedy = f"choose another port under {where}"
                ports.bind(each.get("host", "localhost"), int(port), remedy=remedy).close()
        except PortError as error:
            yield error


def endpoint_faults(configuration: Configuration) -> Iterator[Found]:
    """Yield what is wrong with the addresses of circusd itself, for circusctl and plugins."""
    names = ["endpoint", "pubsub_endpoint"]
    if configuration.circus["statsd"]:
        names.append("stats_endpoint")
    for name in names:
        scheme, _, address = configuration.circus[name].partition("://")
        remedy = f"choose another {name} in {configuration.path}"
        try:
            if scheme == "ipc":
                # Circus, that is ZeroMQ, removes whatever file is there
                check_unix(address, replace=True, remedy=remedy)
            elif scheme == "tcp":
                host, _, port = address.rpartition(":")
                ports.bind("" if host == "*" else host, int(port), remedy=remedy).close()
        except AnsweredError as error:
            yield runs_already(error.path, error.pid, configuration.circus["endpoint"])
            return  # the others are its own as well
        except (PortError, ValueError) as error:
            yield (
                error if isinstance(error, PortError) else Found(f"{name} is no address:", address)
            )


class RunsAlreadyError(HospitalError):
    """Another circusd runs this configuration; whatever else is taken is taken by it."""


def runs_already(address: str, pid: int | str, endpoint: str) -> RunsAlreadyError:
    """Return the error for a configuration whose control socket another circusd has."""
    remedy = f"end it first: circusctl --endpoint {endpoint} quit"
    return RunsAlreadyError("circusd already runs on", f"{address}, pid {pid}", remedy)


def watcher_faults(configuration: Configuration) -> Iterator[Found]:
    """Yield why a watcher could not start."""
    sockets = [each["name"] for each in configuration.sockets]
    for watcher in configuration.watchers:
        where = configuration.place(f"watcher:{watcher['name']}")
        yield from _import_faults(watcher, where)
        yield from _command_faults(watcher, where)
        missing = missing_sockets(watcher["cmd"], sockets)
        if missing:
            yield Found(
                f"there is no socket {missing[0]}, which the cmd wants:",
                where,
                f"write a section [socket:{missing[0]}]",
            )
        elif missing_sockets(watcher["cmd"], []) and not watcher["use_sockets"]:
            yield Found("the cmd wants a socket:", where, "write use_sockets = True there")
        try:
            owner_of(OwnerFields(watcher))
        except (ValueError, KeyError) as error:
            yield Found("there is no such user or group:", f"{where}: {clean_line(str(error))}")


def _import_faults(watcher: dict[str, Any], where: str) -> Iterator[Found]:
    named = {f"hooks.{hook}": value[0] for hook, value in watcher["hooks"].items()}
    for stream in ("stdout_stream", "stderr_stream"):
        options = watcher[stream]
        name = options.get("class", "")
        if "." in name:
            named[f"{stream}.class"] = name
        if name == "hospital.supervision.streams.LineStream":
            from hospital.supervision.streams import faults

            for fault in faults(options):
                yield Found(f"{stream} in {where}: {fault}")
    folders = [each for each in watcher["env"].get("PYTHONPATH", "").split(os.pathsep) if each]
    for option, name in named.items():
        reason = _unimportable(name, folders)
        if reason:
            yield Found(f"cannot import {name}:", reason, f"mend {option} in {where}")


def _unimportable(name: str, folders: list[str] = []) -> str:  # noqa: B006 - never changed
    """Return why circusd cannot import *name*; empty where it can."""
    from circus.util import resolve_name

    before = list(sys.path)
    sys.path += folders  # as circusd does
    try:
        found = resolve_name(name)
    except Exception as error:  # noqa: BLE001 - a module may raise anything
        while isinstance(error, ImportError) and getattr(error, "exception", None) is not None:
            error = error.exception  # type: ignore[attr-defined] # circus's own, around the cause
        return clean_line(f"{type(error).__name__}: {error}")
    finally:
        sys.path[:] = before
    return "" if callable(found) else "there is no such name in it"


def _command_faults(watcher: dict[str, Any], where: str) -> Iterator[Found]:
    folder = watcher["working_dir"] or "."
    if not may_enter(folder):
        what = "this user may not enter" if os.path.isdir(folder) else "there is no folder"  # noqa: PTH112 - Path raises for what is closed
        if folder != ".":  # that one is looked at by itself
            yield Found(what, folder, f"mend working_dir in {where}")
        return
    try:
        words = shlex.split(watcher["cmd"])
    except ValueError as error:
        yield Found("the cmd cannot be taken apart:", f"{where}: {error}")
        return
    if not words:
        yield Found("there is no cmd:", where)
        return
    program = words[0]
    ours = watcher["hooks"].get("before_start", [""])[0].endswith(".use_this_python")
    if "$" in program or "((" in program or watcher["shell"] or (program == "python" and ours):
        return
    # Python looks the program up in the path of the process that is to run it
    path = watcher["env"].get("PATH", os.defpath)
    found = shutil.which(program if "/" not in program else str(Path(folder, program)), path=path)
    if found is None:
        yield Found("cannot find the program", program, f"mend cmd in {where}, or PATH for it")


def plugin_faults(configuration: Configuration) -> Iterator[Found]:
    """Yield why a plugin could not start; circusd starts such a one again and again."""
    for plugin in configuration.plugins:
        where = configuration.place(plugin["name"])
        if not plugin.get("use"):
            yield Found("there is no 'use' in", where, "name the class of the plugin")
            continue
        if reason := _unimportable(plugin["use"]):
            yield Found(f"cannot import {plugin['use']}:", reason, f"mend use in {where}")
            continue
        yield from _quoting_faults(plugin, where)
        if _is_guard(plugin):
            unquoted = {key: _unquoted(value) for key, value in plugin.items()}
            for fault in option_faults(unquoted):
                yield Found(f"{where}: {fault}")


def _quoting_faults(plugin: dict[str, Any], where: str) -> Iterator[Found]:
    for name, value in plugin.items():
        try:
            is_one = len(shlex.split(f"x{value}")) == 1
        except ValueError:
            is_one = False
        if isinstance(value, str) and (not is_one or ":::" in value):
            yield Found(f"{name} is not one word:", f"{value} in {where}", "put it in quotes")


def _unquoted(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return "".join(shlex.split(value))
    except ValueError:
        return value


def _is_guard(plugin: dict[str, Any]) -> bool:
    from circus.util import resolve_name

    return not _unimportable(plugin["use"]) and resolve_name(plugin["use"]) is Guard


def setting_faults(configuration: Configuration) -> Iterator[Found]:
    """Yield settings of a watcher that runs hospital, which answers with 500 for them."""
    return _settings(configuration, of_ours=True)


def setting_warnings(configuration: Configuration) -> Iterator[Found]:
    """Yield those of a watcher that runs something else, which perhaps uses hospital."""
    return _settings(configuration, of_ours=False)


def _settings(configuration: Configuration, *, of_ours: bool) -> Iterator[Found]:
    from hospital.settings import read_settings

    for watcher in configuration.watchers:
        if of_ours is bool(_OURS.search(watcher["cmd"])):
            try:
                read_settings(watcher["env"])
            except SettingError as error:
                yield Found(f"{configuration.place('env:' + watcher['name'])}: {error}")


def guard_warnings(configuration: Configuration) -> Iterator[Found]:
    """Yield watchers that beat where no guard looks, or are given another time there."""
    guards = [each for each in configuration.plugins if each.get("use") and _is_guard(each)]
    for watcher in configuration.watchers:
        folder = beats_folder.folder_of(watcher["env"], watcher["working_dir"] or "")
        watchdog = watcher["env"].get("HOSPITAL_WATCHDOG", "0")
        if folder is None or watchdog in {"", "0"}:
            continue
        looking = [
            _unquoted(each.get("watchdog", GUARD_OPTIONS["watchdog"]))
            for each in guards
            if Path(_unquoted(each.get("heartbeat_dir", ""))).absolute() == folder.absolute()
        ]
        place = configuration.place(f"env:{watcher['name']}")
        if not looking:
            yield Found(
                "no guard looks at",
                f"{folder}, HOSPITAL_HEARTBEAT_DIR of {place}",
                f"write a [plugin:hospital-guard] with heartbeat_dir = {folder}",
            )
        elif watchdog not in looking:
            yield Found(
                f"HOSPITAL_WATCHDOG is {watchdog} in {place}, and",
                f"the guard's watchdog is {looking[0]}",
                "write the same in both",
            )
