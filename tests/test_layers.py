"""The layers of the house: imports go down, or sideways without a circle.

A *room* is a module or a package of hospital that stands in ``LAYERS``; the longest name counts.
"""

import ast
import functools
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

import hospital

PACKAGE = Path(hospital.__file__).parent

LAYERS = (
    ("cli", "wsgi", "pytest_plugin", "django", "serving", "supervision", "deploy"),
    ("agent", "web", "fleet", "healthchecks"),
    # the parts of loading are rooms of their own
    (
        *("loading", "entries", "finding", "lost_marks", "naming", "requirements", "suites"),
        *("running", "formats", "assertions", "connection_pool"),
    ),
    # log_capture, log_lines and log_queue are the parts of logs; loading and running both read
    # exceptions with running.meaning and running.places, which therefore stand lower
    (
        *("marking", "settings", "redaction", "verdict", "arguments"),
        *("logs", "log_capture", "log_lines", "log_queue", "running.meaning", "running.places"),
    ),
    # durations and ranges are texts as people write them, and know of nothing but errors
    ("model", "durations", "ranges"),
    ("errors",),
)
HEIGHT = {room: height for height, layer in enumerate(reversed(LAYERS)) for room in layer}

# Where a library may be imported, so that nothing else depends on it or pays for it.
LIBRARIES = {
    "chaussette": {"serving"},
    "circus": {"supervision", "deploy"},  # deploy reads back what it rendered
    "django": {"django", "running.ward"},  # a ward under DJANGO_SETTINGS_MODULE calls its setup()
    "gevent": {"serving"},
    "packaging": {"assertions.packaging"},
    "psutil": {"healthchecks.host", "serving.ports"},  # ports names the process that holds a port
    "pytest": {"pytest_plugin"},
    "_pytest": {"pytest_plugin"},
    "structlog": {"logs"},
}


@dataclass(frozen=True)
class Import:
    """An import in the source: who imports what, where, and whether for types alone."""

    importer: str
    imported: str
    line: int
    for_types: bool

    def __str__(self) -> str:
        return f"hospital.{self.importer} line {self.line} imports {self.imported}"


@functools.cache
def modules() -> dict[str, Path]:
    """Return the modules of hospital by name, without ``hospital.`` in front."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if name:  # the package itself holds the public names, and imports when they are asked for
            found[name] = path
    return found


def imports_in(name: str, source: str) -> Iterator[Import]:
    """Yield the imports of the module *name*, late ones and those for types included."""
    yield from _walk(name, ast.parse(source), for_types=False)


def _walk(name: str, node: ast.AST, *, for_types: bool) -> Iterator[Import]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield Import(name, alias.name, node.lineno, for_types)
    elif isinstance(node, ast.ImportFrom):
        for alias in node.names:
            dotted = f"{node.module}.{alias.name}"
            is_module = dotted.removeprefix("hospital.") in modules()
            module = dotted if is_module else str(node.module)
            yield Import(name, module, node.lineno, for_types)
    elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        for statement in node.body:
            yield from _walk(name, statement, for_types=True)
        for statement in node.orelse:
            yield from _walk(name, statement, for_types=for_types)
    else:
        for child in ast.iter_child_nodes(node):
            yield from _walk(name, child, for_types=for_types)


def all_imports() -> list[Import]:
    """Return every import in the package."""
    return [each for name, path in modules().items() for each in imports_in(name, path.read_text())]


def room_of(name: str) -> str | None:
    """Return the room that the module *name* stands in."""
    parts = name.split(".")
    names = [".".join(parts[:count]) for count in range(len(parts), 0, -1)]
    return next((each for each in names if each in HEIGHT), None)


def inside(each: Import) -> str:
    """Return the name of an imported module of hospital, without ``hospital.`` in front."""
    return each.imported.removeprefix("hospital").removeprefix(".")


def within_hospital(imports: list[Import]) -> list[Import]:
    """Return those that import a module of hospital; the package itself holds its version."""
    return [each for each in imports if each.imported.startswith("hospital.")]


def upward(imports: list[Import]) -> list[str]:
    """Return what to move, for each import that goes up."""
    told = []
    for each in within_hospital(imports):
        above, below = room_of(each.importer), room_of(inside(each))
        if above is None or below is None:
            continue  # test_every_module_has_a_room tells
        if HEIGHT[below] > HEIGHT[above]:
            told.append(
                f"{each}: {below} stands above {above}; move what is needed into the layer of "
                f"{above} or lower, or let {below} hand it down as an argument"
            )
    return told


def circle(edges: Mapping[str, set[str]]) -> list[str]:
    """Return the nodes of a circle in *edges*, the first one again at the end; none if none."""
    done: set[str] = set()

    def visit(node: str, path: list[str]) -> list[str]:
        if node in path:
            return [*path[path.index(node) :], node]
        if node in done:
            return []
        for target in sorted(edges.get(node, ())):
            if found := visit(target, [*path, node]):
                return found
        done.add(node)
        return []

    return next((found for node in sorted(edges) if (found := visit(node, []))), [])


def edges_between(imports: list[Import], *, rooms: bool) -> dict[str, set[str]]:
    """Return who imports whom at run time, among rooms or among modules."""
    edges: dict[str, set[str]] = {}
    for each in within_hospital(imports):
        names = each.importer, inside(each)
        above, below = (room_of(names[0]) or "", room_of(names[1]) or "") if rooms else names
        if above != below and not each.for_types:
            edges.setdefault(above, set()).add(below)
    return edges


def misplaced(imports: list[Import]) -> list[str]:
    """Return what to move, for each library that is imported where it may not be."""
    told = []
    for each in imports:
        library = each.imported.partition(".")[0]
        if library in sys.stdlib_module_names or library == "hospital":
            continue
        places = LIBRARIES.get(library, set())
        if not any(f"{each.importer}.".startswith(f"{place}.") for place in places):
            allowed = ", ".join(sorted(places)) or "nowhere: name its place in LIBRARIES"
            told.append(f"{each}: {library} may be imported in {allowed}")
    return told


def test_every_module_has_a_room() -> None:
    """A new module finds its place in ``LAYERS`` first."""
    homeless = [name for name in modules() if room_of(name) is None]

    assert [] == homeless


def test_imports_never_go_up() -> None:
    """Late imports and those for types alone count too."""
    assert [] == upward(all_imports())


def test_rooms_import_each_other_in_one_direction() -> None:
    """Of two rooms, one is there without the other."""
    assert [] == circle(edges_between(all_imports(), rooms=True))


def test_modules_import_each_other_in_one_direction() -> None:
    """The same within a room, so that each module can be read alone."""
    assert [] == circle(edges_between(all_imports(), rooms=False))


def test_libraries_are_imported_where_they_belong() -> None:
    """Each has its places; what is none of the standard library has one at all."""
    assert [] == misplaced(all_imports())


def test_imports_are_absolute() -> None:
    """``from . import`` hides which layer it reaches for."""
    relative = [
        f"hospital.{name} line {node.lineno}"
        for name, path in modules().items()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.level
    ]

    assert [] == relative


@pytest.mark.parametrize(
    ("importer", "source", "told"),
    [
        ("model", "from hospital.web.app import WebApp", "web stands above model"),
        ("verdict", "def f():\n    from hospital import wsgi", "wsgi stands above verdict"),
        ("errors", "import hospital.model", "model stands above errors"),
    ],
)
def test_an_import_that_goes_up_is_told(importer: str, source: str, told: str) -> None:
    """The message names both rooms and what to do."""
    (message,) = upward(list(imports_in(importer, source)))

    assert told in message
    assert "move what is needed" in message


def test_a_circle_is_told() -> None:
    """It is named in order, wherever it begins."""
    assert ["b", "c", "b"] == circle({"a": {"b"}, "b": {"c"}, "c": {"b"}})
    assert [] == circle({"a": {"b", "c"}, "b": {"c"}})


def test_a_library_in_the_wrong_place_is_told() -> None:
    """What is for serving is for nothing else; what is in no list is for nobody yet."""
    wrong = list(imports_in("web.app", "import gevent.event\nimport requests\nimport json"))

    assert ["gevent may be imported in serving", "requests may be imported in nowhere"] == [
        each.partition(": ")[2].partition(":")[0] for each in misplaced(wrong)
    ]


@pytest.mark.parametrize("arguments", ["", " --in-process"])
def test_the_command_line_starts_without_what_is_heavy(tmp_path: Path, arguments: str) -> None:
    """Every start of ``hospital-cli`` would pay for it."""
    program = (
        (
            "import sys; from hospital.cli import main; code = main(); "
            f"print(sorted({sorted(LIBRARIES)} & sys.modules.keys())); sys.exit(code)"
        )
        .replace("sorted([", "sorted(set([")
        .replace("] &", "]) &")
    )
    names = ["hospital.healthchecks.predictable", *arguments.split()]

    result = subprocess.run(
        [sys.executable, "-c", program, *names],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )

    assert "[]" == result.stdout.splitlines()[-1]
