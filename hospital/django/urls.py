"""URLs to include: ``path("healthchecks/", include("hospital.django.urls"))``.

They answer for the checks that ``settings.HEALTHCHECKS`` names, else for those of the
environment, under the settings ``HOSPITAL_*``.

Rule: a fault of these settings is told to who asks for health checks; the rest of the site works.
"""

from django.urls import path

from hospital.django.names import names_of_the_project
from hospital.django.views import make_wsgi_view
from hospital.wsgi import HealthCheckApp, LazyApp


def _build() -> HealthCheckApp:
    return HealthCheckApp(discover=names_of_the_project())


urlpatterns = [path("", make_wsgi_view(LazyApp(_build)), name="healthchecks")]
