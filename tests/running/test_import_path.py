"""The standard library goes before whatever lies beside the checks."""

import os
import subprocess
import sys
from pathlib import Path

from hospital.running.import_path import standard_first

STANDARD = str(Path(os.__file__).parent)


def test_the_standard_library_comes_first() -> None:
    """All else keeps its order, each once."""
    path = ["", "/srv/checks", STANDARD, f"{STANDARD}/site-packages", "/srv/checks"]

    expected = [STANDARD, "", "/srv/checks", f"{STANDARD}/site-packages"]
    assert expected == standard_first(path)
    assert sorted(dict.fromkeys(sys.path)) == sorted(standard_first(sys.path))


def test_a_module_beside_the_checks_hides_none_of_pythons(tmp_path: Path) -> None:
    """Nor one that is compiled."""
    for name in ("json", "logging", "array", "mine"):
        (tmp_path / f"{name}.py").write_text("own = True")
    root = str(Path(__file__).parents[2])
    source = (
        f"import sys; sys.path.insert(0, ''); sys.path.append({root!r})\n"
        "from hospital.running.import_path import standard_first\n"
        "sys.path[:] = standard_first(sys.path)\n"
        "import json, logging, array, mine\n"
        "print([hasattr(m, 'own') for m in (json, logging, array, mine)])"
    )

    result = subprocess.run(
        [sys.executable, "-P", "-c", source],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )

    assert ("[False, False, False, True]\n", "") == (result.stdout, result.stderr)
