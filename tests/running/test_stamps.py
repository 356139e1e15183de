"""Files that a user may edit are noticed when they change."""

import os
import sys
import types
from pathlib import Path

import pytest

from hospital.running.stamps import stamp_of, stamps_of_modules


def test_what_the_user_may_edit_is_stamped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of modules and their folders; nothing of the library; lazy modules stay asleep."""

    class Lazy(types.ModuleType):
        def __getattr__(self, name: str) -> object:
            raise AssertionError(f"woken for {name}")

    file = tmp_path / "checks.py"
    file.write_text("x = 1")
    module = types.ModuleType("checks")
    module.__file__ = str(file)
    folder = types.ModuleType("folder")
    folder.__path__ = [str(tmp_path / "folder")]
    (tmp_path / "folder").mkdir()
    for name, each in {
        "checks": module,
        "folder": folder,
        "lazy": Lazy("lazy"),
        "no": None,
    }.items():
        monkeypatch.setitem(sys.modules, name, each)

    stamped = {path for path, _time, _size in stamps_of_modules()}

    assert {str(file), str(tmp_path), str(tmp_path / "folder")} <= stamped
    assert not any(path.startswith(os.__file__) for path in stamped)


def test_a_stamp_changes_with_the_file(tmp_path: Path) -> None:
    """With its time and its size; without the file there is none."""
    file = tmp_path / "checks.py"
    file.write_text("x = 1")
    before = stamp_of(str(file))

    file.write_text("x = 11")
    after = stamp_of(str(file))

    assert before is not None
    assert after is not None
    assert before != after
    assert (str(file), 6) == (after[0], after[2])
    file.unlink()
    assert None is stamp_of(str(file))
