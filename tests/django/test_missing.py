"""hospital without Django."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("module", ["hospital.django", "hospital.django.urls"])
def test_it_says_what_to_install(module: str) -> None:
    """In one line, as an ImportError, for who expects one."""
    program = f"""
import sys
sys.modules["django"] = None  # as if it were not installed
try:
    import {module}
except ImportError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30
    )

    assert (
        'hospital.django needs Django, which is not installed; pip install "hospital[django]"\n'
        == done.stdout
    )
