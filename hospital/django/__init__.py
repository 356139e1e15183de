"""Health checks inside of a Django project: a view, URLs to include, ``manage.py healthcheck``.

Rule: the answer of a check never depends on the site around it. A database that is down, a login
that is required, a cache of pages: none of them may answer in the place of the view.
"""

try:
    import django  # noqa: F401 - whether it is there, before anything of it is asked for
except ModuleNotFoundError as error:
    if error.name != "django":
        raise
    what = 'hospital.django needs Django, which is not installed; pip install "hospital[django]"'
    raise ImportError(what) from None

from hospital.django.views import make_wsgi_view

__all__ = ["make_wsgi_view"]
