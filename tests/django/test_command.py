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
