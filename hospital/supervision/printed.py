"""What one process prints on one channel: from the bytes of each read to the lines of the log.

Rule: nothing here reads or writes; it is given bytes, and returns lines.
"""

from collections.abc import Callable

from hospital.supervision.event_lines import LONGEST_TEXT, is_event

LONGEST_LINE = 65_536
"""Bytes after which a line that does not end is cut; hospital's own have half of that at most."""

_LONGEST_BLOCK = LONGEST_TEXT - 500


class Printed:
    """Keeps what is not whole yet, and tells events from everything else.

    Args:
        log_format: ``json`` or ``console``.
        wrap: Makes a line of the log of text that is no event. It is given the text, the number
            of lines in it, and whether its end is missing.
    """

    def __init__(self, log_format: str, wrap: Callable[[bytes, int, bool], bytes]) -> None:
        self._log_format = log_format
        self._wrap = wrap
        self._rest = b""
        self._block: list[bytes] = []
        self._block_bytes = 0
        self._is_skipping = False
        self.taken_at = 0.0
        """When something was printed last; kept by the owner."""

    @property
    def has_block(self) -> bool:
        """Whether lines are gathered that are no events."""
        return bool(self._block)

    @property
    def has_rest(self) -> bool:
        """Whether there is the beginning of a line."""
        return bool(self._rest)

    def take(self, data: bytes) -> bytes:
        """Return the lines that are whole with *data*; what else was printed is kept back."""
        if self._is_skipping:
            _, end, data = data.partition(b"\n")
            if not end:
                return b""
            self._is_skipping = False
        whole, end, rest = data.rpartition(b"\n")
        lines: list[bytes] = []
        if end:
            for line in (self._rest + whole).split(b"\n"):
                self._sort(line, lines)
            self._rest = rest
        else:
            self._rest += rest
        if len(self._rest) > LONGEST_LINE:
            self._sort(self._rest, lines)
            self._rest, self._is_skipping = b"", True
        return b"".join(lines)

    def flush(self) -> bytes:
        """Return what was gathered, as one line."""
        block, self._block, self._block_bytes = self._block, [], 0
        return self._wrap(b"\n".join(block), len(block), False) if block else b""  # noqa: FBT003 - a callable has no keywords

    def end(self) -> bytes:
        """Return everything that is left, the beginning of a line included.

        Of an event that its process could not finish, the end is missing.
        """
        lines: list[bytes] = []
        rest, self._rest = self._rest, b""
        if rest.startswith(b"{") and not is_event(rest, self._log_format):
            lines += [self.flush(), self._wrap(rest, 1, True)]  # noqa: FBT003 - likewise
        elif rest:
            self._sort(rest, lines)
        return b"".join([*lines, self.flush()])

    def _sort(self, line: bytes, lines: list[bytes]) -> None:
        if len(line) > LONGEST_LINE:
            lines += [self.flush(), self._wrap(line[:LONGEST_LINE], 1, True)]  # noqa: FBT003 - likewise
        elif is_event(line, self._log_format):
            lines += [self.flush(), line, b"\n"]
        else:
            if self._block_bytes + len(line) > _LONGEST_BLOCK:
                lines.append(self.flush())
            self._block.append(line)
            self._block_bytes += len(line) + 1
