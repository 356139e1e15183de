"""The wheel, built once and installed into an empty environment elsewhere, runs every command.

Nothing is asked of the network: the environment gets the wheel, and links to what the wheel says
that it needs, so that a dependency that was forgotten there is missing here.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import venv
import zipfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

import hospital

ROOT = Path(__file__).parent.parent
PREDICTABLE = "hospital.healthchecks.predictable"
DEADLINE_S = 30.0


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from the sdist, so that the sdist is whole too."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)

    assert 0 == result.returncode, result.stdout + result.stderr
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an environment that holds the wheel, what it needs, and pytest."""
    home = tmp_path_factory.mktemp("elsewhere") / "venv"
    venv.create(home, with_pip=False, symlinks=True)
    python = home / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    install: list[str | Path] = [
        *pip,
        "--python",
        python,
        "install",
        "--no-index",
        "--no-deps",
        wheel,
    ]
    subprocess.run(install, check=True, timeout=120)
    (site,) = home.glob("lib/python*/site-packages")
    for name in needed_by("hospital") | needed_by("pytest") | {"pytest"}:
        link(name, site)
    return home


def needed_by(distribution: str) -> set[str]:
    """Return the names of all that *distribution* depends on."""
    found: set[str] = set()
    waiting = [distribution]
    while waiting:
        for text in metadata.requires(waiting.pop()) or ():
            requirement = Requirement(text)
            wanted = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
            if wanted and requirement.name not in found:
                found.add(requirement.name)
                waiting.append(requirement.name)
    return found


def link(distribution: str, site: Path) -> None:
    """Let *site* hold what belongs to *distribution* in this environment."""
    for file in metadata.files(distribution) or ():
        first = file.parts[0]
        if first not in {"..", "__pycache__"} and not (site / first).exists():
            (site / first).symlink_to(
                Path(str(metadata.distribution(distribution).locate_file(first)))
            )


def run(installed: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the environment from a folder where no checkout is near."""
    return subprocess.run(
        [installed / "bin" / command[0], *command[1:]],
        cwd=installed.parent,
        env=environment(installed),
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE_S,
    )


def environment(installed: Path) -> dict[str, str]:
    """Return an environment as one has it where the environment is activated, and no more."""
    return {"PATH": f"{installed / 'bin'}{os.pathsep}{os.defpath}", "PYTHONUNBUFFERED": "1"}


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    """Types and licence are in it, tests and documentation are not."""
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.partition("/")[0] for name in names}
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "hospital").rglob("*.py")}

    assert {"hospital", f"hospital-{hospital.__version__}.dist-info"} == tops
    assert modules <= set(names)
    assert "hospital/py.typed" in names
    assert any(name.endswith("/licenses/LICENSE") for name in names)


def test_the_package_comes_from_the_wheel(installed: Path) -> None:
    """Not from this checkout, however it is installed where the tests run."""
    result = run(installed, "python", "-c", "import hospital; print(hospital.__file__)")

    assert "" == result.stderr
    assert Path(result.stdout.strip()).is_relative_to(installed)


@pytest.mark.parametrize("command", [["hospital-cli"], ["python", "-m", "hospital.cli"]])
def test_the_command_line_runs(installed: Path, command: list[str]) -> None:
    """Checks run in wards, which find the installed package too."""
    result = run(installed, *command, PREDICTABLE)

    assert "" == result.stderr
    assert 0 == result.returncode
    assert result.stdout.endswith("\nOK\n")


def test_the_checks_of_the_machine_run(installed: Path) -> None:
    """They need psutil, which the wheel asks for; whether the machine is well is its own affair."""
    result = run(installed, "hospital-cli", "--format", "json", "hospital.healthchecks.host")

    report = json.loads(result.stdout)
    assert 5 == report["summary"]["total"]
    assert 0 == report["summary"]["error"], result.stdout


@pytest.mark.parametrize(
    "command",
    [
        ["hospital-serve"],
        ["python", "-m", "hospital.serving.serve"],
        ["python", "-m", "hospital.serving.worker"],
        ["hospital-deploy"],
        ["python", "-m", "hospital.deploy"],
    ],
)
def test_each_server_helps(installed: Path, command: list[str]) -> None:
    """Help is on standard output, and asking for it is no mistake."""
    result = run(installed, *command, "--help")

    assert 0 == result.returncode, result.stderr
    assert "usage:" in result.stdout.lower()


def test_hospital_serve_answers(installed: Path) -> None:
    """It serves on gevent and ends with 0 when it is told to."""
    with subprocess.Popen(
        [installed / "bin" / "hospital-serve", "--host", "127.0.0.1", "--port", "0", PREDICTABLE],
        cwd=installed.parent,
        env=environment(installed),
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline().split()[-1].rstrip("."))
            report = answer(f"http://127.0.0.1:{port}/")
            process.send_signal(signal.SIGTERM)
            code = process.wait(timeout=20)
        finally:
            process.kill()

    assert "pass" == report["status"]
    assert 0 == code


def test_pytest_finds_the_plugin(installed: Path) -> None:
    """It registers itself, with nothing to configure."""
    result = run(installed, "python", "-m", "pytest", "--markers")

    assert "@pytest.mark.healthcheck" in result.stdout, result.stdout + result.stderr


def test_the_bundle_runs(installed: Path, tmp_path: Path) -> None:
    """The committed configuration of circusd runs the workers from the wheel."""
    for name in ("deploy", "circus.ini.d"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("*.sock"))
    with closing(socket.create_server(("127.0.0.1", 0))) as probe:
        port = probe.getsockname()[1]
    web = tmp_path / "circus.ini.d" / "hospital-web.ini"
    web.write_text(web.read_text().replace("port = 2014", f"port = {port}"))

    with bundle(installed, tmp_path):
        report = answer(f"http://127.0.0.1:{port}/")

    titles = [each["test"] for each in report["details"]]
    assert "Health checks are collected." in titles
    assert "Memory is available." in titles


def test_a_rendered_set_runs(installed: Path, tmp_path: Path) -> None:
    """hospital-deploy finds its templates in the wheel; circusd is started from elsewhere."""
    with closing(socket.create_server(("127.0.0.1", 0))) as probe:
        port = probe.getsockname()[1]

    result = run(
        installed, "hospital-deploy", "render", "--output", str(tmp_path), f"--port={port}"
    )
    with bundle(installed, Path("/"), str(tmp_path / "circus.ini")):
        report = answer(f"http://127.0.0.1:{port}/")

    assert (0, "") == (result.returncode, result.stderr)
    assert "Memory is available." in [each["test"] for each in report["details"]]
    workers = (tmp_path / "circus.ini.d" / "hospital-web.ini").read_text()
    assert f"\ncmd = {installed / 'bin' / 'python'} -m hospital.serving.worker" in workers


@contextmanager
def bundle(installed: Path, folder: Path, config: str = "deploy/circus.ini") -> Iterator[None]:
    """Run circusd while the block runs; pytest shows what it said if something fails."""
    circusd = subprocess.Popen(
        [installed / "bin" / "python", "-m", "circus.circusd", config],
        cwd=folder,
        env=environment(installed),
    )
    try:
        yield
    finally:
        circusd.terminate()
        try:
            circusd.wait(timeout=DEADLINE_S)
        finally:
            circusd.kill()


def answer(url: str) -> dict[str, Any]:
    """Return the document that *url* answers with, as soon as it does, green or not."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + DEADLINE_S
    while True:
        try:
            report: dict[str, Any] = json.load(opener.open(url, timeout=20))
        except urllib.error.HTTPError as error:
            report = json.load(error)
        except (urllib.error.URLError, ConnectionError):
            assert time.monotonic() < deadline, f"no answer within {DEADLINE_S} s"
            time.sleep(0.05)
            continue
        return report
