"""What is told of answers, to an access log if there is one."""

from typing import Any, Protocol

from hospital.logs import get_logger

logger = get_logger("hospital.serving")


class Access(Protocol):
    """What wants to know of each answer."""

    def record(  # noqa: PLR0913, PLR0917 - the facts of an access log; names cost time
        self,
        code: int,
        method: str,
        target: str,
        peer: str,
        duration_s: float,
        sent_bytes: int,
        request_id: str,
    ) -> None:
        """Take note of an answer; *method* is empty where the request was refused unread."""

    def evicted(self, number: int = 1) -> None:
        """Take note of connections that had to make room for others."""


class Recorder:
    """Tells *access* of answers; whatever becomes of that, the answers have left.

    Args:
        access: None for nobody.
    """

    __slots__ = ("_access",)

    def __init__(self, access: Access | None) -> None:
        self._access = access

    def record(  # noqa: PLR0913, PLR0917 - as above
        self,
        code: int,
        method: str,
        target: str,
        address: Any,
        duration_s: float,
        sent_bytes: int,
        request_id: str,
    ) -> None:
        """Tell of an answer to who connected from *address*."""
        if self._access is None:
            return
        peer = address[0] if isinstance(address, tuple) else ""
        try:
            self._access.record(code, method, target, peer, duration_s, sent_bytes, request_id)
        except Exception:
            logger.exception("request_failed")

    def evicted(self) -> None:
        """Tell of a connection that had to make room."""
        if self._access is not None:
            self._access.evicted()
