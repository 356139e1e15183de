"""Tell by which dotted name a file is imported, and what lies in a folder.

Rule: a file never takes the name of a module that is not its own, and no folder is put before
what is on ``sys.path`` already: a ``json.py`` among the checks hides nobody's ``json``.
"""

import importlib
import importlib.util
import os
import sys
from collections.abc import Iterator
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec
from pathlib import Path

_NOT_WALKED = frozenset({"__pycache__", "node_modules"})
_added: set[str] = set()
"""What this module has appended to ``sys.path``: it must not decide how the next file is named."""


def spec_of(dotted: str) -> ModuleSpec | None:
    """Return where the module *dotted* would come from; None where there is none.

    Its parents have to be imported already.
    """
    try:
        return importlib.util.find_spec(dotted)
    except Exception:  # noqa: BLE001 - a finder may be anybody's, and raise anything
        return None


def is_file(filename: object, path: Path) -> bool:
    """Return whether *filename* is the file or folder *path*."""
    try:
        return isinstance(filename, str) and Path(filename).samefile(path)
    except (OSError, ValueError):
        return False


def file_of(module: object) -> object:
    """Return the ``__file__`` of a module that may be lazy, and raise whatever it likes."""
    try:
        return getattr(module, "__file__", None)
    except Exception:  # noqa: BLE001 - somebody's lazy module
        return None


def path_of(module: object) -> list[str]:
    """Return the ``__path__`` of a package; nothing for what is none."""
    try:
        return [str(folder) for folder in getattr(module, "__path__", ())]
    except Exception:  # noqa: BLE001 - somebody's lazy module
        return []


def dotted_name(path: Path) -> str | None:
    """Return the dotted name by which the file or package folder *path* can be imported.

    That is the name within its outermost package, or its own, where the folder of that is on
    ``sys.path`` already; else the name as seen from the current folder, where it lies in that;
    else the first of these all the same. None where each is another's name, or none.
    """
    root = _root_of(path)
    bare = path if path.is_dir() else path.with_suffix("")
    for base in _bases_of(root):
        parts = bare.relative_to(base).parts
        if _is_importable(parts, base):
            _let_import_from(base)
            _let_import_from(root)
            if _leads_to(parts[0], path if len(parts) == 1 else base / parts[0]):
                return ".".join(parts)
    _let_import_from(root)
    return None


def has_init(folder: Path) -> bool:
    """Return whether *folder* is a package; not so if it cannot be read."""
    return os.path.isfile(folder / "__init__.py")  # noqa: PTH113 - pathlib raises where it cannot tell


def is_in_package(path: Path) -> bool:
    """Return whether the file or folder *path* is part of a package."""
    return _root_of(path) != path.parent or has_init(path)


def is_taken(name: str, path: Path) -> bool:
    """Return whether the top-level *name* stands for something that is not the file *path*."""
    if name in sys.modules:
        return not is_file(file_of(sys.modules[name]), path)
    if name in sys.stdlib_module_names:
        return True
    spec = spec_of(name)
    return spec is not None and not is_file(spec.origin, path)


def python_files(folder: Path) -> Iterator[Path]:
    """Yield the Python files in *folder*, and the folders that hold some, sorted by name.

    Hidden ones, virtual environments, ``__main__.py`` and ``__init__.py`` are left out.

    Raises:
        OSError: If the folder cannot be read.
    """
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir():
            if _may_hold_python(path, set()):
                yield path
        elif path.suffix == ".py" and path.stem not in {"__init__", "__main__"}:
            yield path


def extension_modules(folder: Path) -> Iterator[str]:
    """Yield the names of the modules in *folder* that are compiled."""
    for path in sorted(folder.iterdir()):
        suffix = next((s for s in (*EXTENSION_SUFFIXES, ".pyc") if path.name.endswith(s)), "")
        stem = path.name.removesuffix(suffix)
        if suffix and stem.isidentifier() and stem not in {"__init__", "__main__"}:
            yield stem


def real(path: Path | str) -> str:
    """Return where *path* really lies, whatever links lead to it."""
    return os.path.realpath(path)


def _may_hold_python(folder: Path, seen: set[str]) -> bool:
    """Return whether *folder* holds Python files, or cannot be looked into."""
    if folder.name.startswith(".") or folder.name in _NOT_WALKED or real(folder) in seen:
        return False
    seen.add(real(folder))
    try:
        if (folder / "pyvenv.cfg").exists():
            return False
        entries = list(folder.iterdir())
        if any(path.suffix == ".py" for path in entries):
            return True
        return any(path.is_dir() and _may_hold_python(path, seen) for path in entries)
    except OSError:
        return True


def _root_of(path: Path) -> Path:
    """Return the folder that holds the outermost package around *path*."""
    root = path.parent
    while has_init(root) and root.parent != root:
        root = root.parent
    return root


def _bases_of(root: Path) -> Iterator[Path]:
    """Yield the folders to name something in *root* from, the best first."""
    if str(root) in {real(entry) for entry in sys.path if entry and entry not in _added}:
        yield root
    try:
        here = Path.cwd()
    except OSError:
        here = root  # it has been deleted
    if here != here.parent and root.is_relative_to(here):
        yield here
    yield root


def _is_importable(parts: tuple[str, ...], base: Path) -> bool:
    """Return whether *parts*, seen from *base*, can be a dotted name that is nobody else's."""
    if parts[0] in sys.stdlib_module_names or any("." in part for part in parts):
        return False
    folders = [base.joinpath(*parts[:count]) for count in range(1, len(parts))]
    return all(has_init(each) or not os.path.isfile(f"{each}.py") for each in folders)  # noqa: PTH113 - likewise


def _leads_to(name: str, path: Path) -> bool:
    """Return whether importing the top-level *name* gives the file or folder *path*."""
    module = sys.modules.get(name)
    spec = spec_of(name) if module is None else None
    if path.is_dir():
        folders = spec.submodule_search_locations if spec else path_of(module)
        return any(is_file(folder, path) for folder in folders or ())
    return is_file(spec.origin if spec else file_of(module), path)


def _let_import_from(folder: Path) -> None:
    text = str(folder)
    if text in sys.path:
        return
    try:
        if "" in sys.path and folder == Path.cwd():
            return
    except OSError:
        pass  # the current folder has been deleted
    sys.path.append(text)
    _added.add(text)
    importlib.invalidate_caches()
