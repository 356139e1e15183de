"""Which checks a Django project names: its setting ``HEALTHCHECKS``, else the environment."""

import os

from django.conf import settings

from hospital.errors import SettingError
from hospital.settings import NAMES_VARIABLE


def names_of_the_project() -> tuple[str, ...]:
    """Return what ``settings.HEALTHCHECKS`` names; nothing where it is not set.

    It is a list or a tuple of names as ``HealthCheckApp(discover=…)`` takes them, texts and
    paths, or one text as the variable of the environment is.

    Raises:
        SettingError: If it is anything else.
    """
    given = getattr(settings, NAMES_VARIABLE, ())
    if isinstance(given, str):
        return tuple(given.split())
    if isinstance(given, list | tuple) and all(
        isinstance(name, str | os.PathLike) for name in given
    ):
        return tuple(map(os.fsdecode, given))
    what = f"settings.{NAMES_VARIABLE} holds no names:"
    raise SettingError(what, repr(given)[:80], "give a list of texts")
