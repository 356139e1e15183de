"""Read a rendered set with circus's own parser, and compare it with what was meant.

Rule: what circusd would do with the files counts, not what they look like. So everything is
followed to where circus uses it: variables to the environment of a worker, the command to its
words, options of the plugin through the command line on which circus hands them over.
"""

import io
import json
import os
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import Any

from hospital.deploy import expected
from hospital.deploy.render import File, main_path
from hospital.deploy.site import Site
from hospital.errors import HospitalError

_OF_CIRCUSD = {"PATH": "/the/path/of/circusd"}
_MISSING = object()


class DifferentError(HospitalError):
    """circusd would read something else than what was meant."""


def prove(site: Site, files: list[File]) -> None:
    """Return if circusd finds in *files* what *site* means, and nothing else.

    It happens in memory: a secret that were written somewhere to be tried might stay there.

    Raises:
        DifferentError: If it does not; it names the first key that differs.
    """
    main, logging, *others = files
    with _environ(_OF_CIRCUSD), _reading([main, *others]):
        from circus.config import get_config, read_config

        try:
            parser, _ = read_config(os.devnull)
            config = get_config(os.devnull)
            found = _used(config)
        except Exception as error:
            what = f"circus cannot read what was rendered: {type(error).__name__}"
            raise DifferentError(what, "", "nothing is written; a fault of hospital") from error
        sections = {name: set(parser.options(name)) - {"__name__"} for name in parser.sections()}
        include = parser.get("circus", "include")
    _compare("sections", expected.sections_of(site), sections, site)
    _prove_include(site, include, others)
    _compare("[circus]", expected.arbiter_of(site), found["circus"], site)
    web = {**_defaults(), **expected.watcher_of(site)}
    web["env"] = _with_path_of_circusd(web["env"])
    _compare("watchers", {web["name"]: web}, found["watchers"], site)
    _compare("sockets", {f"{site.name}-web": expected.socket_of(site)}, found["sockets"], site)
    plugins = {f"plugin:{site.name}-guard": expected.plugin_of(site)}
    _compare("plugins", plugins, found["plugins"], site)
    _prove_logging(site, logging.text)


@contextmanager
def _reading(files: list[File]) -> Iterator[None]:
    """Let circus read *files*, in the encoding in which it would open them, instead of paths."""
    from circus import config

    def read_config(_path: str) -> tuple[Any, list[str]]:
        parser = config.DefaultConfigParser()
        for each in files:
            parser.read_file(io.TextIOWrapper(io.BytesIO(each.text.encode())), each.path)
        return parser, [each.path for each in files]

    before = config.read_config
    config.read_config = read_config
    try:
        yield
    finally:
        config.read_config = before


def _prove_include(site: Site, include: str, others: list[File]) -> None:
    """Compare what circus.ini includes with the files that are there."""
    pattern = os.path.normpath(os.path.join(os.path.dirname(main_path(site)), include))  # noqa: PTH118, PTH120 - as circus does it
    missed = {each.path for each in others if not fnmatchcase(each.path, pattern)}
    _compare("[circus]", {"files not included": set()}, {"files not included": missed}, site)


def _used(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what circus makes of *config* when it uses it."""
    from circus.util import parse_env_dict, replace_gnu_args

    watchers = {}
    for each in config["watchers"]:
        env = parse_env_dict(
            {name: each["env"][name] for name in each["env"].keys() - {"__name__"}}
        )
        command = replace_gnu_args(each["cmd"], env=env)
        watchers[each["name"]] = {
            **{name: value for name, value in each.items() if name != "__name__"},
            "env": env,
            "cmd": shlex.split(command),
            "stop_signal": int(each["stop_signal"]),
        }
    return {
        "circus": {name: config[name] for name in _ARBITER_OPTIONS},
        "watchers": watchers,
        "sockets": {each["name"]: _used_socket(each) for each in config["sockets"]},
        "plugins": {each["name"]: _used_plugin(each) for each in config["plugins"]},
    }


_ARBITER_OPTIONS = (*expected.ARBITER, "endpoint", "pubsub_endpoint", "loggerconfig")


def _used_socket(section: Mapping[str, Any]) -> dict[str, str]:
    options = {name: str(value) for name, value in section.items() if name not in _MADE_UP}
    if section["replace"]:
        options["replace"] = "True"
    return options


_MADE_UP = ("__name__", "name", "so_reuseport", "replace")


def _used_plugin(section: Mapping[str, Any]) -> dict[str, str]:
    """Return the options as they arrive in the guard."""
    from circus.plugins import _cfg2str, _str2cfg

    from hospital.supervision.guard import mended

    config = {name: value for name, value in section.items() if name not in {"use", "__name__"}}
    words = shlex.split(f"--config {_cfg2str(config)} {section['use']}")
    if len(words) != 3 or words[2] != "hospital.supervision.guard.Guard":  # noqa: PLR2004 - as above
        return {"use": str(section["use"])}
    arrived = mended(_str2cfg(words[1]))
    return {name: value for name, value in {**_KEPT_BY_CIRCUS, **arrived}.items() if name != "name"}


_KEPT_BY_CIRCUS = {"copy_env": "", "copy_path": ""}
"""Options whose empty value circus uses itself and loses on the way to the plugin."""


def _with_path_of_circusd(env: Mapping[str, str]) -> dict[str, str]:
    path = _OF_CIRCUSD["PATH"] if env["PATH"] == "$PATH" else env["PATH"]
    return {**env, "PATH": path}


def _defaults() -> dict[str, Any]:
    from circus.config import watcher_defaults

    defaults: dict[str, Any] = watcher_defaults()
    return {**defaults, "stop_signal": int(defaults["stop_signal"])}


def _prove_logging(site: Site, text: str) -> None:
    """Compare what says where circusd's own lines go."""
    config = json.loads(text)
    file, trial = config["handlers"]["file"], config["filters"]["preflight"]
    found = {name: file[name] for name in ("filename", "max_bytes", "backup_count")}
    meant = {
        "filename": f"{site.log}/circusd.log",
        "max_bytes": site.max_size_bytes,
        "backup_count": site.count,
        "config": f"{site.deploy_folder}/circus.ini",
    }
    _compare("logging", meant, {**found, "config": trial["config"]}, site)


def _compare(where: str, meant: object, found: object, site: Site) -> None:
    """Raise the first difference between *meant* and *found*."""
    for path, left, right in _differences((where,), meant, found):
        *_, last = path
        hidden = last in site.secrets
        shown = "(not shown)" if hidden else f"{_shown(right)} instead of {_shown(left)}"
        raise DifferentError(
            f"circusd would read {' '.join(path)} differently:",
            shown,
            "nothing is written; write another value",
        )


def _differences(
    path: tuple[str, ...], meant: object, found: object
) -> Iterator[tuple[tuple[str, ...], object, object]]:
    if isinstance(meant, Mapping) and isinstance(found, Mapping):
        for name in sorted({*meant, *found}):
            pair = meant.get(name, _MISSING), found.get(name, _MISSING)
            yield from _differences((*path, str(name)), *pair)
    elif meant != found:
        yield path, meant, found


def _shown(value: object) -> str:
    if isinstance(value, set):
        value = sorted(value)
    return "nothing" if value is _MISSING else repr(value)[:120]


@contextmanager
def _environ(only: Mapping[str, str]) -> Iterator[None]:
    """Let the environment be *only*, since circus puts variables of it into values."""
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(only)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
