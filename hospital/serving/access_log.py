"""The access log: quiet for healthy probes, and at once for everything else.

Rules: an answer that is as it should be costs a count and no line; whatever the clients do, the
log gets a bounded number of lines a second, unless somebody wants a line for each answer, and this
holds a bounded number of numbers; no query string and no header is written down, for secrets stand
there.
"""

import math
import time
from bisect import bisect_left
from collections.abc import Callable

from hospital.logs import Logger
from hospital.redaction import clean_line

SUMMARY_EVERY_S = 60.0
MOST_LINES_A_SECOND = 50
LONGEST_PATH = 200
_MOST_CODES = 40
_OTHER = 0
_SUCCESS = range(200, 300)
_NOT_MODIFIED = 304
_SERVER_ERROR = 500

# Four buckets for each doubling, from 10 µs to over a minute: a quantile is right within a fifth.
_BOUNDS_S = tuple(1e-5 * 2 ** (step / 4) for step in range(92))


class AccessLog:
    """Counts answers, and logs those that somebody should see.

    Args:
        kind: ``summary``: one line a minute, and each answer that is neither 2xx nor 304;
            ``all``: each answer beside that; ``off``: nothing.
        logger: Where the lines go.
        clock: Seconds that only ever grow.
    """

    def __init__(
        self, kind: str, logger: Logger, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._logger = logger
        self._clock = clock
        self._is_off = kind == "off"
        self._tells_all = kind == "all"
        self._second_began = -math.inf
        self._lines = 0
        self._suppressed = 0
        self._begin()

    def _begin(self) -> None:
        self._began = self._clock()
        self._codes: dict[int, int] = {}
        self._buckets = [0] * (len(_BOUNDS_S) + 1)
        self._longest_s = 0.0
        self._bytes = 0
        self._evicted = 0

    def record(  # noqa: PLR0913, PLR0917 - what there is to say of an answer; names cost time
        self,
        code: int,
        method: str,
        target: str,
        peer: str,
        duration_s: float,
        sent_bytes: int,
        request_id: str,
    ) -> None:
        """Take note of an answer.

        Args:
            code: Its status.
            method: That of the request; empty where it could not be read.
            target: What was asked for, with its query.
            peer: Who asked.
            duration_s: From when the application is given the request, which has arrived whole,
                until the last byte of the answer is handed to the system and the application has
                closed it: so the wait for a client that does not read counts, the time in which
                the request arrived or waited for its turn does not. 0 for a refusal.
            sent_bytes: Bytes of the answer.
            request_id: Stands in the answer's ``X-Request-Id`` too.
        """
        if self._is_off:
            return
        codes = self._codes
        if code in codes:
            codes[code] += 1
        else:
            self._count_new(code)
        self._bytes += sent_bytes
        self._buckets[bisect_left(_BOUNDS_S, duration_s)] += 1
        if duration_s > self._longest_s:  # noqa: PLR1730 - max() costs a call
            self._longest_s = duration_s
        if code in _SUCCESS and not self._tells_all:
            return
        if self._tells_all or (code != _NOT_MODIFIED and self._may_tell()):
            fields = {
                "method": method,
                "path": clean_line(target.partition("?")[0], LONGEST_PATH),
                "status": code,
                "duration_ms": _milliseconds(duration_s),
                "bytes": sent_bytes,
                "peer": peer,
                "request_id": request_id,
                **self._take_suppressed(),
            }
            if code >= _SERVER_ERROR:
                self._logger.warning("request_answered", **fields)
            else:
                self._logger.info("request_answered", **fields)

    def evicted(self, number: int = 1) -> None:
        """Take note of connections that had to make room for others."""
        self._evicted += number

    def tick(self) -> None:
        """Log the summary when its time has come; to be called again and again."""
        if self._is_off:
            return
        if not self._codes and not self._evicted:
            self._began = self._clock()
        elif self._clock() - self._began >= SUMMARY_EVERY_S:
            self.summarize()

    def summarize(self) -> None:
        """Log what there was since the last summary, if there was anything."""
        if not self._codes and not self._evicted:
            return
        seconds = self._clock() - self._began
        number = sum(self._codes.values())
        fields: dict[str, object] = {
            "number": number,
            "seconds": round(seconds, 1),
            "statuses": {str(code or "other"): self._codes[code] for code in sorted(self._codes)},
            "bytes": self._bytes,
            "median_ms": _milliseconds(self._quantile_s(0.5, number)),
            "p99_ms": _milliseconds(self._quantile_s(0.99, number)),
            "max_ms": _milliseconds(self._longest_s),
        }
        if self._evicted:
            fields["evicted"] = self._evicted
        self._begin()
        self._logger.info("requests_served", **fields, **self._take_suppressed())

    def _count_new(self, code: int) -> None:
        known = code if len(self._codes) < _MOST_CODES else _OTHER
        self._codes[known] = self._codes.get(known, 0) + 1

    def _may_tell(self) -> bool:
        """Return whether a line may be written now; where not, it is counted."""
        now = self._clock()
        if now - self._second_began >= 1.0:
            self._second_began, self._lines = now, 0
        self._lines += 1
        if self._lines > MOST_LINES_A_SECOND:
            self._suppressed += 1
            return False
        return True

    def _take_suppressed(self) -> dict[str, int]:
        number, self._suppressed = self._suppressed, 0
        return {"suppressed": number} if number else {}

    def _quantile_s(self, share: float, number: int) -> float:
        """Return the upper end of the bucket that holds the quantile."""
        wanted, seen = max(1, math.ceil(share * number)), 0
        for bound, count in zip(_BOUNDS_S, self._buckets, strict=False):
            seen += count
            if seen >= wanted:
                return min(bound, self._longest_s)
        return self._longest_s


def _milliseconds(seconds: float) -> float:
    """Return *seconds* in milliseconds, to a microsecond.

    >>> _milliseconds(0.0123456)
    12.346
    """
    return round(seconds * 1000, 3)
