"""``include("hospital.django.urls")``, and which checks it answers for."""

import importlib
from typing import Any

import pytest
from django.db import transaction
from django.http import HttpResponse
from django.test.utils import override_settings
from django.urls import include, path, reverse

from hospital.django import urls
from tests.django.asking import ask
from tests.django.conftest import Site

PREDICTABLE = "hospital.healthchecks.predictable"


@pytest.fixture(autouse=True)
def included() -> Any:
    """Return the URLs as a process finds them that has not answered yet."""
    return path("healthchecks/", include(importlib.reload(urls)))


def ids_of(document: Any) -> list[str]:
    """Return the ids of the checks that ran."""
    return [detail["id"] for detail in document["details"]]


def test_the_environment_names_the_checks(
    site: Site, included: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``HEALTHCHECKS``, as for every other server."""
    monkeypatch.setenv("HEALTHCHECKS", PREDICTABLE)

    with site(included):
        answered = ask("/healthchecks/")

    assert 200 == answered.status
    assert 1 == len(ids_of(answered.document))


@pytest.mark.parametrize(
    "names", [[PREDICTABLE], (PREDICTABLE,), f" {PREDICTABLE} "], ids=["list", "tuple", "text"]
)
def test_a_setting_of_the_project_comes_first(
    site: Site, included: Any, monkeypatch: pytest.MonkeyPatch, names: Any
) -> None:
    """``HEALTHCHECKS`` in ``settings.py`` is what the project itself says."""
    monkeypatch.setenv("HEALTHCHECKS", "nothing.of.the.kind")

    with site(included, HEALTHCHECKS=names):
        answered = ask("/healthchecks/")

    assert 200 == answered.status, answered.body
    assert all(each.startswith(PREDICTABLE) for each in ids_of(answered.document))


def test_nothing_named_is_an_answer_too(site: Site, included: Any) -> None:
    """Not green, and it says what is missing to who may see it."""
    with site(included):
        answered = ask("/healthchecks/")

    assert 500 == answered.status
    assert ["HEALTHCHECKS names health checks."] == [
        detail["test"] for detail in answered.document["details"]
    ]


def test_a_misspelt_setting_leaves_the_site_alone(
    site: Site, included: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fault is told where health checks are asked for; the shop is open."""
    monkeypatch.setenv("HEALTHCHECKS", PREDICTABLE)
    monkeypatch.setenv("HOSPITAL_REASON", "everyone")

    with site(included, path("shop/", shop)):
        ours, of_the_site = ask("/healthchecks/"), ask("/shop/")

    assert (500, 200) == (ours.status, of_the_site.status)
    assert "The settings can be used." == ours.document["details"][0]["test"]


@transaction.non_atomic_requests(using="broken")
def shop(_request: Any) -> HttpResponse:
    """Be a view of the site."""
    return HttpResponse("the shop")


def test_what_is_below_is_left_to_the_site(site: Site, included: Any) -> None:
    """So that it may have URLs of its own there."""
    with site(included, path("healthchecks/shop/", shop)):
        missing, of_the_site = ask("/healthchecks/nothing/"), ask("/healthchecks/shop/")

    assert (404, 200) == (missing.status, of_the_site.status)


def test_it_has_a_name(site: Site, included: Any) -> None:
    """``reverse("healthchecks")`` finds it."""
    with site(included):
        found = reverse("healthchecks")

    assert "/healthchecks/" == found


def test_the_setting_is_read_when_somebody_asks(site: Site, included: Any) -> None:
    """Importing the URLs asks for nothing."""
    with override_settings(HEALTHCHECKS=5), site(included):
        answered = ask("/healthchecks/")

    assert 500 == answered.status
    assert "HEALTHCHECKS" in answered.document["details"][0]["id"]
