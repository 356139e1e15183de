"""A Django site in this process: no apps but ours, a database that works and one that does not."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

import django
import pytest
from django.conf import settings
from django.test.utils import override_settings

FOLDER = Path(tempfile.mkdtemp(prefix="hospital-django-"))
DATABASE = FOLDER / "site.sqlite3"

settings.configure(
    ALLOWED_HOSTS=["*"],
    DATABASES={
        "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": DATABASE},
        "broken": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": FOLDER / "missing" / "site.sqlite3",
            "ATOMIC_REQUESTS": True,  # each view but ours needs it
        },
    },
    INSTALLED_APPS=["hospital.django"],
    LOGGING_CONFIG=None,
    ROOT_URLCONF=None,
    SECRET_KEY="of a test",  # noqa: S106 - of a test
    USE_TZ=True,
)
django.setup()


class Site(Protocol):
    """Makes a site of URL patterns and settings, for as long as the block runs."""

    def __call__(self, *patterns: Any, **changed: Any) -> AbstractContextManager[None]:
        """Let the site have these *patterns*, and the settings *changed*."""


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take what concerns hospital out of the environment."""
    for name in [name for name in os.environ if name.startswith(("HOSPITAL_", "HEALTHCHECKS"))]:
        monkeypatch.delenv(name)


@pytest.fixture
def site() -> Site:
    """Return what makes a site."""

    def make(*patterns: Any, **changed: Any) -> AbstractContextManager[None]:
        urls = type("urls", (), {"urlpatterns": patterns})
        made: AbstractContextManager[None] = override_settings(ROOT_URLCONF=urls, **changed)
        return made

    return make


@pytest.fixture(scope="session", autouse=True)
def _folder() -> Iterator[None]:
    """Take the folder of the database away in the end."""
    yield
    DATABASE.unlink(missing_ok=True)
    FOLDER.rmdir()
