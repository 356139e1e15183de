"""How late this machine is by itself, measured beside a test that is about deadlines.

A process of its own does nothing but wake up. What it oversleeps, nothing that is tested could
have done better: machines are shared.
"""

import subprocess
import sys
from types import TracebackType
from typing import Self

_PROGRAM = """
import select, sys, time
longest = 0.0
print("ready", flush=True)
while True:
    due = time.monotonic() + 0.01
    if select.select([sys.stdin], [], [], 0.01)[0]:
        break
    longest = max(longest, time.monotonic() - due)
print(longest)
"""


class Stalls:
    """Measures from the beginning of the block to its end.

    Attributes:
        longest_s: After the block: the longest that this machine kept somebody waiting who
            wanted nothing but to run, seconds.
    """

    def __init__(self) -> None:
        self.longest_s = 0.0
        self._process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        assert self._process.stdout is not None
        assert "ready\n" == self._process.stdout.readline()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        said, _ = self._process.communicate("end\n", timeout=30)
        self.longest_s = float(said)
