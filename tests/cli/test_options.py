"""The options of hospital-cli: what they mean, and what is said of those that make no sense."""

import re
import shlex

import pytest

from hospital.cli.options import EPILOG, Options, read_options
from hospital.errors import UsageError
from tests.cli.conftest import Cli, WriteChecks


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", Options()),
        ("app.a app.b", Options(names=("app.a", "app.b"))),
        ("app.a -v --tag db app.b", Options(names=("app.a", "app.b"), tags=("db",), verbose=True)),
        ("--tag db --tag=web", Options(tags=("db", "web"))),
        ("--exclude app.slow --exclude *.x", Options(exclude=("app.slow", "*.x"))),
        ("--timeout 500ms --wait 2m", Options(timeout_s=0.5, wait_s=120.0)),
        ("--jobs 3 --in-process", Options(jobs=3, in_process=True)),
        ("--list --format json", Options(list=True, format="json")),
        ("--color always", Options(colour="always")),
        ("-h", Options(help=True)),
        ("--version", Options(version=True)),
    ],
)
def test_options_and_names_may_stand_in_any_order(line: str, expected: Options) -> None:
    """Each option reaches its field, as a value with a unit."""
    assert expected == read_options(shlex.split(line))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--tga db", "unknown option '--tga'; did you mean '--tag'?"),
        ("--colour=never", "unknown option '--colour=never'; did you mean '--color'?"),
        ("--verb", "unknown option '--verb'; did you mean '--verbose'?"),
        ("--format jsn", "--format is unknown: 'jsn'; did you mean 'json'?"),
        ("--color sometimes", "--color is unknown: 'sometimes'; choose from auto, always, never"),
        ("--timeout soon", "--timeout is no duration: 'soon'; write a number of seconds"),
        ("--wait 0", "--wait must be above 0 and finite, not '0'"),
        ("--jobs none", "--jobs is no number of checks: 'none'; write 1 to 9999"),
        ("--jobs 10000", "--jobs is no number of checks: '10000'"),
        ("--tag a,b", "--tag takes one word, not 'a,b'; write the option once for each"),
        ("--exclude ''", "--exclude takes one word, not ''"),
        ("--tag", "argument --tag: expected one argument"),
        ("--list --wait 5s", "--list runs nothing"),
    ],
)
def test_what_makes_no_sense_is_told_with_what_to_do(line: str, said: str) -> None:
    """A misspelt option or value comes with the nearest right one."""
    with pytest.raises(UsageError) as caught:
        read_options(shlex.split(line))

    assert str(caught.value).startswith(said)


def test_all_faults_are_told_together() -> None:
    """One run of the command is enough to learn of every mistake in it."""
    with pytest.raises(UsageError) as caught:
        read_options(["--tga", "--format", "jsn", "--jobs", "0"])

    first, second, third = str(caught.value).split(" · ")
    assert first.startswith("unknown option '--tga'")
    assert second.startswith("--format is unknown")
    assert third.startswith("--jobs is no number")


def test_the_examples_of_the_help_run(cli: Cli, write_checks: WriteChecks) -> None:
    """Each command that --help shows is green where there are checks of those names."""
    write_checks("", "checks/__init__.py")
    write_checks(
        """
        from hospital import healthcheck

        @healthcheck(tags="db")
        def there_is_room():
            "There is room."

        @healthcheck(tags=("db", "slow"))
        def backups_are_whole():
            "The backups are whole."
        """,
        "checks/storage.py",
    )
    examples = re.findall(r"^  hospital-cli (.*)$", EPILOG, re.MULTILINE)

    results = {example: cli(*shlex.split(example)) for example in examples}

    assert len(examples) >= 5
    failed = {example: each for example, each in results.items() if each.returncode or each.stderr}
    assert not failed


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_the_help_is_a_report_of_its_own(cli: Cli, option: str) -> None:
    """Help goes to standard output, examples and exit codes included, and is no failure."""
    result = cli(option)

    assert 0 == result.returncode
    assert result.stdout.endswith(EPILOG)
    assert not result.stderr


def test_the_version_is_told(cli: Cli) -> None:
    """--version needs neither names nor settings."""
    result = cli("--version", HOSPITAL_NONSENSE="1")

    assert 0 == result.returncode
    assert not result.stderr
    assert re.fullmatch(r"hospital-cli \d+\.\d+\.\d+\S*\n", result.stdout)
