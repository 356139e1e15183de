"""Import what a name, a file or a folder stands for, and say exactly what went wrong."""

import importlib
import importlib.util
import os
import pkgutil
import sys
import unittest
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from hospital import naming
from hospital.errors import did_you_mean
from hospital.redaction import clean, clean_line, to_text
from hospital.running.meaning import is_pytest
from hospital.running.places import frames_of, innermost, is_library, shown

_LONGEST_NAME = 1000
_LONGEST_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Found:
    """What a name stands for.

    Attributes:
        value: The module, class, function.
        name: Its dotted name, as it was reached.
        owner: What holds it; the class of a method.
        walk: Whether the submodules of a package are meant too.
    """

    value: Any
    name: str
    owner: Any = None
    walk: bool = True


@dataclass(frozen=True, slots=True)
class Missing:
    """What could not be had, and why.

    Attributes:
        name: What was looked for.
        reason: Why it could not be had.
        is_broken: Whether it is there, but cannot be used.
        is_skipped: Whether it asked to be skipped.
    """

    name: str
    reason: str
    is_broken: bool = False
    is_skipped: bool = False


class Importer:
    """Imports modules, tells before each which one it is, and never raises for what they do.

    Args:
        announce: Called with the name and the file of each module before it is imported.
        broken: Modules that are not imported again, and why.
    """

    def __init__(
        self,
        *,
        announce: Callable[[str, str], None] | None = None,
        broken: Mapping[str, str] | None = None,
    ) -> None:
        self._announce = announce or (lambda _name, _file: None)
        self._broken = broken or {}
        self._named: dict[str, Path] = {}

    def find(self, name: str, seen: set[str] | None = None) -> Iterator[Found | Missing]:
        """Yield what *name* stands for: one object, or the modules of a folder.

        Args:
            name: A dotted name, a file or a folder.
            seen: The real folders that have been walked; those are not walked again.
        """
        fault = _fault_of(name)
        if fault:
            yield Missing(_short(name), fault)
        elif os.sep in name or name.endswith(".py") or name in {".", ".."}:
            yield from self._find_path(name, set() if seen is None else seen)
        else:
            found = self._find_dotted(name)
            if isinstance(found, Missing) and not found.is_broken and _is_there(name):
                yield from self._find_path(name, set() if seen is None else seen)
            else:
                yield found

    def find_in(self, module: ModuleType, name: str) -> Found | Missing:
        """Return what the dotted *name* stands for within *module*."""
        found: Found | Missing = Found(module, module.__name__)
        for part in name.split("."):
            if isinstance(found, Missing):
                break
            found = _attribute(f"{module.__name__}.{name}", found, part)
        return found

    def submodules(
        self, package: ModuleType, seen: set[str] | None = None
    ) -> Iterator[Found | Missing]:
        """Yield the modules straight beneath *package*, imported, but for ``__main__``.

        Args:
            package: The package.
            seen: The real folders that have been walked; those are not walked again.
        """
        seen = set() if seen is None else seen
        names: set[str] = set()
        for folder in _folders_of(package):
            if naming.real(folder) in seen:
                continue
            seen.add(naming.real(folder))
            yield from self._beneath(package.__name__, folder, names, seen)

    def _beneath(
        self, package: str, folder: Path, names: set[str], seen: set[str]
    ) -> Iterator[Found | Missing]:
        if not folder.is_dir():  # in an archive, or a finder's own affair
            for info in pkgutil.iter_modules([str(folder)]):
                if info.name not in names | {"__main__"}:
                    names.add(info.name)
                    yield self._import(f"{package}.{info.name}")
            return
        try:
            paths = list(naming.python_files(folder))
            compiled = list(naming.extension_modules(folder))
        except OSError as error:
            yield _unreadable(str(folder), error)
            return
        for path in paths:
            name = path.name if path.is_dir() else path.stem
            if "." in name:
                found = self._find_folder(str(path), path, seen) if path.is_dir() else None
                yield from found or [self._import_by_path(path)]
            elif name not in names and not (path.is_dir() and naming.real(path) in seen):
                names.add(name)
                yield self._import(f"{package}.{name}")
        for name in compiled:
            if name not in names:
                names.add(name)
                yield self._import(f"{package}.{name}")

    def _import(self, name: str) -> Found | Missing:
        parts = name.split(".")
        for count in range(1, len(parts) + 1):
            dotted = ".".join(parts[:count])
            if dotted in self._broken:
                return Missing(dotted, self._broken[dotted], is_broken=True)
            if sys.modules.get(dotted) is None:
                spec = naming.spec_of(dotted)
                self._announce(dotted, (spec.origin or "") if spec else "")
            try:
                module = importlib.import_module(dotted)
            except BaseException as error:  # noqa: BLE001 - a module may raise anything on import
                return _broken(dotted, error)
        return Found(module, name)

    def _find_dotted(self, name: str) -> Found | Missing:
        parts = name.split(".")
        if not all(parts):
            return Missing(_short(name), f"{_quoted(name)} is no dotted name: a part is empty")
        if parts[0] in sys.stdlib_module_names:
            return Missing(_short(name), _is_pythons_own(parts[0]), is_broken=True)
        found: Found | None = None
        for count in range(1, len(parts) + 1):
            dotted = ".".join(parts[:count])
            if found is not None and not _is_package(found.value):
                break
            if sys.modules.get(dotted) is None and naming.spec_of(dotted) is None:
                break
            result = self._import(dotted)
            if isinstance(result, Missing):
                return result
            found = result
        if found is None:
            return Missing(_short(name), _no_module(name))
        for part in parts[len(found.name.split(".")) :]:
            result = _attribute(name, found, part)
            if isinstance(result, Missing):
                return result
            found = result
        return found

    def _find_path(self, name: str, seen: set[str]) -> Iterator[Found | Missing]:
        try:
            path = Path(name).resolve()
            is_folder, is_regular = path.is_dir(), path.is_file()
        except (OSError, RuntimeError, ValueError) as error:
            yield Missing(_short(name), f"cannot use {_quoted(name)}: {to_text(error)}")
            return
        if path == path.parent:
            reason = f"{_quoted(name)} is the root of all folders; name the one of the checks"
            yield Missing(_short(name), reason)
        elif is_folder:
            found_any = False
            for found in self._find_folder(name, path, seen):
                found_any = True
                yield found
            if not found_any:
                yield Missing(_short(name), f"the folder {_quoted(name)} holds no Python file")
        elif is_regular and path.suffix == ".py":
            yield self._import_file(path)
        elif is_regular:
            reason = f"{_quoted(name)} is no Python file: its name does not end in .py"
            yield Missing(_short(name), reason)
        else:
            yield Missing(_short(name), _no_file(name, path))

    def _find_folder(self, name: str, folder: Path, seen: set[str]) -> Iterator[Found | Missing]:
        if naming.has_init(folder):
            yield self._import_package(folder)
            return
        if naming.real(folder) in seen:
            return
        seen.add(naming.real(folder))
        try:
            paths = list(naming.python_files(folder))
        except OSError as error:
            yield _unreadable(name, error)
            return
        for path in paths:
            if path.is_dir():
                yield from self._find_folder(
                    f"{name.rstrip(os.sep)}{os.sep}{path.name}", path, seen
                )
            else:
                yield self._import_file(path)

    def _import_package(self, folder: Path) -> Found | Missing:
        dotted = naming.dotted_name(folder)
        if dotted is None:
            return _name_is_taken(folder)
        found = self._import(dotted)
        if isinstance(found, Found) and not _is_from(found.value, folder / "__init__.py"):
            return _name_is_taken(folder)
        return found

    def _import_file(self, path: Path) -> Found | Missing:
        if path.name == "__init__.py":
            found = self._import_package(path.parent)
            return (
                found if isinstance(found, Missing) else Found(found.value, found.name, walk=False)
            )
        dotted = naming.dotted_name(path)
        if dotted is not None:
            found = self._import(dotted)
            if isinstance(found, Missing) or _is_from(found.value, path):
                return found
        if naming.is_in_package(path):
            return _name_is_taken(path)
        return self._import_by_path(path)

    def _import_by_path(self, path: Path) -> Found | Missing:
        """Import a file whose name is no module's, or is one that another file has taken."""
        name = self._name_for(path)
        if name in self._broken:
            return Missing(name, self._broken[name], is_broken=True)
        held = sys.modules.get(name)
        if held is not None:
            return Found(held, name)
        self._announce(name, str(path))
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            reason = f"cannot import {_quoted(path.name)}: it is no Python file"
            return Missing(name, reason, is_broken=True)
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException as error:  # noqa: BLE001 - a module may raise anything on import
            sys.modules.pop(name, None)
            return _broken(name, error)
        return Found(module, name)

    def _name_for(self, path: Path) -> str:
        """Return a name of its own for *path*: the same whatever becomes of other modules."""
        stem = path.stem.replace(".", "_")
        name, number = stem, 2
        while self._named.get(name, path) != path or naming.is_taken(name, path):
            name, number = f"{stem}_{number}", number + 1
        self._named[name] = path
        return name


def _broken(name: str, error: BaseException) -> Missing:
    if isinstance(error, unittest.SkipTest) or is_pytest(error, "Skipped"):
        reason = clean(to_text(error)) or "skipped"
        return Missing(name, reason, is_broken=True, is_skipped=True)
    return Missing(name, import_error(name, error), is_broken=True)


def import_error(name: str, error: BaseException) -> str:
    """Return why the module *name* could not be imported: module, cause, file and line."""
    if isinstance(error, SyntaxError) and error.filename:
        cause = f"{type(error).__name__}: {error.msg}"
        where = shown((error.filename, error.lineno or 0, "<module>"))
    else:
        cause = f"{type(error).__name__}: {to_text(error)}".removesuffix(": ")
        frames = frames_of(error.__traceback__)
        frame = innermost([each for each in frames if each[0] != __file__])
        of_user = frame is not None and not is_library(frame[0])
        where = shown(frame) if frame is not None and of_user else ""
    return clean(f"cannot import {_quoted(name)}: {cause}" + (f" ({where})" if where else ""))


def _fault_of(name: str) -> str:
    if not name.strip():
        return "an empty name: write a dotted name, a file or a folder"
    if "\0" in name:
        return f"{_quoted(name)} is no name: it holds a NUL character"
    if len(name) > _LONGEST_NAME:
        return f"{_quoted(name)} is no name: it has {len(name)} characters"
    return ""


def _short(name: str) -> str:
    return clean_line(name, _LONGEST_SHOWN) or repr(name)


def _quoted(name: str) -> str:
    return repr(_short(name)) if name.strip() else repr(name)


def _is_there(name: str) -> bool:
    try:
        return Path(name).exists()
    except (OSError, ValueError):
        return False


def _is_package(value: object) -> bool:
    try:
        return isinstance(value, ModuleType) and hasattr(value, "__path__")
    except Exception:  # noqa: BLE001 - a lazy module may raise anything
        return False


def _is_from(module: object, path: Path) -> bool:
    return naming.is_file(naming.file_of(module), path)


def _folders_of(package: object) -> list[Path]:
    return [Path(folder) for folder in naming.path_of(package)]


def _attribute(name: str, found: Found, part: str) -> Found | Missing:
    try:
        value = getattr(found.value, part)
    except AttributeError:
        return Missing(_short(name), _no_attribute(name, found, part))
    except BaseException as error:  # noqa: BLE001 - a lazy module may raise anything
        reason = f"cannot use {_quoted(name)}: {type(error).__name__}: {to_text(error)}"
        return Missing(_short(name), clean(reason), is_broken=True)
    return Found(value, f"{found.name}.{part}", owner=found.value)


def _unreadable(name: str, error: OSError) -> Missing:
    reason = f"cannot read the folder {_quoted(name)}: {error.strerror or to_text(error)}"
    return Missing(_short(name), reason, is_broken=True)


def _name_is_taken(path: Path) -> Missing:
    why = "another module has the name of its package; rename its folder"
    if path.is_dir() and "." in path.name:
        why = "no package has a dot in its name; rename the folder, or remove its __init__.py"
    reason = f"cannot import {_quoted(str(path))}: {why}"
    return Missing(_short(str(path)), reason, is_broken=True)


def _is_pythons_own(first: str) -> str:
    """Return why a name of the standard library is refused, and what to write for one's own."""
    reason = f"{first!r} is a module of Python's own, which holds no health checks"
    for own in (f"./{first}.py", f"./{first}"):
        if _is_there(own):
            return f"{reason}; for the one in this folder write {own}, or rename it"
    return reason


def _no_module(name: str) -> str:
    first = name.partition(".")[0]
    names = _top_level_names()
    text = f"no module named {_quoted(first)}"
    if first != name:
        text += f" for {_quoted(name)}"
    if first in names:
        return f"{text}; it lies in a folder that is not searched: name it by its path"
    hint = did_you_mean(first, names)
    return f"{text}; {hint}" if hint else text


def _top_level_names() -> set[str]:
    names = {"hospital"}
    for path in dict.fromkeys(["", *sys.path]):
        try:
            names.update(info.name for info in pkgutil.iter_modules([path or os.curdir]))
            if not path:
                names.update(each.name for each in Path().iterdir() if each.is_dir())
        except OSError:
            continue
    return names


def _no_attribute(name: str, found: Found, part: str) -> str:
    names = [*_names_in(found.value)]
    if _is_package(found.value):
        names += [info.name for info in pkgutil.iter_modules(map(str, _folders_of(found.value)))]
    hint = did_you_mean(part, (each for each in names if not each.startswith("__")))
    kind = "class" if isinstance(found.value, type) else "module"
    if _is_package(found.value):
        kind = "package"
    where = "" if name == f"{found.name}.{part}" else f"{_quoted(name)}: "
    text = f"{where}the {kind} {_quoted(found.name)} has no {_quoted(part)}"
    return f"{text}; {hint}" if hint else text


def _names_in(value: object) -> Iterable[str]:
    try:
        return dir(value)
    except Exception:  # noqa: BLE001 - a lazy module may raise anything
        return ()


def _no_file(name: str, path: Path) -> str:
    try:
        siblings = [each.name for each in path.parent.iterdir()]
    except OSError:
        siblings = []
    hint = did_you_mean(path.name, siblings)
    return f"no file or folder {_quoted(name)}" + (f"; {hint}" if hint else "")
