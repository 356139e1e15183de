"""States in which nobody looks: none is green, each is told in one clear line.

Over the command line and over HTTP alike; a traceback of ours stands nowhere.
"""

import json
import os
import subprocess
import sys
import textwrap
import time
from dataclasses import dataclass, field
from pathlib import Path
from wsgiref.util import setup_testing_defaults

import pytest

from hospital.wsgi import HealthCheckApp
from tests.written import write

DEADLINE_S = 30.0
GOOD = "import hospital\n@hospital.healthcheck(tags='db')\ndef up(): ...\n"


@dataclass(frozen=True)
class Case:
    """A state, and what is told of it.

    Attributes:
        names: What is named.
        line: What the one line says, or a part of it.
        files: Files beside ``good.py``, which holds one check that passes.
        tags: Selected tags.
        exclude: What is left out.
        others: How many checks pass nevertheless.
        timeout_s: Seconds that a check may take.
        text_line: What the text says of it, where that is something else.
    """

    names: tuple[str, ...]
    line: str
    files: dict[str, str] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    others: int = 0
    timeout_s: float = 5.0
    text_line: str = ""


def check(body: str, options: str = "") -> str:
    """Return a module with one check."""
    return f"import hospital, os, time\n@hospital.healthcheck({options})\ndef bad():\n    {body}\n"


CASES = {
    "typo in a module": Case(("goood",), "no module named 'goood'; did you mean 'good'?"),
    "typo in a function": Case(("good.upp",), "the module 'good' has no 'upp'; did you mean 'up'?"),
    "typo in a file": Case(("./god.py",), "no file or folder './god.py'; did you mean 'good.py'?"),
    "typo in one name of two": Case(("good", "nowhere"), "no module named 'nowhere'", others=1),
    "typo in a tag": Case(("good",), "no check has the tag 'bd'; known are db", tags=("bd",)),
    "typo in one tag of two": Case(
        ("good",), "no check has the tag 'dbb'; did you mean 'db'?", tags=("db", "dbb"), others=1
    ),
    "typo in an exclusion": Case(
        ("good",),
        "nothing to exclude is called 'good.upp'; did you mean 'good.up'?",
        exclude=("good.upp",),
        others=1,
    ),
    "everything excluded": Case(
        ("good",), "none of 1 health checks is left after selection", exclude=("db",)
    ),
    "empty folder": Case(
        ("./empty",), "the folder './empty' holds no Python file", {"empty/readme.txt": ""}
    ),
    "nothing marked": Case(
        ("plain",),
        "no health check under 'plain': mark tests there with @healthcheck",
        {"plain.py": "def test_it(): ..."},
    ),
    "syntax error in one module of a package": Case(
        ("shop",),
        "cannot import 'shop.bad': SyntaxError: invalid syntax (shop/bad.py:2)",
        {"shop/__init__.py": "", "shop/bad.py": "\ndef bad(:\n", "shop/good.py": GOOD},
        others=1,
    ),
    "import error three levels deep": Case(
        ("a",),
        "cannot import 'a': ModuleNotFoundError: No module named 'missing_module' (c.py:3)",
        {"a.py": "import b\n" + GOOD, "b.py": "import c", "c.py": "\n\nimport missing_module"},
    ),
    "exit 0 in a check": Case(
        ("bad",), "the check ended its process (exit 0)", {"bad.py": check("os._exit(0)")}
    ),
    "exit 0 on import": Case(
        ("bad", "good"),
        "cannot import 'bad': the module ended its process (exit 0)",
        {"bad.py": check("pass") + "os._exit(0)"},
        others=1,
    ),
    "sys.exit on import": Case(
        ("bad", "good"),
        "cannot import 'bad': SystemExit: 0 (bad.py:5)",
        {"bad.py": check("pass") + "raise SystemExit(0)"},
        others=1,
    ),
    "requires in a circle": Case(
        ("bad",),
        "requires itself in a circle: bad.a -> bad.b -> bad.a",
        {
            "bad.py": """
            import hospital
            @hospital.healthcheck(requires="b")
            def a(): ...
            @hospital.healthcheck(requires="a")
            def b(): ...
            """
        },
    ),
    "requires what is not there": Case(
        ("bad",),
        "requires 'bed', which is no check",
        {"bad.py": check("pass", "requires='bed'")},
    ),
    "typo in an option of the decorator": Case(
        ("bad",),
        "cannot import 'bad': MarkingError: @healthcheck has no option 'timout'; "
        "did you mean 'timeout'? (bad.py:2)",
        {"bad.py": check("pass", "timout=1")},
    ),
    "only skips": Case(
        ("bad",),
        "not on this machine",
        {"bad.py": check("import unittest; raise unittest.SkipTest('not on this machine')")},
        text_line="every check was skipped, and a run of skips alone is not green",
    ),
    "a mark that a decorator hides": Case(
        ("bad",),
        "put @healthcheck on top",
        {
            "bad.py": """
            import hospital
            def decorator(function):
                return lambda: function()
            @decorator
            @hospital.healthcheck
            def bad(): ...
            """
        },
    ),
    "a module called as one of Python's": Case(
        ("./checks",),
        "checks.json.bad",
        {"checks/json.py": check("assert 1 == 2"), "checks/logging.py": GOOD},
        others=1,
    ),
}


@pytest.fixture
def here(pytester: pytest.Pytester) -> pytest.Pytester:
    """Be in a folder with a module of one good check."""
    write(pytester, {"good.py": GOOD})
    pytester.syspathinsert()
    return pytester


def environment(**more: str) -> dict[str, str]:
    """Return an environment without settings of hospital."""
    kept = ("PATH", "HOME", "TMPDIR")
    return {name: os.environ[name] for name in kept if name in os.environ} | more


def cli(*arguments: str, flags: tuple[str, ...] = ()) -> "subprocess.CompletedProcess[str]":
    """Run hospital-cli in the current folder."""
    return subprocess.run(
        [sys.executable, *flags, "-m", "hospital.cli", *arguments],
        env=environment(PYTHONPATH=str(Path(__file__).parents[1])),
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )


def arguments(case: Case) -> list[str]:
    """Return *case* as arguments of hospital-cli."""
    words = [f"--timeout={case.timeout_s}"]
    words += [f"--tag={tag}" for tag in case.tags]
    words += [f"--exclude={word}" for word in case.exclude]
    return [*words, *case.names]


def get(app: HealthCheckApp) -> tuple[str, dict[str, object]]:
    """Ask *app*, and return the status line and the document."""
    environ: dict[str, object] = {}
    setup_testing_defaults(environ)
    statuses: list[str] = []

    def start_response(status: str, _headers: object, _exc_info: object = None) -> object:
        statuses.append(status)
        return None

    body = b"".join(app(environ, start_response))  # type: ignore[arg-type]  # as a server calls it
    return statuses[0], json.loads(body)


def is_told(line: str, text: str) -> None:
    """Check that *line* stands in *text*, in one line, and no traceback of ours does."""
    assert [told for told in text.splitlines() if line in told]
    assert "Traceback" not in text
    assert "hospital/running" not in text


@pytest.mark.parametrize("name", CASES)
def test_on_the_command_line(here: pytest.Pytester, name: str) -> None:
    """Exit 1, and the line stands in the report; what is healthy passes beside it."""
    case = CASES[name]
    write(here, case.files)

    result = cli(*arguments(case))

    assert 1 == result.returncode
    is_told(case.text_line or case.line, result.stdout)
    assert "" == result.stderr
    first = result.stdout.partition("\n")[0]
    assert case.others == first.count(".")


@pytest.mark.parametrize("name", CASES)
def test_on_the_command_line_as_json(here: pytest.Pytester, name: str) -> None:
    """One strict document, whose reasons hold the line."""
    case = CASES[name]
    write(here, case.files)

    result = cli("--format=json", *arguments(case))

    document = json.loads(result.stdout)
    assert 1 == result.returncode
    assert "fail" == document["status"]
    assert case.others == document["summary"]["pass"]
    is_told(case.line, "\n".join(f"{d['id']} {d.get('context')}" for d in document["details"]))


@pytest.mark.parametrize("name", CASES)
def test_over_http(here: pytest.Pytester, name: str) -> None:
    """500, and the line stands in the document, for those who may see it."""
    case = CASES[name]
    write(here, case.files)
    app = HealthCheckApp(
        case.names,
        tags=case.tags,
        exclude=case.exclude,
        timeout=case.timeout_s,
        executor="ward",
        reasons="everyone",
    )

    try:
        status, document = get(app)
    finally:
        app.close()

    assert "500 Internal Server Error" == status
    assert "fail" == document["status"]
    details = document["details"]
    assert isinstance(details, list)
    is_told(case.line, "\n".join(f"{d['id']} {d.get('context')}" for d in details))
    assert case.others == sum(d["status"] == "pass" for d in details)


@pytest.mark.parametrize("name", [name for name in CASES if "exit 0" not in name])
def test_in_threads_of_this_process(here: pytest.Pytester, name: str) -> None:
    """Without wards the same is told; but for what ends the process, which nobody survives."""
    case = CASES[name]
    write(here, case.files)

    result = cli("--in-process", *arguments(case))

    assert 1 == result.returncode
    is_told(case.text_line or case.line, result.stdout)
    assert "" == result.stderr


def test_a_module_that_hangs_on_import_is_told(here: pytest.Pytester) -> None:
    """Within its time, with the place; the other modules run."""
    write(here, {"hangs.py": "import time\n\ntime.sleep(600)"})
    began = time.monotonic()

    result = cli("hangs", "good")

    assert 1 == result.returncode
    is_told("cannot import 'hangs': did not finish within 10 s at hangs.py:3", result.stdout)
    assert result.stdout.splitlines()[0] in {".E", "E."}
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("where", [(), ("--in-process",)])
def test_files_called_as_modules_of_python_hide_none(
    here: pytest.Pytester, where: tuple[str, ...]
) -> None:
    """In the very folder where the command runs, hospital and the checks get Python's own."""
    names = "asyncio ctypes datetime difflib inspect json logging select signal struct traceback"
    files = {f"{name}.py": GOOD for name in names.split()}
    mine = check("import json, logging\n    json.dumps(1)\n    assert logging.Formatter is None")
    write(here, {**files, "mine.py": mine})
    script = Path(sys.executable).with_name("hospital-cli")

    result = subprocess.run(
        [script, *where, "."],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )

    assert (1, "") == (result.returncode, result.stderr)
    is_told("assert logging.Formatter is None (mine.py:6 in bad)", result.stdout)
    assert len(files) + 1 == result.stdout.partition("\n")[0].count(".")


def test_a_failing_check_fails_under_python_o(here: pytest.Pytester) -> None:
    """Wards run without ``-O``; in this process it is an error, since asserts are gone."""
    write(here, {"bad.py": check("assert 1 == 2")})

    in_ward = cli("bad", flags=("-O",))
    in_process = cli("--in-process", "bad", flags=("-O",))
    good_in_process = cli("--in-process", "good", flags=("-O",))

    assert (1, 1, 1) == tuple(r.returncode for r in (in_ward, in_process, good_in_process))
    is_told("assert 1 == 2 (bad.py:4 in bad)", in_ward.stdout)
    for result in (in_process, good_in_process):
        is_told("this Python runs with -O, which removes every assert", result.stdout)


def test_nothing_named_is_a_fault_of_usage(here: pytest.Pytester) -> None:
    """``HEALTHCHECKS`` unset and no name: exit 2, one line on standard error."""
    del here
    result = cli()

    assert 2 == result.returncode
    assert "" == result.stdout
    (line,) = result.stderr.splitlines()
    assert "nothing to check: no NAME is given, and HEALTHCHECKS is empty or not set" in line


@pytest.mark.parametrize(
    ("environ", "line"),
    [
        ({}, "no health checks are named; set HEALTHCHECKS"),
        ({"HEALTHCHECKS": "  "}, "no health checks are named; set HEALTHCHECKS"),
        ({"HEALTHCHECKS": "goood"}, "no module named 'goood'; did you mean 'good'?"),
        (
            {"HEALTHCHECKS": "good", "HOSPITAL_EXECUTER": "ward"},
            "unknown variable 'HOSPITAL_EXECUTER'; did you mean 'HOSPITAL_EXECUTOR'?",
        ),
    ],
)
def test_the_application_of_the_environment(
    here: pytest.Pytester, environ: dict[str, str], line: str
) -> None:
    """``hospital.wsgi:application`` answers 500, and says why to those who may see it."""
    source = """
        from wsgiref.util import setup_testing_defaults
        from hospital.wsgi import application
        environ = {}
        setup_testing_defaults(environ)
        body = b"".join(application(environ, lambda status, headers, exc_info=None: print(status)))
        print(body.decode())
        application.close()
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(source)],
        env=environment(
            PYTHONPATH=os.pathsep.join([str(Path(__file__).parents[1]), str(here.path)]),
            HOSPITAL_REASONS="everyone",
            **environ,
        ),
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )

    status, _, body = result.stdout.partition("\n")
    assert "500 Internal Server Error" == status
    assert "fail" == json.loads(body)["status"]
    is_told(line, body)
    assert "Traceback" not in result.stderr


def test_os_exit_in_process_is_an_error_too(tmp_path: Path) -> None:
    """Neither a check nor a module ends the command with exit code 0 before it has spoken."""
    (tmp_path / "ends.py").write_text(
        "import os\nfrom hospital import healthcheck\n"
        "@healthcheck\ndef ends(): os._exit(0)\n"
        "@healthcheck\ndef forks():\n"
        "    if not os.fork(): os._exit(0)\n"
        "    os.wait()\n"
    )
    (tmp_path / "ends_at_once.py").write_text("import os\nos._exit(0)\n")

    done = subprocess.run(
        [sys.executable, "-m", "hospital.cli", "--in-process", "ends", "ends_at_once"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert done.returncode == 1
    assert "FAILED (errors=2)" in done.stdout
    assert "Ran 3 tests" in done.stdout
