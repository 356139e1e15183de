"""A WSGI application as a view: where it is mounted, what it is asked, what is answered."""

import gzip
import json
import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpResponse
from django.urls import include, path, re_path

from hospital.django import make_wsgi_view
from hospital.model import Outcome, Report, Status
from hospital.running.executor import Catalog, Selection
from hospital.wsgi import HealthCheckApp
from tests.django.asking import ask
from tests.django.conftest import Site

PREDICTABLE = "hospital.healthchecks.predictable"
MIDDLEWARE = [
    "django.middleware.cache.UpdateCacheMiddleware",
    "django.middleware.gzip.GZipMiddleware",
    "django.middleware.http.ConditionalGetMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django.middleware.cache.FetchFromCacheMiddleware",
]


class FakeExecutor:
    """Finds what it is told to find."""

    def __init__(self, status: Status = Status.PASS) -> None:
        self.status = status
        self.runs = 0

    def run(self, *_args: Any, **_kwargs: Any) -> Report:
        self.runs += 1
        return Report((Outcome(id="a", title="a", status=self.status, reason="because"),))

    def collect(self, _selection: Selection) -> Catalog:
        return Catalog((), ())

    def close(self) -> None:
        pass


@pytest.fixture
def executor() -> FakeExecutor:
    """Return what runs the checks of ``mounted``."""
    return FakeExecutor()


@pytest.fixture
def mounted(executor: FakeExecutor) -> Iterator[Any]:
    """Return the URL pattern of 2014, with an application behind it."""
    app = HealthCheckApp("checks", executor=executor, token="s3cret")  # noqa: S106 - of a test
    yield re_path(r"^healthchecks(/.*)$", make_wsgi_view(app))
    app.close()


def tells_where(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """Answer with the place where this application is mounted, and what it is asked."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{environ['SCRIPT_NAME']}|{environ['PATH_INFO']}".encode("latin-1")]


VIEW = make_wsgi_view(tells_where)


@pytest.mark.parametrize(
    ("pattern", "asked", "told"),
    [
        (re_path(r"^healthchecks(/.*)$", VIEW), "/healthchecks/", "/healthchecks|/"),
        (re_path(r"^healthchecks(/.*)$", VIEW), "/healthchecks/db", "/healthchecks|/db"),
        (re_path(r"^healthchecks(/.*)?$", VIEW), "/healthchecks", "/healthchecks|"),
        (re_path(r"^healthchecks/(.*)$", VIEW), "/healthchecks/", "/healthchecks|/"),
        (re_path(r"^healthchecks/(.*)$", VIEW), "/healthchecks/db", "/healthchecks|/db"),
        (re_path(r"^health(?P<path_info>/.*)$", VIEW), "/health/db", "/health|/db"),
        (path("healthchecks", VIEW), "/healthchecks", "/healthchecks|"),
        (path("healthchecks/", VIEW), "/healthchecks/", "/healthchecks|/"),
        (path("<slug:shop>/health/", VIEW), "/north/health/", "/north/health|/"),
        (path("a/", include([path("b/", VIEW)])), "/a/b/", "/a/b|/"),
        (path("", VIEW), "/", "|/"),
        (re_path(r"^santé(/.*)$", VIEW), "/santé/é", "/santé|/é"),
    ],
)
def test_the_pattern_says_where_it_is_mounted(
    site: Site, pattern: Any, asked: str, told: str
) -> None:
    """What it captured is ``PATH_INFO``, what stands before joins ``SCRIPT_NAME``."""
    with site(pattern):
        answered = ask(asked)

    assert told == answered.body.decode()


def test_a_site_under_a_prefix_keeps_it(site: Site) -> None:
    """The server's own ``SCRIPT_NAME`` comes first."""
    with site(re_path(r"^healthchecks(/.*)$", VIEW)):
        answered = ask("/healthchecks/", SCRIPT_NAME="/shop")

    assert b"/shop/healthchecks|/" == answered.body


def test_a_group_that_is_not_the_end_is_told(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """The pattern is at fault; the log of the site says which one would do."""
    with site(re_path(r"^(\w+)/healthchecks/$", VIEW)):
        answered = ask("/north/healthchecks/")

    assert 500 == answered.status
    (record,) = [each for each in caplog.records if each.exc_info]
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], ImproperlyConfigured)
    assert "captured 'north'" in str(record.exc_info[1])


def test_it_answers_as_in_2014(site: Site) -> None:
    """``HealthCheckApp(discover=[…])`` runs the checks, in threads of the site."""
    app = HealthCheckApp(discover=[PREDICTABLE])
    with site(re_path(r"^healthchecks(/.*)$", make_wsgi_view(app))):
        answered = ask("/healthchecks/")
    app.close()

    assert 200 == answered.status
    assert "pass" == answered.document["status"]
    assert ["Health checks are collected."] == [
        detail["test"] for detail in answered.document["details"]
    ]


def test_the_headers_are_kept(site: Site, mounted: Any) -> None:
    """All that the application sends, and no more."""
    with site(mounted):
        answered = ask("/healthchecks/")

    assert {
        "content-type": "application/json; charset=utf-8",
        "content-length": str(len(answered.body)),
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
        "age": answered.headers["age"],
    } == answered.headers
    assert 0 <= int(answered.headers["age"]) <= 60


def test_head_has_the_length_and_no_body(site: Site, mounted: Any) -> None:
    """As without Django."""
    with site(mounted):
        got, head = ask("/healthchecks/"), ask("/healthchecks/", "HEAD")

    assert (200, b"") == (head.status, head.body)
    assert str(len(got.body)) == head.headers["content-length"]


def test_what_is_below_is_not_found(site: Site, mounted: Any, executor: FakeExecutor) -> None:
    """It is the application's 404, and no run."""
    with site(mounted):
        answered = ask("/healthchecks/nothing")

    assert (404, 0) == (answered.status, executor.runs)
    assert b"the health checks answer at the root" in answered.body


def test_post_is_the_applications_to_refuse(site: Site, mounted: Any) -> None:
    """With 405; Django's guard against forged requests does not come before it."""
    with site(mounted, MIDDLEWARE=MIDDLEWARE):
        answered = ask("/healthchecks/", "POST", b"a=b")

    assert 405 == answered.status
    assert "GET, HEAD" == answered.headers["allow"]


@pytest.mark.parametrize(
    ("environ", "sees"),
    [({}, False), ({"HTTP_AUTHORIZATION": "Bearer s3cret"}, True)],
    ids=["a stranger", "with the token"],
)
def test_reasons_are_for_who_may_see_them(
    site: Site,
    mounted: Any,
    executor: FakeExecutor,
    environ: dict[str, Any],
    sees: bool,  # noqa: FBT001 - an example's
) -> None:
    """The headers reach the application."""
    executor.status = Status.FAIL
    with site(mounted):
        answered = ask("/healthchecks/", **environ)

    assert 500 == answered.status
    assert sees is (b"because" in answered.body)


@pytest.mark.parametrize(
    ("environ", "sees"),
    [({}, True), ({"HTTP_X_FORWARDED_FOR": "192.0.2.1"}, False), ({"HTTP_HOST": "shop"}, False)],
    ids=["direct", "forwarded", "by another name"],
)
def test_loopback_is_told_from_a_proxy(
    site: Site,
    environ: dict[str, Any],
    sees: bool,  # noqa: FBT001 - an example's
) -> None:
    """Peer, Host and forwarding headers reach the application too."""
    app = HealthCheckApp("checks", executor=FakeExecutor(Status.FAIL), reasons="loopback")
    with site(path("healthchecks/", make_wsgi_view(app))):
        answered = ask("/healthchecks/", **environ)
    app.close()

    assert sees is (b"because" in answered.body)


def test_a_cache_of_pages_never_answers(site: Site, mounted: Any, executor: FakeExecutor) -> None:
    """It would keep a green answer for ten minutes while the site is ill."""
    with site(mounted, MIDDLEWARE=MIDDLEWARE):
        green = ask("/healthchecks/")
        executor.status = Status.FAIL
        red = ask("/healthchecks/")

    assert (200, 500) == (green.status, red.status)
    assert 2 == executor.runs


def test_middleware_may_pack_the_answer(site: Site, mounted: Any) -> None:
    """``GZipMiddleware`` packs it and corrects the length."""
    with site(mounted, MIDDLEWARE=MIDDLEWARE):
        plain = ask("/healthchecks/")
        packed = ask("/healthchecks/", HTTP_ACCEPT_ENCODING="gzip")

    assert "gzip" == packed.headers["content-encoding"]
    assert str(len(packed.body)) == packed.headers["content-length"]
    assert plain.document["summary"] == json.loads(gzip.decompress(packed.body))["summary"]


def test_a_slash_that_is_missing_is_a_redirect(site: Site, mounted: Any) -> None:
    """``APPEND_SLASH`` works for the pattern of 2014; a probe asks with the slash."""
    with site(mounted, MIDDLEWARE=MIDDLEWARE):
        answered = ask("/healthchecks")

    assert 301 == answered.status
    assert "/healthchecks/" == answered.headers["location"]


def test_no_login_is_asked_for(site: Site, mounted: Any) -> None:
    """Where each view of a site needs one, this one needs none."""
    middleware = ["tests.django.test_views.ask_for_a_login"]
    with site(mounted, path("shop/", shop), MIDDLEWARE=middleware):
        of_the_site, ours = ask("/shop/"), ask("/healthchecks/")

    assert (302, 200) == (of_the_site.status, ours.status)


def ask_for_a_login(get_response: Any) -> Any:
    """Do as LoginRequiredMiddleware does, whose own module takes the whole of contrib.auth."""

    class Middleware:
        def __call__(self, request: Any) -> Any:
            return get_response(request)

        def process_view(self, _request: Any, view: Any, _args: Any, _kwargs: Any) -> Any:
            return HttpResponse(status=302) if getattr(view, "login_required", True) else None

    return Middleware()


def shop(_request: Any) -> HttpResponse:
    """Be a view of the site that is not ours."""
    return HttpResponse("the shop")


def test_no_transaction_is_opened(site: Site, mounted: Any) -> None:
    """Under ``ATOMIC_REQUESTS`` a database that is down would answer in our place."""
    with site(mounted, path("shop/", shop)):
        of_the_site, ours = ask("/shop/"), ask("/healthchecks/")

    assert (500, 200) == (of_the_site.status, ours.status)


def test_a_red_answer_is_no_fault_of_the_site(
    site: Site, mounted: Any, executor: FakeExecutor, caplog: pytest.LogCaptureFixture
) -> None:
    """Django would log each as an error, which goes to the ADMINS by mail."""
    executor.status = Status.FAIL
    with site(mounted), caplog.at_level(logging.DEBUG, "django"):
        answered = ask("/healthchecks/")

    assert 500 == answered.status
    assert [] == [record.getMessage() for record in caplog.records if record.name != "asyncio"]


def test_any_wsgi_application_may_be_mounted(site: Site) -> None:
    """With ``write``, repeated headers, cookies and a body that wants to be closed."""
    closed = []

    class Body:
        def __iter__(self) -> Iterator[bytes]:
            yield b" and iterated"

        def close(self) -> None:
            closed.append(True)

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        headers = [("Vary", "a"), ("Vary", "b"), ("Set-Cookie", "c=1"), ("Set-Cookie", "d=2")]
        write = start_response("201 Made", [("Content-Type", "text/plain"), *headers])
        write(environ["wsgi.input"].read() + b" written")
        return Body()

    with site(path("any/", make_wsgi_view(app))):
        answered = ask("/any/", "POST", b"sent,")

    assert (201, b"sent, written and iterated") == (answered.status, answered.body)
    assert "a, b" == answered.headers["vary"]
    assert ["c=1", "d=2"] == [cookie.strip() for cookie in answered.cookies]
    assert [True] == closed


def test_a_request_that_was_read_can_be_read_again(site: Site) -> None:
    """A middleware that looked at the form leaves something to the application."""

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [environ["wsgi.input"].read()]

    middleware = ["tests.django.test_views.read_all"]
    with site(path("any/", make_wsgi_view(app)), MIDDLEWARE=middleware):
        answered = ask("/any/", "POST", b"sent")

    assert b"sent" == answered.body


def read_all(get_response: Any) -> Any:
    """Read the body before the view does."""

    def middleware(request: Any) -> Any:
        assert request.body
        return get_response(request)

    return middleware
