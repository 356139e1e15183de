"""``manage.py healthcheck``: hospital-cli in a Django project."""

import io
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.test.utils import override_settings

from hospital.django.base_options import BaseOptionsParser, in_words_of_hospital
from hospital.django.management.commands.healthcheck import Command
from hospital.django.names import names_of_the_project
from hospital.errors import SettingError

PREDICTABLE = "hospital.healthchecks.predictable"
FILES = {
    "manage.py": """
        import os, sys
        from django.core.management import execute_from_command_line

        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
        execute_from_command_line(sys.argv)
    """,
    "shop/settings.py": """
        SECRET_KEY = "of a test"
        INSTALLED_APPS = ["hospital.django"]
        CURRENCY = "EUR"
        DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "db"}}
        HEALTHCHECKS = ["shop.checks.the_database_answers"]
    """,
    "shop/elsewhere.py": """
        from shop.settings import *
        CURRENCY = "CHF"
        HEALTHCHECKS = ["shop.checks"]
    """,
    "shop/checks.py": '''
        import os
        from django.conf import settings
        from django.db import connection
        from hospital import healthcheck

        @healthcheck
        def the_database_answers():
            """The database answers."""
            connection.ensure_connection()

        @healthcheck
        def prices_are_in_euro():
            """Prices are in euro."""
            assert settings.CURRENCY == "EUR", settings.CURRENCY

        @healthcheck
        def ends_the_process():
            """It is its own process that it ends."""
            os._exit(0)
    ''',
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return the folder of a Django project."""
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(textwrap.dedent(text))
    return tmp_path


def manage(project: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run ``manage.py`` with *arguments*, from another folder than its own."""
    return subprocess.run(
        [sys.executable, project / "manage.py", *arguments],
        cwd="/",
        env={"PATH": os.environ["PATH"], **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_the_checks_of_the_project_run_by_default(project: Path) -> None:
    """Those of its setting ``HEALTHCHECKS``, in wards that have set up Django; exit code 0."""
    done = manage(project, "healthcheck", HEALTHCHECKS="nothing.of.the.kind")

    assert (0, "") == (done.returncode, done.stderr)
    assert done.stdout.startswith(".\n---")
    assert done.stdout.endswith("\nOK\n")


@pytest.mark.parametrize("where", [(), ("--in-process",)], ids=["in wards", "in process"])
def test_a_red_check_is_exit_code_1(project: Path, where: tuple[str, ...]) -> None:
    """Django's own ``--settings`` counts; a check that ends its process ends nothing else."""
    done = manage(project, "healthcheck", "--settings=shop.elsewhere", "-v", *where)

    assert 1 == done.returncode
    assert "Ran 3 tests in " in done.stdout, done.stdout + done.stderr
    assert "FAIL: Prices are in euro. (shop.checks.prices_are_in_euro)\n" in done.stdout
    assert "ERROR: It is its own process that it ends." in done.stdout
    assert "FAILED (failures=1, errors=1)" in done.stdout


def test_a_mistake_is_exit_code_2(project: Path) -> None:
    """One line on standard error, as with hospital-cli, under the name of the command."""
    done = manage(project, "healthcheck", "--tga", "db")

    assert (2, "") == (done.returncode, done.stdout)
    (line,) = done.stderr.splitlines()
    assert line.startswith("manage.py healthcheck: error: ")
    assert "did you mean '--tag'?" in line


def test_a_setting_that_names_nothing_is_a_mistake_too(project: Path) -> None:
    """One line says which setting, and what to write instead."""
    with (project / "shop" / "settings.py").open("a") as settings:
        settings.write("HEALTHCHECKS = 5\n")

    done = manage(project, "healthcheck")

    assert (2, "") == (done.returncode, done.stdout)
    assert (
        "manage.py healthcheck: error: settings.HEALTHCHECKS holds no names: 5;"
        " give a list of texts\n"
    ) == done.stderr


@pytest.mark.parametrize("words", [("help", "healthcheck"), ("healthcheck", "--help")])
def test_the_help_is_that_of_hospital_cli(project: Path, words: tuple[str, ...]) -> None:
    """All options, under the name of the command."""
    done = manage(project, *words)

    assert (0, "") == (done.returncode, done.stderr)
    assert "manage.py healthcheck [options] [NAME ...]" in done.stdout
    assert "--in-process" in done.stdout


def test_the_help_says_whose_names_count(project: Path) -> None:
    """The setting before the variable, and Django's own options; a bad setting hides no help."""
    with (project / "shop" / "settings.py").open("a") as settings:
        settings.write("HEALTHCHECKS = 5\n")

    done = manage(project, "healthcheck", "--help")

    assert (0, "") == (done.returncode, done.stderr)
    told = " ".join(done.stdout.split())
    assert "without NAMEs those of the setting HEALTHCHECKS of the project, and where" in told
    assert "--verbosity N" in told


def test_the_options_of_every_django_command_are_taken(project: Path) -> None:
    """None of them is a mistake, and none is taken for a name."""
    words = "--traceback --force-color --settings shop.settings --pythonpath / --verbosity 2"

    done = manage(project, "healthcheck", *words.split(), "--skip-checks")

    assert (0, "") == (done.returncode, done.stderr)
    assert "The database answers. (shop.checks.the_database_answers) ... " in done.stdout
    assert "\x1b[" in done.stdout
    assert "Ran 1 test in " in done.stdout


@pytest.mark.parametrize(
    ("words", "left"),
    [
        ("-v", ["-v"]),
        ("-v a.b", ["-v", "a.b"]),
        ("-v 2 a.b", ["--verbose", "a.b"]),
        ("-v3", ["--verbose"]),
        ("--verbosity=2", ["--verbose"]),
        ("-v 1", []),
        ("--verbosity 0", []),
        ("-v ./2", ["-v", "./2"]),
        ("2", ["2"]),
        ("--no-color --color always", ["--color=never", "--color", "always"]),
        ("a.b -- --traceback", ["a.b", "--", "--traceback"]),
    ],
)
def test_what_is_left_is_for_hospital_cli(words: str, left: list[str]) -> None:
    """A number that follows ``-v`` is Django's level; ``-v`` alone stays that of hospital-cli."""
    options = vars(BaseOptionsParser(prog="healthcheck").parse_args(words.split()))

    assert left == in_words_of_hospital(options) + options["arguments"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--verbosity", "9"], "argument --verbosity: no level: '9'; write 0 to 3"),
        (["--settings"], "argument --settings: expected one argument"),
        (["--no-color", "--force-color"], "--no-color and --force-color say both; leave one out"),
    ],
)
def test_a_mistake_with_an_option_of_django_is_one_line(
    capsys: pytest.CaptureFixture[str], words: list[str], told: str
) -> None:
    """And exit code 2, as with those of hospital-cli."""
    with pytest.raises(SystemExit) as ended:
        Command().run_from_argv(["./manage.py", "healthcheck", *words])

    (line,) = capsys.readouterr().err.splitlines()
    assert 2 == ended.value.code
    assert line.startswith(f"manage.py healthcheck: error: {told}")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *[("verbosity", 0), ("verbosity", 1), ("traceback", True), ("skip_checks", False)],
        *[("no_color", True), ("settings", "shop.settings"), ("pythonpath", "/")],
    ],
)
def test_python_code_may_give_the_options_of_every_command(option: str, value: object) -> None:
    """They leave the report as it is where hospital-cli has nothing of the kind."""
    report = io.StringIO()

    call_command("healthcheck", "--in-process", PREDICTABLE, stdout=report, **{option: value})

    assert report.getvalue().startswith(".\n---")


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [("verbosity", 2, " ... ok ["), ("force_color", True, "\x1b[")],
)
def test_python_code_is_heeded(option: str, value: object, told: str) -> None:
    """Where hospital-cli has an option for it."""
    report = io.StringIO()

    call_command("healthcheck", "--in-process", PREDICTABLE, stdout=report, **{option: value})

    assert told in report.getvalue()


def test_python_code_may_ask_for_help() -> None:
    """It is the same help, in its stream."""
    told = io.StringIO()

    call_command("healthcheck", "--help", stdout=told)

    assert "of the setting HEALTHCHECKS of the project" in told.getvalue()


@pytest.mark.parametrize("given", [{"a": 1}, {"a"}, [1], ["a", b"b"], b"a", None, 5], ids=repr)
def test_a_setting_that_is_no_list_of_texts_is_refused(given: object) -> None:
    """A mapping is no list of its keys: one line says so."""
    with override_settings(HEALTHCHECKS=given), pytest.raises(SettingError) as told:
        names_of_the_project()

    line = f"settings.HEALTHCHECKS holds no names: {given!r}; give a list of texts"
    assert line == str(told.value)


def test_a_setting_may_hold_paths() -> None:
    """As ``BASE_DIR / "checks"`` in a settings file is one."""
    with override_settings(HEALTHCHECKS=["a.b", Path("checks")]):
        names = names_of_the_project()

    assert ("a.b", "checks") == names


def test_the_guide_never_installs_an_older_hospital() -> None:
    """An installer takes no development release, unless it is asked for one."""
    guide = Path(__file__).parents[2] / "docs" / "howto" / "django.md"

    (line,) = [each for each in guide.read_text().splitlines() if each.startswith("pip install")]

    assert 'pip install "hospital[django]>=1.0.0.dev0"' == line


def test_names_may_be_given(project: Path) -> None:
    """Then the setting does not count."""
    done = manage(project, "healthcheck", "--list", PREDICTABLE)

    assert 0 == done.returncode
    assert done.stdout.startswith(f"{PREDICTABLE}.")
    assert 1 == len(done.stdout.splitlines())


def test_python_code_may_call_it() -> None:
    """``call_command`` writes the report to its stream, and tells with an error what is red."""
    report = io.StringIO()

    with override_settings(HEALTHCHECKS=[PREDICTABLE]):
        call_command("healthcheck", "--in-process", stdout=report)
    with pytest.raises(CommandError) as told:
        call_command("healthcheck", "--in-process", "nothing.of.the.kind", stdout=io.StringIO())

    assert report.getvalue().startswith(".\n---")
    assert report.getvalue().endswith("\nOK\n")
    assert 1 == told.value.returncode
