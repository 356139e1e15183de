"""Find marks that lead to no check, so that none is lost in silence."""

import unittest
from types import FunctionType

from hospital.entries import is_marked

NO_TESTCASE = (
    "holds tests marked @healthcheck, but is no unittest.TestCase; derive it from unittest.TestCase"
)
NO_TESTS = "is marked @healthcheck, but holds no test: the names of its tests begin with 'test'"
HIDDEN = "is marked @healthcheck, but a decorator above the mark hides it; put @healthcheck on top"


def is_mixed_in(kind: type) -> bool:
    """Return whether a test case derives from *kind*, whose tests run as the test case's then."""
    derived: list[type] = type.__subclasses__(kind)
    return any(issubclass(each, unittest.TestCase) or is_mixed_in(each) for each in derived)


def hides_a_mark(value: object, name: str) -> bool:
    """Return whether a decorator put *value* in the place of a marked function.

    Args:
        value: What stands in a module or class.
        name: The name under which it stands there.
    """
    if type(value) is not FunctionType or is_marked(value):
        return False
    for cell in value.__closure__ or ():
        try:
            held = cell.cell_contents
        except ValueError:  # it is empty
            continue
        if type(held) is FunctionType and held.__name__ == name:
            return is_marked(held) or hides_a_mark(held, name)
    return False
