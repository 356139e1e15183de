"""What checks print, as events in the log: so many lines a check and run, and no more."""

import threading

from hospital.logs import Logger

MOST_LINES = 100


class CheckOutput:
    """Takes what checks print, and logs it line by line.

    Args:
        logger: Where it goes.
    """

    def __init__(self, logger: Logger) -> None:
        self._logger = logger
        self._lock = threading.Lock()
        self._lines: dict[str, int] = {}

    def __call__(self, check_id: str, text: str) -> None:
        """Log the lines of *text*, which the check *check_id* printed."""
        lines = [line for line in text.split("\n") if line.strip()]
        with self._lock:
            before = self._lines.get(check_id, 0)
            self._lines[check_id] = before + len(lines)
        for line in lines[: max(0, MOST_LINES - before)]:
            self._logger.info("check_output", check=check_id, line=line)

    def end_run(self) -> None:
        """Say how much each check printed beyond what was logged, and begin anew."""
        with self._lock:
            counted, self._lines = self._lines, {}
        for check_id, number in counted.items():
            if number > MOST_LINES:
                cut = number - MOST_LINES
                self._logger.warning("check_output_cut", check=check_id, lines=cut)
