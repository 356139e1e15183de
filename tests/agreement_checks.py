"""One check of each kind, which every runner has to see alike; see test_agreement.py.

Not collected by the suite itself, since most of it does not pass.
"""

import asyncio
import sys
import time
import unittest

import hospital

# put together here, so that no line of source that a runner shows holds it
ADDRESS = "postgresql://u:" + "s3c" + "ret@h/db"


@hospital.healthcheck
def passes() -> None:
    """It passes."""
    print(f"printed by a check: {ADDRESS}")


@hospital.healthcheck
def warns() -> None:
    hospital.warn("first")
    hospital.warn(f"second, of {ADDRESS}")


@hospital.healthcheck
def reveals() -> None:
    raise ConnectionError(f"cannot reach {ADDRESS}")


@hospital.healthcheck
def exits() -> None:
    sys.exit(0)


@hospital.healthcheck(timeout=0.5)
def sleeps() -> None:
    time.sleep(2)


@hospital.healthcheck(requires=reveals)
def depends() -> None: ...


@hospital.healthcheck(severity="warning")
def softly_fails() -> None:
    assert not ADDRESS, f"soft: cannot reach {ADDRESS}"


@hospital.healthcheck(severity="warning")
def softly_errs() -> None:
    raise OSError(f"soft: cannot reach {ADDRESS}")


@hospital.healthcheck
async def awaits() -> None:
    await asyncio.sleep(0)


@hospital.healthcheck
async def awaits_and_fails() -> None:
    await asyncio.sleep(0)
    assert not ADDRESS, ADDRESS


@hospital.healthcheck
class Cases(unittest.TestCase):
    def test_passes(self) -> None: ...

    def test_fails(self) -> None:
        self.fail(f"cannot reach {ADDRESS}")

    def test_warns(self) -> None:
        hospital.warn("nearly full")

    def test_skips(self) -> None:
        self.skipTest(f"not before {ADDRESS} is up")

    @unittest.expectedFailure
    def test_fails_as_expected(self) -> None:
        self.fail(ADDRESS)

    @unittest.expectedFailure
    def test_passes_unexpectedly(self) -> None: ...

    def test_fails_in_a_subtest(self) -> None:
        for number in range(3):
            with self.subTest(number=number):
                assert number != 1, ADDRESS

    @unittest.skip("by decorator")
    def test_is_skipped(self) -> None: ...


@hospital.healthcheck
class SetUpErrs(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        raise OSError(f"cannot reach {ADDRESS}")

    def test_one(self) -> None: ...

    def test_two(self) -> None: ...


class AsyncCase(unittest.IsolatedAsyncioTestCase):
    @hospital.healthcheck
    async def test_awaits(self) -> None:
        await asyncio.sleep(0)

    @hospital.healthcheck
    async def test_awaits_and_fails(self) -> None:
        await asyncio.sleep(0)
        self.fail(ADDRESS)


class PlainCase(unittest.TestCase):
    @hospital.healthcheck
    async def test_awaits(self) -> None:
        await asyncio.sleep(0)

    @hospital.healthcheck
    async def test_awaits_and_fails(self) -> None:
        await asyncio.sleep(0)
        self.fail(ADDRESS)

    @hospital.healthcheck
    def has_another_name(self) -> None:
        self.fail(ADDRESS)

    def test_is_no_check(self) -> None:
        self.fail("an ordinary test")


def test_is_no_check() -> None:
    raise AssertionError("an ordinary test")
