"""Keep apart what several modules, set up at the same time, want cleaned up.

unittest keeps one list of module cleanups for the whole process, so that the first module to end
would clean up after the others.
"""

import unittest.case
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

_Cleanup = tuple[Any, tuple[Any, ...], dict[str, Any]]
_mine: ContextVar["list[_Cleanup] | None"] = ContextVar("hospital_module_cleanups", default=None)


class _Apart(list[_Cleanup]):
    """The list of the unit that runs in this context; itself where none does."""

    def append(self, cleanup: _Cleanup) -> None:
        mine = _mine.get()
        if mine is None:
            super().append(cleanup)
        else:
            mine.append(cleanup)

    def pop(self, *index: Any) -> _Cleanup:
        mine = _mine.get()
        return super().pop(*index) if mine is None else mine.pop(*index)

    def __len__(self) -> int:
        mine = _mine.get()
        return super().__len__() if mine is None else len(mine)


@contextmanager
def cleaning_up_into(cleanups: "list[_Cleanup]") -> Iterator[None]:
    """Let ``addModuleCleanup`` and ``doModuleCleanups`` use *cleanups* in this context."""
    case = vars(unittest.case)
    if not isinstance(case["_module_cleanups"], _Apart):
        case["_module_cleanups"] = _Apart(case["_module_cleanups"])
    token = _mine.set(cleanups)
    try:
        yield
    finally:
        _mine.reset(token)
