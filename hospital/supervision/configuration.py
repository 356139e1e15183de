"""A Circus configuration as circusd reads it, and where in its files each part stands.

Circus's own parser forgets the places; who is told of a fault wants to know them.
"""

import json
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from glob import glob
from pathlib import Path
from typing import Any

from hospital.errors import UsageError
from hospital.redaction import clean_line

_SECTION = re.compile(r"\[(?P<name>.+)\]")
_OPTION = re.compile(r"(?P<name>[^\s:=][^:=]*?)\s*[:=]")


@dataclass(frozen=True, slots=True)
class Option:
    """One option where it stands.

    Attributes:
        section: The section, such as ``watcher:web``.
        name: The name of the option.
        file: The file.
        line: The line in it, from 1.
    """

    section: str
    name: str
    file: str
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """What circusd makes of a configuration.

    Attributes:
        path: The file that circusd was given.
        circus: Options of ``[circus]``, with Circus's defaults.
        watchers: What Circus makes of each ``[watcher:…]``, environment included, in which the
            variables of circusd's own stand as their values.
        sockets: Likewise of each ``[socket:…]``.
        plugins: Likewise of each ``[plugin:…]``.
        options: All options of all files, in the order in which Circus reads them.
        unread: The files that are included and cannot be read, which Circus passes over, and why.
        files: For each section, the first file that has it.
    """

    path: str
    circus: Mapping[str, Any]
    watchers: list[dict[str, Any]]
    sockets: list[dict[str, Any]]
    plugins: list[dict[str, Any]]
    options: list[Option] = field(default_factory=list)
    unread: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)

    def place(self, section: str) -> str:
        """Return ``[section] in file``."""
        named = [each for each in self.files if each.lower() == section.lower()]  # as Circus does
        return f"[{section}] in {self.files[named[0]]}" if named else f"[{section}]"


def read(path: str) -> Configuration:
    """Return the configuration *path*, with all that it includes.

    Raises:
        UsageError: If it cannot be read.
    """
    from circus.config import get_config, read_config
    from circus.util import parse_env_dict

    try:
        is_file = stat.S_ISREG(os.stat(path).st_mode)  # noqa: PTH116 - a text
    except PermissionError:
        remedy = "let circusd's user read it, and enter the folders that it lies in"
        raise UsageError("this user may not read the configuration", path, remedy) from None
    except (OSError, ValueError):
        is_file = False
    if not is_file:
        remedy = "name the circus.ini of a set; a relative path begins where you are"
        raise UsageError("no such configuration:", path, remedy)
    try:
        made = get_config(path)
        parsed, files = read_config(path)
        for watcher in made["watchers"]:
            watcher["env"] = parse_env_dict(watcher["env"])  # as each watcher does for itself
    except Exception as error:  # circus raises what its parser and its conversions raise
        reason = clean_line(f"{type(error).__name__}: {error}")
        raise UsageError("the configuration cannot be read:", f"{path}: {reason}") from error
    parts = {name: made.pop(name) for name in ("watchers", "sockets", "plugins")}
    options: list[Option] = []
    where: dict[str, str] = {}
    for file in files:
        shown = _shown(str(file))
        for each in _options(shown, Path(file).read_text()):
            where.setdefault(each.section, shown)
            if each.name:
                options.append(each)
    unread = dict(_unread(set(_included(path, parsed)) - set(files)))
    return Configuration(
        path=path, circus=made, options=options, unread=unread, files=where, **parts
    )


def _included(path: str, parsed: Any) -> Iterator[str]:
    """Yield the files that the configuration *path* includes, named as Circus does."""
    folder = os.path.dirname(path)  # noqa: PTH120 - empty where there is none, as Circus has it
    patterns = parsed.dget("circus", "include", "").split()
    folders = parsed.dget("circus", "include_dir", "").split()
    for pattern in [*patterns, *(os.path.join(each, "*.ini") for each in folders)]:  # noqa: PTH118 - a pattern
        yield from glob(os.path.join(folder, pattern))  # noqa: PTH118, PTH207 - likewise


def _unread(files: Iterable[str]) -> Iterator[tuple[str, str]]:
    for file in sorted(files):
        try:
            Path(file).read_bytes()
        except OSError as error:
            yield file, (error.strerror or str(error)).lower()


def _shown(file: str) -> str:
    """Return the name of a file as a person would write it: without ``deploy/../``."""
    with suppress(OSError, ValueError):
        return str(Path(file).resolve().relative_to(Path.cwd()))
    return file


def _options(file: str, text: str) -> Iterator[Option]:
    """Yield each option; for each section one without a name first."""
    section = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line[0] in "#;" or line[0].isspace():
            continue
        if found := _SECTION.match(line):
            section = found["name"]
            yield Option(section, "", file, number)
        elif found := _OPTION.match(line):
            yield Option(section, found["name"], file, number)


def log_files(configuration: Configuration) -> Iterator[str]:
    """Yield the files that circusd, its watchers and its plugins write their logs to."""
    for watcher in configuration.watchers:
        for stream in ("stdout_stream", "stderr_stream"):
            if name := watcher[stream].get("filename"):
                yield name
    for plugin in configuration.plugins:
        if name := plugin.get("log_file"):
            yield name
    output = configuration.circus.get("logoutput")
    if output and output not in {"-", "stdout"} and not output.startswith("syslog:"):
        yield output
    logger_config = configuration.circus.get("loggerconfig")
    if logger_config:
        with suppress(OSError, ValueError, AttributeError, KeyError):
            handlers = json.loads(Path(logger_config).read_text())["handlers"].values()
            for handler in handlers:
                yield from (handler[key] for key in ("filename", "path") if key in handler)
