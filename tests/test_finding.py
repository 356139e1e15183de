"""Names, files and folders to modules, and the exact reason where that is impossible."""

import asyncio
import logging
import os
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hospital.finding import Found, Importer, Missing
from hospital.loading import load
from tests.written import write

CHECK = "import hospital\n@hospital.healthcheck\ndef up(): ...\n"
HARDEST = "x" * 100_000


@pytest.fixture
def here(pytester: pytest.Pytester) -> pytest.Pytester:
    """Be in an empty folder that modules can be imported from."""
    pytester.syspathinsert()
    return pytester


def ids(*names: str) -> list[str]:
    """Return the ids under *names*, and check that nothing else was found."""
    loaded = load(names)
    assert loaded.problems == []
    return list(loaded.entries)


def problems(*names: str) -> list[tuple[str, str]]:
    """Return the problems with *names*, and check that nothing was found."""
    loaded = load(names)
    assert loaded.entries == {}
    return loaded.problems


def test_a_file_is_imported_by_the_name_it_has_from_here(here: pytest.Pytester) -> None:
    """With and without packages around it, absolute and relative."""
    write(
        here,
        {
            "top.py": CHECK,
            "checks/db.py": CHECK,
            "pkg/__init__.py": "",
            "pkg/sub/__init__.py": "",
            "pkg/sub/web.py": "from ..sub import __name__ as name\n" + CHECK,
        },
    )

    assert ["top.up"] == ids("./top.py") == ids(str(here.path / "top.py")) == ids("top.py")
    assert ["checks.db.up"] == ids("./checks/db.py") == ids("checks")
    assert ["pkg.sub.web.up"] == ids("pkg/sub/web.py") == ids("./pkg")


def test_a_file_far_away_is_imported_by_its_own_name(
    here: pytest.Pytester, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """It can import what lies beside it, and a package keeps its name."""
    far = tmp_path_factory.mktemp("far")
    (far / "alone.py").write_text("import beside\n" + CHECK)
    (far / "beside.py").write_text("")
    (far / "faraway").mkdir()
    (far / "faraway" / "__init__.py").write_text("")
    (far / "faraway" / "inner.py").write_text("from faraway import __path__\n" + CHECK)

    assert ["alone.up"] == ids(str(far / "alone.py"))
    assert ["faraway.inner.up"] == ids(str(far / "faraway"))


def test_a_source_folder_on_the_path_is_no_package(here: pytest.Pytester) -> None:
    """What can be imported by a shorter name already is not imported by a longer one."""
    write(here, {"src/shop/__init__.py": "", "src/shop/db.py": "import shop\n" + CHECK})
    here.syspathinsert(here.path / "src")

    assert ["shop.db.up"] == ids("src/shop/db.py") == ids("./src")


def test_names_that_are_no_identifiers_are_usable(here: pytest.Pytester) -> None:
    """A dash, a space, a digit, a dot, another alphabet."""
    names = ["check-db.py", "check db.py", "2nd.py", "check.v2.py", "überprüfung.py"]
    write(here, dict.fromkeys(names, CHECK))

    expected = ["check-db.up", "check db.up", "2nd.up", "check_v2.up", "überprüfung.up"]
    assert expected == ids(*(f"./{name}" for name in names))
    assert ["check-db.up"] == ids("check-db")
    assert sorted(expected) == sorted(ids("."))


def test_files_of_one_name_do_not_hide_each_other(
    here: pytest.Pytester, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The second gets a number, the same in each run."""
    folders = [tmp_path_factory.mktemp(name) for name in "ab"]
    files = [folder / "twin.py" for folder in folders]
    for file in files:
        file.write_text(CHECK)

    assert ["twin.up", "twin_2.up"] == ids(*map(str, files)) == ids(*map(str, files))


def test_a_broken_twin_does_not_give_its_name_away(
    here: pytest.Pytester, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """What a ward could not import is not confused with another file of that name."""
    folders = [tmp_path_factory.mktemp(name) for name in "ab"]
    for folder in folders:
        (folder / "crashing_twin.py").write_text(CHECK)
    names = [str(folder / "crashing_twin.py") for folder in folders]

    loaded = load(names, broken={"crashing_twin": "it ended its process"})

    assert [("crashing_twin", "it ended its process")] == loaded.problems
    assert ["crashing_twin_2.up"] == list(loaded.entries)


@pytest.mark.parametrize("name", ["json", "logging", "tabnanny"])
@pytest.mark.parametrize("is_first", [True, False])
def test_a_file_does_not_take_the_name_of_a_module_of_python(
    pytester: pytest.Pytester, name: str, *, is_first: bool
) -> None:
    """Whether that has been imported yet (json, logging) or not (tabnanny)."""
    write(pytester, {f"{name}.py": CHECK})
    if is_first:
        pytester.syspathinsert()

    assert [f"{name}_2.up"] == ids(f"./{name}.py")
    sys.path[:] = [path for path in sys.path if path != str(pytester.path)]
    module = __import__(name)
    assert not hasattr(module, "up")
    assert __import__("asyncio") is asyncio
    assert __import__("logging") is logging


def test_a_folder_of_a_taken_name_is_read_all_the_same(here: pytest.Pytester) -> None:
    """A file in a folder called ``json`` is found, though ``json`` is another's package."""
    write(here, {"json/db.py": CHECK})

    assert ["db.up"] == ids("./json/db.py") == ids("./json")


def test_a_package_of_a_taken_name_is_a_problem(here: pytest.Pytester) -> None:
    """Its modules need that name to import each other, so it cannot get another."""
    write(here, {"json/__init__.py": CHECK, "json/db.py": CHECK})

    for name in ("./json", "./json/db.py", "./json/__init__.py"):
        ((_name, reason),) = problems(name)
        assert "another module has the name of its package; rename its folder" in reason


def test_folders_are_walked_to_the_ground(here: pytest.Pytester) -> None:
    """Nested ones, with and without ``__init__``; hidden ones and environments are left out."""
    write(
        here,
        {
            "c/a.py": CHECK,
            "c/a/b.py": CHECK,
            "c/deep/er/est.py": CHECK,
            "c/pkg/__init__.py": CHECK,
            "c/pkg/plain/mod.py": CHECK,
            "c/my-checks/db.py": CHECK,
            "c/v1.2/old.py": CHECK,
            "c/data/readme.txt": "",
            "c/.hidden/x.py": CHECK,
            "c/.#a.py": CHECK,
            "c/venv/pyvenv.cfg": "",
            "c/venv/lib/x.py": CHECK,
            "c/node_modules/x.py": CHECK,
            "c/__pycache__/x.py": CHECK,
            "c/__main__.py": "raise SystemExit",
        },
    )

    expected = ["c.a.up", "c.deep.er.est.up", "c.my-checks.db.up", "c.pkg.plain.mod.up", "c.pkg.up"]
    found = ids("./c")
    assert sorted([*expected, "b.up", "old.up"]) == sorted(found)


def test_links_in_a_circle_are_walked_once(here: pytest.Pytester) -> None:
    """In plain folders and in packages, to oneself and to each other."""
    write(
        here, {"plain/a.py": CHECK, "other/o.py": CHECK, "pkg/__init__.py": "", "pkg/b.py": CHECK}
    )
    for link, target in {
        "plain/again": "../plain",
        "plain/other": "../other",
        "other/plain": "../plain",
        "pkg/again": "../pkg",
        "plain/nowhere": "nothing",
        "plain/itself": "itself",
    }.items():
        (here.path / link).symlink_to(target)

    assert ["plain.a.up", "plain.other.o.up"] == ids("./plain")
    assert ["pkg.b.up"] == ids("pkg")


def test_a_module_in_an_archive_is_found(here: pytest.Pytester) -> None:
    """A package in a zip file is walked as one in a folder."""
    import zipfile

    with zipfile.ZipFile(here.path / "checks.zip", "w") as archive:
        archive.writestr("zipped/__init__.py", "")
        archive.writestr("zipped/db.py", CHECK)
    here.syspathinsert(here.path / "checks.zip")

    assert ["zipped.db.up"] == ids("zipped")


MISTYPED = {
    "shpo.db.Tables": "no module named 'shpo' for 'shpo.db.Tables'; did you mean 'shop'?",
    "zzzzzz": "no module named 'zzzzzz'",
    "shop.dbb": "the package 'shop' has no 'dbb'; did you mean 'db'?",
    "shop.db.Table": "the module 'shop.db' has no 'Table'; did you mean 'Tables'?",
    "shop.db.Tables.test_fll": (
        "the class 'shop.db.Tables' has no 'test_fll'; did you mean 'test_full'?"
    ),
    "shop.db.nothing.below": "'shop.db.nothing.below': the module 'shop.db' has no 'nothing'",
    "shop.": "'shop.' is no dotted name: a part is empty",
    "shop..db": "'shop..db' is no dotted name: a part is empty",
    "./shp/db.py": "no file or folder './shp/db.py'",
    "shop/bd.py": "no file or folder 'shop/bd.py'; did you mean 'db.py'?",
    "./sohp": "no file or folder './sohp'; did you mean 'shop'?",
    "./empty": "the folder './empty' holds no Python file",
    "shop/notes.txt": "'shop/notes.txt' is no Python file: its name does not end in .py",
    "": "an empty name: write a dotted name, a file or a folder",
    "  ": "an empty name: write a dotted name, a file or a folder",
    "a\0b": "'ab' is no name: it holds a NUL character",
    "sh\nop": "no module named 'sh op'; did you mean 'shop'?",
    "../nowhere.py": "no file or folder '../nowhere.py'",
    "/": "'/' is the root of all folders; name the one of the checks",
    "\udce9\u202e": "no module named '\ufffd'",
}


@pytest.mark.parametrize("name", MISTYPED)
def test_a_mistyped_name_is_told_with_the_nearest(here: pytest.Pytester, name: str) -> None:
    """At each level of a dotted name, and for files and folders."""
    source = CHECK + "class Tables(hospital.HealthCheck):\n    def test_full(self): ..."
    write(here, {"shop/__init__.py": "", "shop/db.py": source, "shop/notes.txt": ""})
    (here.path / "empty" / "emptier").mkdir(parents=True)

    ((_name, reason),) = problems(name)

    assert MISTYPED[name] == reason


@given(st.text("\\ \0\n~*é0-.\udce9\u202e[]?%$", max_size=12))
def test_no_name_raises_anything(name: str) -> None:
    """Whatever stands on a command line is told, never raised."""
    if name.strip(".") or name == "...":
        ((_name, reason),) = load([name]).problems
        assert reason


@pytest.mark.parametrize("name", [HARDEST, "a." * 5000 + "b", "/" + HARDEST, f"./{HARDEST}.py"])
def test_a_huge_name_is_told_in_short(here: pytest.Pytester, name: str) -> None:
    """It is neither imported nor printed in full."""
    ((problem, reason),) = problems(name)

    assert len(problem) < 300
    assert f"is no name: it has {len(name)} characters" in reason
    assert len(reason) < 400


def test_an_import_error_tells_module_cause_and_line(here: pytest.Pytester) -> None:
    """Three levels deep, the line is where the fault is."""
    write(
        here,
        {
            "p/__init__.py": "",
            "p/a.py": "import p.b\n" + CHECK,
            "p/b.py": "\nimport p.c\n",
            "p/c.py": "\n\nimport nothing_of_that_name\n",
        },
    )
    cause = "ModuleNotFoundError: No module named 'nothing_of_that_name' (p/c.py:3)"

    expected = [(f"p.{m}", f"cannot import 'p.{m}': {cause}") for m in "abc"]
    assert expected == problems("p")
    assert expected[:1] == problems("p.a.up") == problems("./p/a.py")


ON_IMPORT = {
    "def broken(:\n": "SyntaxError: invalid syntax (p/bad.py:1)",
    "x = 'unfinished": "SyntaxError: unterminated string literal (detected at line 1) (p/bad.py:1)",
    "if True:\npass": (
        "IndentationError: expected an indented block after 'if' statement on line 1 (p/bad.py:2)"
    ),
    "import sys\nsys.exit(3)": "SystemExit: 3 (p/bad.py:2)",
    "raise KeyboardInterrupt": "KeyboardInterrupt (p/bad.py:1)",
    "raise BaseException('base')": "BaseException: base (p/bad.py:1)",
    "raise GeneratorExit": "GeneratorExit (p/bad.py:1)",
    "def f(): f()\nf()": "RecursionError: maximum recursion depth exceeded (p/bad.py:1 in f)",
    "class E(Exception):\n def __str__(self): raise ValueError\nraise E": (
        "E: <E whose text cannot be had: ValueError> (p/bad.py:3)"
    ),
    "raise OSError('postgresql://u:s3cret@h/db')": "OSError: postgresql://u:***@h/db (p/bad.py:1)",
    "from hospital import healthchek": (
        "ImportError: cannot import name 'healthchek' from 'hospital' "
    ),
}


@pytest.mark.parametrize("source", ON_IMPORT)
def test_whatever_a_module_raises_on_import_the_others_load(
    here: pytest.Pytester, source: str
) -> None:
    """``BaseException`` included; the reason has the line of the user's own code."""
    write(here, {"p/__init__.py": "", "p/bad.py": source, "p/good.py": CHECK})

    loaded = load(["p"])

    assert ["p.good.up"] == list(loaded.entries)
    ((name, reason),) = loaded.problems
    assert "p.bad" == name
    assert reason.startswith(f"cannot import 'p.bad': {ON_IMPORT[source]}")


def test_null_bytes_and_wrong_encodings_are_told(here: pytest.Pytester) -> None:
    """What is no Python source at all is an error like another."""
    (here.path / "nul.py").write_bytes(b"x = 1\0")
    (here.path / "latin.py").write_bytes(b"x = 'caf\xe9'\n")

    (_, nul), (_, latin) = problems("nul", "latin")

    kind = "SyntaxError" if sys.version_info >= (3, 11, 4) else "ValueError"
    assert nul.startswith(f"cannot import 'nul': {kind}: source code")
    assert latin.startswith("cannot import 'latin': SyntaxError: ")


def test_lazy_modules_that_raise_are_told(here: pytest.Pytester) -> None:
    """A module whose ``__getattr__`` raises something of its own does not get past us."""
    write(here, {"lazy.py": "def __getattr__(name): raise RuntimeError(f'no {name}')"})

    assert [("lazy.up", "cannot use 'lazy.up': RuntimeError: no up")] == problems("lazy.up")


def test_what_stands_in_the_place_of_a_module_is_told(here: pytest.Pytester) -> None:
    """Some modules put an object of theirs into ``sys.modules``."""
    write(here, {"fake.py": "import sys\nsys.modules[__name__] = 7"})

    assert [("fake", "'fake' is not marked @healthcheck")] == problems("fake")


def test_modules_known_to_be_broken_are_not_imported(here: pytest.Pytester) -> None:
    """Nor is what lies in such a package."""
    write(here, {"p/__init__.py": "raise SystemExit", "p/a.py": CHECK})

    loaded = load(["p.a", "./p/a.py"], broken={"p": "it ended its process"})

    assert [("p", "it ended its process")] == loaded.problems


def test_each_module_is_announced_before_it_is_imported(here: pytest.Pytester) -> None:
    """With its file, parents first, so that a crash on import has a name."""
    write(here, {"p/__init__.py": "", "p/a.py": CHECK, "q-r.py": CHECK})
    announced: list[tuple[str, str]] = []

    load(["p.a.up", "./q-r.py"], announce=lambda name, file: announced.append((name, file)))

    expected = [("p", "p/__init__.py"), ("p.a", "p/a.py"), ("q-r", "q-r.py")]
    assert [(name, str(here.path / file)) for name, file in expected] == announced


def test_nothing_is_put_before_what_is_on_the_path(here: pytest.Pytester) -> None:
    """Folders are appended, so that a check called ``random.py`` hides nothing."""
    write(here, {"checks/random.py": CHECK})
    before = list(sys.path)

    load(["./checks/random.py"])

    assert before == sys.path[: len(before)]


def test_finding_in_a_module_needs_no_import(here: pytest.Pytester) -> None:
    """Names within a module are looked up in that very module."""
    importer = Importer()

    found = importer.find_in(pytest, "Pytester.path")
    missing = importer.find_in(pytest, "Pytster.path")

    assert isinstance(found, Found)
    assert (pytest.Pytester.path, pytest.Pytester) == (found.value, found.owner)
    assert isinstance(missing, Missing)
    assert "did you mean 'Pytester'?" in missing.reason


def test_a_deleted_current_folder_is_survived() -> None:
    """Names can still be imported, and files still be named in full."""
    source = """
        import os, sys, tempfile
        gone, kept = tempfile.mkdtemp(), tempfile.mkdtemp()
        source = "import hospital\\n@hospital.healthcheck\\ndef up(): ..."
        open(kept + "/checks.py", "w").write(source)
        sys.path.insert(0, "")
        os.chdir(gone); os.rmdir(gone)
        from hospital.loading import load
        ready_made = "hospital.healthchecks.predictable"
        for name in (ready_made, kept + "/checks.py", ".", "./x.py", "nothing_here"):
            loaded = load([name])
            print(*loaded.entries, *(len(reason) > 10 for _, reason in loaded.problems))
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(source)],
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
        cwd=Path(__file__).parents[1],
    )

    expected = "hospital.healthchecks.predictable.ForeverPassingHealthCheck.test_collected"
    assert "" == result.stderr
    assert [expected, "checks.up", "True", "True", "True"] == result.stdout.split()


@pytest.mark.skipif(os.name != "posix", reason="needs users; run it on Linux")
def test_a_folder_that_cannot_be_read_is_told() -> None:
    """At the top, within a plain folder, and within a package."""
    if os.geteuid() == 0 and not os.access(__file__, os.R_OK, effective_ids=True):
        pytest.skip("the checkout cannot be read")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for each in ("closed", "plain/closed", "pkg/closed"):
            (folder / each).mkdir(parents=True)
            (folder / each / "x.py").write_text(CHECK)
        (folder / "pkg" / "__init__.py").write_text("")
        for each in ("closed", "plain/closed", "pkg/closed"):
            (folder / each).chmod(0)
        folder.chmod(0o755)
        source = """
            import os, sys
            sys.path.insert(0, os.getcwd())
            from hospital.loading import load
            import hospital.healthchecks.predictable
            if os.geteuid() == 0:
                os.setuid(65534)
            for name in ("./closed", "./plain", "pkg"):
                print(load([name]).problems)
        """
        result = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(source)],
            capture_output=True,
            text=True,
            check=False,
            timeout=20,
            cwd=folder,
        )
        for each in ("closed", "plain/closed", "pkg/closed"):
            (folder / each).chmod(0o755)

    assert "" == result.stderr
    top, plain, package = result.stdout.splitlines()
    assert "cannot read the folder './closed': Permission denied" in top
    assert "cannot read the folder './plain/closed': Permission denied" in plain
    assert "pkg/closed': Permission denied" in package
