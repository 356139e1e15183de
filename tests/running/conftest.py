"""Modules of checks, written to files, and executors that run them."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from hospital.running.executor import Executor
from hospital.running.threads import ThreadExecutor
from hospital.running.wards import WardExecutor
from tests.running.running import MakeExecutor, WriteChecks

_numbers = itertools.count()


@pytest.fixture
def write_checks(tmp_path: Path) -> WriteChecks:
    """Write a module of checks and return the name to load it by."""

    def write(source: str) -> str:
        path = tmp_path / f"checks_{next(_numbers)}.py"
        path.write_text(
            "import hospital\nfrom hospital import HealthCheck, healthcheck\n" + dedent(source)
        )
        return str(path)

    return write


@pytest.fixture(params=["ward", "thread"])
def make_executor(request: pytest.FixtureRequest) -> Iterator[MakeExecutor]:
    """Make executors of both kinds that are closed at the end."""
    made: list[Executor] = []

    def make(timeout_s: float = 5.0, **more: object) -> Executor:
        kind = WardExecutor if request.param == "ward" else ThreadExecutor
        executor: Executor = kind(timeout_s=timeout_s, **more)  # type: ignore[arg-type]
        made.append(executor)
        return executor

    yield make
    for executor in made:
        executor.close()


@pytest.fixture
def make_wards() -> Iterator[MakeExecutor]:
    """Make ward executors that are closed at the end."""
    made: list[Executor] = []

    def make(timeout_s: float = 5.0, **more: object) -> Executor:
        executor = WardExecutor(timeout_s=timeout_s, **more)  # type: ignore[arg-type]
        made.append(executor)
        return executor

    yield make
    for executor in made:
        executor.close()
