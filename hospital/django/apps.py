"""What ``INSTALLED_APPS = ["hospital.django"]`` installs: the command ``healthcheck``."""

from django.apps import AppConfig


class HospitalConfig(AppConfig):  # type: ignore[misc]  # Django brings no types
    """An application without models; its label leaves "django" to others."""

    name = "hospital.django"
    label = "hospital"
    verbose_name = "Health checks"
