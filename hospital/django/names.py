"""Which checks a Django project names: its setting ``HEALTHCHECKS``, else the environment."""

import os

from django.conf import settings

from hospital.errors import SettingError
from hospital.settings import NAMES_VARIABLE


def names_of_the_project() -> tuple[str, ...]:
    """Return what ``settings.HEALTHCHECKS`` names; nothing where it is not set.

    It holds names as ``HealthCheckApp(discover=…)`` takes them, or one text as the variable of
    the environment does.

    Raises:
        SettingError: If it holds anything else.
    """
    given = getattr(settings, NAMES_VARIABLE, ())
    try:
        return tuple(given.split() if isinstance(given, str) else map(os.fspath, given))
    except TypeError:
        what = f"settings.{NAMES_VARIABLE} holds no names:"
        raise SettingError(what, repr(given)[:80], "give a list of texts") from None
