"""Run something as a check, and look at its outcome."""

import asyncio
import unittest
from collections.abc import Callable
from typing import Any

import hospital
from hospital.entries import case_entry, function_entry
from hospital.model import Outcome
from hospital.running.one import run_one


def no_output(_id: str, _text: str) -> None:
    """Take what is printed, and forget it."""


def outcome_of(function: Any, **options: Any) -> Outcome:
    """Run a function as a check."""
    return run_one(function_entry(hospital.healthcheck(**options)(function), "mod.f"), no_output)


def outcome_of_case(case: type[unittest.TestCase], method: str = "test_it") -> Outcome:
    """Run a test of a class as a check."""
    return run_one(case_entry(case, method, "mod.Case"), no_output)


def raising(error: BaseException) -> Callable[[], None]:
    """Return a check that raises *error*."""

    def check() -> None:
        raise error

    return check


async def failing_later() -> None:
    """Fail when awaited."""
    await asyncio.sleep(0)
    raise AssertionError("awaited")
