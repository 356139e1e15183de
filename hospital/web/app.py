"""From a request to a response: environ → source → format → verdict."""

import math
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from hospital.logs import bind, get_logger, unbind
from hospital.web.access import Policy, may_see_reasons
from hospital.web.answers import SERVER_ERROR, Response, build_response
from hospital.web.sources import Source
from hospital.web.tokens import TokenFile

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

TEXT = "text/plain; charset=utf-8"
_LONGEST_ID = 64
_NOT_FOUND = build_response(404, TEXT, b"not found; the health checks answer at the root\n")
_NOT_ALLOWED = build_response(
    405, TEXT, b"method not allowed; use GET or HEAD\n", (("Allow", "GET, HEAD"),)
)
_BROKEN = build_response(SERVER_ERROR, TEXT, b"internal error; the log tells more\n")


class WebApp:
    """A WSGI application that answers GET and HEAD of its root with what *source* says.

    Args:
        source: Where answers come from.
        policy: Who may see reasons.
        token_file: Holds the token, in place of the policy's own.
        clock: The clock of *source*.
    """

    def __init__(
        self,
        source: Source,
        policy: Policy,
        token_file: TokenFile | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._policy = policy
        self._token_file = token_file
        self._clock = clock

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Answer the request of *environ*; what is logged meanwhile says which request it was."""
        request_id = environ.get("HTTP_X_REQUEST_ID")
        token = bind(request_id=str(request_id)[:_LONGEST_ID]) if request_id else None
        try:
            response, headers = self._answer(environ)
        except Exception:  # noqa: BLE001 - no traceback reaches a client
            get_logger("hospital.web").exception("request_failed")
            response, headers = _BROKEN, [*_BROKEN.headers]
        finally:
            if token is not None:
                unbind(token)
        start_response(response.status, headers)
        return [] if environ.get("REQUEST_METHOD") == "HEAD" else [response.body]

    def prepare(self, timeout_s: float) -> str:
        """Load what answers need, waiting *timeout_s* at most; return in one line what is wrong."""
        return self._source.prepare(timeout_s)

    def close(self) -> None:
        """End everything that was started; who asks later gets a 503."""
        self._source.close()

    def _answer(self, environ: "WSGIEnvironment") -> tuple[Response, list[tuple[str, str]]]:
        if environ.get("PATH_INFO", "") not in {"", "/"}:
            return _NOT_FOUND, [*_NOT_FOUND.headers]
        if environ.get("REQUEST_METHOD") not in {"GET", "HEAD"}:
            return _NOT_ALLOWED, [*_NOT_ALLOWED.headers]
        answer = self._source.get()
        response = answer.response(reasons=may_see_reasons(environ, self._policy_of(environ)))
        headers = [*response.headers]  # a copy: servers add to it
        if answer.began_at is not None:
            headers.append(("Age", str(math.ceil(self._clock() - answer.began_at))))
        return response, headers

    def _policy_of(self, environ: "WSGIEnvironment") -> Policy:
        if self._token_file is None or "HTTP_AUTHORIZATION" not in environ:
            return self._policy
        return Policy(self._policy.reasons, self._token_file.read())
