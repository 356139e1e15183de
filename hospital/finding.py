"""Import what a name, a file or a folder stands for, and say exactly what went wrong."""

import importlib
import importlib.util
import os
import pkgutil
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from hospital.errors import did_you_mean
from hospital.redaction import clean, to_text
from hospital.running.places import frames_of, innermost, shown


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
    """What could not be had, and why."""

    name: str
    reason: str


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

    def find(self, name: str) -> Iterator[Found | Missing]:
        """Yield what *name* stands for: one object, or the modules of a folder."""
        if os.sep in name or name.endswith(".py") or name in {".", ".."}:
            yield from self._find_path(name)
        elif not all(part.isidentifier() for part in name.split(".")):
            if Path(name).exists():
                yield from self._find_path(name)
            else:
                yield Missing(name, f"{name!r} is neither a dotted name nor a file or folder")
        else:
            yield self._find_dotted(name)

    def submodules(self, package: ModuleType) -> Iterator[Found | Missing]:
        """Yield the modules straight beneath *package*, imported, but for ``__main__``."""
        seen = set()
        for folder in list(getattr(package, "__path__", ())):
            for name in _modules_in(Path(folder)):
                if name not in seen:
                    seen.add(name)
                    yield self._import(f"{package.__name__}.{name}")

    def _import(self, name: str) -> Found | Missing:
        if name in self._broken:
            return Missing(name, self._broken[name])
        if name not in sys.modules:
            self._announce(name, _file_of(name))
        try:
            return Found(importlib.import_module(name), name)
        except BaseException as error:  # noqa: BLE001 - a module may raise anything on import
            return Missing(name, import_error(name, error))

    def _find_dotted(self, name: str) -> Found | Missing:
        parts = name.split(".")
        found: Found | None = None
        for count in range(1, len(parts) + 1):
            dotted = ".".join(parts[:count])
            if found is not None and not hasattr(found.value, "__path__"):
                break
            if not _exists(dotted):
                break
            result = self._import(dotted)
            if isinstance(result, Missing):
                return Missing(result.name, result.reason)
            found = result
        if found is None:
            return Missing(name, _no_module(name))
        for part in parts[len(found.name.split(".")) :]:
            try:
                value = getattr(found.value, part)
            except AttributeError:
                return Missing(name, _no_attribute(name, found, part))
            found = Found(value, f"{found.name}.{part}", owner=found.value)
        return found

    def _find_path(self, name: str) -> Iterator[Found | Missing]:
        path = Path(name)
        try:
            path = path.resolve()
            is_folder, is_file = path.is_dir(), path.is_file()
        except (OSError, RuntimeError, ValueError) as error:
            yield Missing(name, f"cannot use {name!r}: {to_text(error)}")
            return
        if is_folder:
            yield from self._find_folder(name, path)
        elif is_file and path.suffix == ".py":
            yield self._import_file(path)
        elif is_file:
            yield Missing(name, f"{name!r} is no Python file: its name does not end in .py")
        else:
            yield Missing(name, _no_file(name, path))

    def _find_folder(self, name: str, folder: Path) -> Iterator[Found | Missing]:
        if (folder / "__init__.py").exists():
            dotted = _dotted_name(folder)
            if dotted:
                yield self._import(dotted)
                return
        empty = True
        for module in _modules_in(folder):
            empty = False
            path = folder / module
            if path.is_dir():
                yield from self._find_folder(f"{name.rstrip(os.sep)}{os.sep}{module}", path)
            else:
                yield self._import_file(path.with_suffix(".py"))
        if empty:
            yield Missing(name, f"the folder {name!r} holds no Python file")

    def _import_file(self, path: Path) -> Found | Missing:
        dotted = _dotted_name(path)
        if dotted is not None:
            held = sys.modules.get(dotted)
            if held is None or _is_file(getattr(held, "__file__", None), path):
                return self._import(dotted)
        return self._import_by_path(path)

    def _import_by_path(self, path: Path) -> Found | Missing:
        """Import a file whose name is no module's, or is one that another file has taken."""
        name = path.stem
        number = 2
        while name in sys.modules:
            if _is_file(getattr(sys.modules[name], "__file__", None), path):
                return Found(sys.modules[name], name)
            name, number = f"{path.stem}_{number}", number + 1
        if name in self._broken:
            return Missing(name, self._broken[name])
        self._announce(name, str(path))
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            return Missing(name, f"cannot import {path.name!r}: it is no Python file")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException as error:  # noqa: BLE001 - a module may raise anything on import
            sys.modules.pop(name, None)
            return Missing(name, import_error(name, error))
        return Found(module, name)


def import_error(name: str, error: BaseException) -> str:
    """Return why the module *name* could not be imported: module, cause, file and line."""
    if isinstance(error, SyntaxError) and error.filename:
        cause = f"{type(error).__name__}: {error.msg}"
        where = shown((error.filename, error.lineno or 0, "<module>"))
    else:
        cause = f"{type(error).__name__}: {to_text(error)}".removesuffix(": ")
        frames = frames_of(error.__traceback__)
        frame = innermost([each for each in frames if each[0] != __file__])
        where = shown(frame) if frame and frame[0] != __file__ else ""
    return clean(f"cannot import {name!r}: {cause}" + (f" ({where})" if where else ""))


def _exists(dotted: str) -> bool:
    """Return whether a module of that name is there; its parents are imported already."""
    if dotted in sys.modules:
        return True
    try:
        return importlib.util.find_spec(dotted) is not None
    except (ImportError, AttributeError, ValueError):
        return False


def _file_of(dotted: str) -> str:
    try:
        spec = importlib.util.find_spec(dotted)
    except (ImportError, AttributeError, ValueError):
        return ""
    return (spec.origin or "") if spec else ""


def _modules_in(folder: Path) -> list[str]:
    """Return the names of the modules and packages in *folder*, sorted.

    A folder counts when Python files are in it or beneath it, with or without ``__init__.py``.
    """
    names = set()
    try:
        entries = sorted(folder.iterdir())
    except OSError:
        return []
    for path in entries:
        if path.is_dir():
            if _may_hold_modules(path):
                names.add(path.name)
        elif path.suffix == ".py" and path.stem not in {"__init__", "__main__"}:
            names.add(path.stem)
        elif path.suffix in {".so", ".pyd", ".pyc"} and path.name.split(".")[0].isidentifier():
            names.add(path.name.split(".")[0])
    return sorted(names - {"__init__", "__main__"})


def _may_hold_modules(folder: Path) -> bool:
    if folder.name.startswith(".") or folder.name in {"__pycache__", "node_modules"}:
        return False
    if not folder.name.isidentifier() or (folder / "pyvenv.cfg").exists():
        return False
    try:
        if any(folder.glob("*.py")):
            return True
        return any(_may_hold_modules(path) for path in folder.iterdir() if path.is_dir())
    except OSError:
        return False


def _dotted_name(path: Path) -> str | None:
    """Return the dotted name to import *path* by, and see to it that it can be imported.

    Packages are followed upwards; a file outside of packages is named from the current folder
    where it lies in it, else by its own name alone.
    """
    root = path.parent
    while (root / "__init__.py").exists():
        root = root.parent
    here = Path.cwd()
    if path.is_relative_to(here) and path != here:
        parts = path.relative_to(here).with_suffix("").parts
        if root.is_relative_to(here) and all(part.isidentifier() for part in parts):
            _let_import_from(here)
            _let_import_from(root)
            return ".".join(parts)
    parts = path.relative_to(root).with_suffix("").parts
    if not all(part.isidentifier() for part in parts):
        _let_import_from(root)
        return None
    _let_import_from(root)
    spec = importlib.util.find_spec(parts[0]) if parts[0] not in sys.modules else None
    if spec is not None and len(parts) == 1 and not _is_file(spec.origin, path):
        return None
    return ".".join(parts)


def _let_import_from(folder: Path) -> None:
    text = str(folder)
    if text not in sys.path and not (folder == Path.cwd() and "" in sys.path):
        sys.path.append(text)
        importlib.invalidate_caches()


def _is_file(filename: str | None, path: Path) -> bool:
    try:
        return filename is not None and Path(filename).samefile(path)
    except OSError:
        return False


def _no_module(name: str) -> str:
    first = name.partition(".")[0]
    here = [module.name for module in pkgutil.iter_modules([str(Path.cwd()), *_first_paths()])]
    hint = did_you_mean(first, [*here, "hospital"])
    return f"no module named {first!r}" + (f"; {hint}" if hint else f" for {name!r}")


def _first_paths() -> list[str]:
    return [path for path in sys.path if path and "site-packages" not in path][:2]


def _no_attribute(name: str, found: Found, part: str) -> str:
    names = [each for each in dir(found.value) if not each.startswith("_")]
    names += (
        [info.name for info in pkgutil.iter_modules(getattr(found.value, "__path__", None))]
        if (hasattr(found.value, "__path__"))
        else []
    )
    hint = did_you_mean(part, names)
    kind = "class" if isinstance(found.value, type) else "module"
    if kind == "module" and hasattr(found.value, "__path__"):
        kind = "package"
    text = f"{name!r}: the {kind} {found.name!r} has no {part!r}"
    return f"{text}; {hint}" if hint else text


def _no_file(name: str, path: Path) -> str:
    siblings = [each.name for each in path.parent.iterdir()] if path.parent.is_dir() else []
    hint = did_you_mean(path.name, siblings)
    return f"no file or folder {name!r}" + (f"; {hint}" if hint else "")
