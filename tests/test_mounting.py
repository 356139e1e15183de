"""hospital under a prefix of somebody else's site.

``SCRIPT_NAME`` says where it is mounted, ``PATH_INFO`` what is asked there.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest

from hospital.wsgi import HealthCheckApp
from tests import own_network
from tests.own_network import OwnNetwork

PREDICTABLE = "hospital.healthchecks.predictable"


def shop(_environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Be the rest of the site."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"the shop"]


class Dispatcher:
    """Mount an application under a prefix, as uWSGI's mount and mod_wsgi's alias do."""

    def __init__(self, prefix: str, mounted: Any) -> None:
        self.prefix = prefix
        self.mounted = mounted

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path != self.prefix and not path.startswith(f"{self.prefix}/"):
            return shop(environ, start_response)
        environ["SCRIPT_NAME"] += self.prefix
        environ["PATH_INFO"] = path.removeprefix(self.prefix)
        answered: Iterable[bytes] = self.mounted(environ, start_response)
        return answered


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/site/health", 200),
        ("/site/health/", 200),
        ("/site/health/nothing", 404),
        ("/site/health//", 404),
        ("/site/healthy", 200),
    ],
)
def test_it_answers_under_a_prefix(path: str, status: int) -> None:
    """With and without a slash at the end, whatever the server says of the prefix before."""
    app = HealthCheckApp(PREDICTABLE)
    site = Dispatcher("/site", Dispatcher("/health", app))
    environ: dict[str, Any] = {"SCRIPT_NAME": "", "PATH_INFO": path, "QUERY_STRING": ""}
    setup_testing_defaults(environ)
    told: list[str] = []

    def start_response(status: str, _headers: object, _exc: object = None, /) -> Any:
        told.append(status)
        return lambda _data: None

    answered: Any = validator(site)(environ, start_response)
    body = b"".join(answered)
    answered.close()
    app.close()

    assert status == int(told[0][:3])
    assert (b"the shop" == body) is (path == "/site/healthy")


@pytest.mark.parametrize(
    ("line", "port", "environ", "options"),
    [
        ("gunicorn hospital.wsgi:application", 8000, {"SCRIPT_NAME": "/health"}, ()),
        ("gunicorn hospital.wsgi:application", 8000, {}, ("--header", "SCRIPT_NAME: /health")),
        ("waitress-serve --url-prefix=/health hospital.wsgi:application", 8080, {}, ()),
    ],
    ids=["gunicorn by its environment", "gunicorn by its proxy", "waitress"],
)
def test_servers_know_of_prefixes(
    line: str, port: int, environ: dict[str, str], options: tuple[str, ...], tmp_path: Path
) -> None:
    """What they say reaches the application as ``SCRIPT_NAME``; ``PATH_INFO`` may be empty."""
    if reason := own_network.missing():
        pytest.skip(reason)

    with OwnNetwork(line, tmp_path, HEALTHCHECKS=PREDICTABLE, **environ) as machine:
        asked = ("/health", "/health/", "/health/nothing")
        statuses = [machine.curl(port, path, *options)[0] for path in asked]

    assert [200, 200, 404] == statuses
