"""Ask the Django site of this process, over WSGI and over ASGI, as a server would."""

import io
import json
from dataclasses import dataclass
from typing import Any
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

from asgiref.testing import ApplicationCommunicator
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler


@dataclass(frozen=True)
class Answered:
    """A status, the headers by their names in lower case, the body, and all cookies."""

    status: int
    headers: dict[str, str]
    body: bytes
    cookies: tuple[str, ...] = ()

    @property
    def document(self) -> Any:
        """Return the body as JSON."""
        return json.loads(self.body)


def ask(path: str, method: str = "GET", body: bytes = b"", **environ: Any) -> Answered:
    """Return what the site answers to a request over WSGI."""
    asked: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path.encode().decode("latin-1"),
        "QUERY_STRING": "",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": "localhost:8000",
        **environ,
    }
    if body:
        asked |= {"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
    setup_testing_defaults(asked)
    told: list[tuple[str, list[tuple[str, str]]]] = []

    def start_response(status: str, headers: list[tuple[str, str]], _exc: object = None) -> Any:
        told.append((status, headers))
        return lambda _data: None

    answered: Any = validator(WSGIHandler())(asked, start_response)
    try:
        whole = b"".join(answered)
    finally:
        answered.close()
    ((status, headers),) = told
    cookies = tuple(value for name, value in headers if name == "Set-Cookie")
    by_name = {name.lower(): value for name, value in headers}
    return Answered(int(status[:3]), by_name, whole, cookies)


async def ask_asgi(handler: ASGIHandler, path: str, method: str = "GET") -> Answered:
    """Return what *handler* answers to a request over ASGI."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"localhost:8000"), (b"x-probe", b"1")],
        "client": ("127.0.0.1", 40_000),
        "server": ("127.0.0.1", 8000),
    }
    communicate: Any = ApplicationCommunicator  # whose methods have no types
    site = communicate(handler, scope)
    await site.send_input({"type": "http.request", "body": b"", "more_body": False})
    start = await site.receive_output(timeout=30)
    body, more = b"", True
    while more:
        part = await site.receive_output(timeout=30)
        body += part.get("body", b"")
        more = part.get("more_body", False)
    await site.wait(timeout=30)
    headers = {name.decode().lower(): value.decode() for name, value in start["headers"]}
    cookies = tuple(v.decode() for name, v in start["headers"] if name.lower() == b"set-cookie")
    return Answered(start["status"], headers, body, cookies)
