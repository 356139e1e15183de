"""How far a ward has got with loading, and which module is to blame when it does not return."""

import time
from dataclasses import dataclass, field
from typing import Any

from hospital.model import Check
from hospital.running.protocol import Frame
from hospital.running.stamps import stamp_of

_AGAIN_AFTER_S = 60.0

Stamp = tuple[str, int, int]
"""File, time of change (ns), size (bytes)."""


@dataclass(slots=True)
class Broken:
    """Modules that ended or stopped the ward that imported them.

    A module is tried again when its file has changed, or after a minute.
    """

    _modules: dict[str, tuple[str, Stamp | None, float]] = field(default_factory=dict)

    def add(self, module: str, file: str, how: str) -> None:
        """Remember that *module*, in *file*, is not to be imported, and why."""
        self._modules[module] = (how, stamp_of(file), time.monotonic())

    def current(self) -> dict[str, str]:
        """Return the modules not to import now, and why."""
        return {module: how for module, (how, _stamp, _at) in self._modules.items()}

    def expire(self) -> None:
        """Let those be tried again that have changed, or had their minute; between runs."""
        now = time.monotonic()
        for module, (_how, stamp, at) in list(self._modules.items()):
            if now - at > _AGAIN_AFTER_S or (stamp and stamp_of(stamp[0]) != stamp):
                del self._modules[module]


@dataclass(slots=True)
class Load:
    """One ward's loading.

    Attributes:
        names: What to load.
        path: ``sys.path`` to load it with.
        patience_s: Seconds that one module may take.
        broken: Where a module that does not return is noted.
        done: Whether it has loaded.
        checks: What was found.
        problems: A name and a reason for each thing that could not be used.
        stamps: File, time of change and size of what was imported; None to load anew each time.
        forkable: Whether the ward has a single thread, so that it can be forked.
    """

    names: tuple[str, ...]
    path: tuple[str, ...]
    patience_s: float
    broken: Broken
    done: bool = False
    checks: tuple[Check, ...] = ()
    problems: tuple[tuple[str, str], ...] = ()
    stamps: tuple[Stamp, ...] | None = ()
    forkable: bool = False
    _module: str = ""
    _file: str = ""
    _since: float = field(default_factory=time.monotonic)

    @property
    def module(self) -> str:
        """The module that is being imported, or was the last."""
        return self._module

    def request(self) -> list[Any]:
        """Return the frame that asks a ward to load."""
        return ["load", list(self.names), list(self.path), self.broken.current()]

    def hear(self, frame: Frame) -> None:
        """Take a frame that tells of loading."""
        word, *rest = frame
        self._since = time.monotonic()
        if word == "loading":
            self._module, self._file = str(rest[0]), str(rest[1])
            return
        checks, problems, stamps, forkable = rest
        self.checks = tuple(map(Check.from_wire, checks))
        self.problems = tuple((str(name), str(reason)) for name, reason in problems)
        self.stamps = None if stamps is None else tuple(map(tuple, stamps))
        self.forkable = bool(forkable)
        self.done = True

    def overdue(self, now: float) -> bool:
        """Return whether a module takes longer than it may."""
        return not self.done and now - self._since > self.patience_s

    def blame(self, how: str) -> bool:
        """Note that the module being imported did not return, and how.

        Returns:
            Whether a module was being imported that was not known to be broken.
        """
        if not self._module or self._module in self.broken.current():
            return False
        how = how.replace("the check", "the module")
        self.broken.add(self._module, self._file, f"cannot import {self._module!r}: {how}")
        return True
