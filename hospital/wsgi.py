"""The WSGI applications: one to build with arguments, one that the environment describes.

``gunicorn hospital.wsgi:application`` serves the checks that ``HEALTHCHECKS`` names. Inside an
application of your own, ``HealthCheckApp(discover=["shop.healthchecks"])`` is a WSGI application
to mount. Both follow ``HOSPITAL_*``; what is given as an argument counts before it.
"""

import os
import threading
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from hospital.durations import parse_duration
from hospital.errors import HospitalError, SettingError
from hospital.settings import EXECUTORS, NAMES_VARIABLE, REASONS, Settings, one_of, read_settings

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

    from hospital.running.executor import Executor
    from hospital.running.output import OnOutput
    from hospital.web.access import Policy
    from hospital.web.app import WebApp
    from hospital.web.tokens import TokenFile

_NICE = 10
"""Wards yield to what they watch, and to the worker that answers."""

_STATUSES_OF_FAILURE = range(400, 600)
Names = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]


class HealthCheckApp:
    """A WSGI application that runs checks when it is asked, and answers with JSON.

    An argument that is None means the setting of the environment; without *discover* and *names*
    that is ``HEALTHCHECKS``. Nothing runs, and no thread or process is started, before the
    first request; each process has its own, so it may be built before a server forks.

    Args:
        discover: Names of packages, modules, classes, functions; files; folders. One may be
            written without a list.
        names: More of the same.
        timeout: Seconds that a check may take which does not say otherwise (or ``"500ms"``).
        cache_ttl: Seconds for which a report is served again after its run has ended; 0 for a
            run with each request, which those share that come while it is under way.
        tags: A check must have one of these tags; empty for any.
        exclude: Tags, ids, dotted prefixes or patterns of what is left out.
        executor: ``auto``, ``ward`` or ``thread``; or an object with the methods of
            ``hospital.running.executor.Executor``, which this application closes.
        reasons: Who may see reasons: ``token``, ``loopback`` or ``everyone``.
        token: The bearer token for reasons, in place of the file's.
        fail_status: HTTP status when not green, 400 to 599.
        request_timeout: Seconds after which a request is answered in any case.

    Raises:
        SettingError: If an argument or a setting cannot be used, or nothing is named.

    >>> app = HealthCheckApp(discover=["hospital.healthchecks.predictable"], cache_ttl="5s")
    >>> HealthCheckApp("shop.healthchecks", executor="threads")
    Traceback (most recent call last):
      ...
    hospital.errors.SettingError: executor is unknown: 'threads'; did you mean 'thread'?
    """

    def __init__(  # noqa: PLR0913 - each is a setting of its own
        self,
        discover: Names = (),
        names: Names = (),
        *,
        timeout: float | str | None = None,
        cache_ttl: float | str | None = None,
        tags: str | Iterable[str] = (),
        exclude: str | Iterable[str] = (),
        executor: "str | Executor | None" = None,
        reasons: str | None = None,
        token: str | None = None,
        fail_status: int | None = None,
        request_timeout: float | str | None = None,
    ) -> None:
        from hospital.running.executor import Selection
        from hospital.web.app import WebApp
        from hospital.web.runs import Plan
        from hospital.web.sources import OnDemandSource

        settings = read_settings()
        wanted = (*_read_names("discover", discover), *_read_names("names", names))
        named = tuple(dict.fromkeys(wanted)) or settings.names
        if not named:
            remedy = f"set {NAMES_VARIABLE}, or name them: HealthCheckApp(discover=['…'])"
            raise SettingError("no health checks are named", "", remedy)
        timeout_s = _seconds("timeout", timeout, settings.check_timeout_s)
        plan = Plan(
            selection=Selection(named, _read_names("tags", tags), _read_names("exclude", exclude)),
            make_executor=_maker(settings.executor if executor is None else executor, timeout_s),
            ttl_s=_seconds("cache_ttl", cache_ttl, settings.cache_ttl_s, zero=True),
            request_timeout_s=_seconds(
                "request_timeout", request_timeout, settings.request_timeout_s
            ),
            fail_status=settings.fail_status if fail_status is None else _failing(fail_status),
        )
        who = settings.reasons if reasons is None else one_of("reasons", reasons, REASONS)
        self._app = WebApp(OnDemandSource(plan), *_access(who, settings, token))

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Answer a request."""
        return self._app(environ, start_response)

    def prepare(self, timeout_s: float) -> str:
        """Load the checks before the first request, waiting *timeout_s* at most.

        A server may call it in the process that will answer, once nothing forks any more.

        Returns:
            One line that says what could not be loaded; empty where all is well.
        """
        return self._app.prepare(timeout_s)

    def close(self) -> None:
        """End everything that was started; who asks later gets a 503."""
        self._app.close()


def _maker(executor: "str | Executor", timeout_s: float) -> "Callable[[OnOutput], Executor]":
    """Return what makes the executor when the first run wants it."""
    if not isinstance(executor, str):
        if not callable(getattr(executor, "run", None)):
            choices = f"use one of {', '.join(EXECUTORS)}"
            raise SettingError("executor cannot run checks:", repr(executor)[:80], choices)
        return lambda _on_output: executor
    kind = one_of("executor", executor, EXECUTORS)

    def make(on_output: "OnOutput") -> "Executor":
        from hospital.running.choose import make_executor

        return make_executor(kind, timeout_s=timeout_s, nice=_NICE, on_output=on_output)

    return make


def _access(
    reasons: str, settings: Settings, token: str | None = None
) -> "tuple[Policy, TokenFile | None]":
    """Return who may see reasons, and where the token stands if it is not given."""
    from hospital.web.access import Policy, require_token
    from hospital.web.tokens import TokenFile

    if token is not None:
        return Policy(reasons, require_token(token)), None
    file = settings.token_file
    return Policy(reasons), None if file is None else TokenFile(file)


def _read_names(argument: str, given: Names) -> tuple[str, ...]:
    each = (given,) if isinstance(given, str | os.PathLike) else given
    try:
        names = tuple(os.fspath(name) for name in each)
    except TypeError:
        names = ("",)
    if not all(isinstance(name, str) and name.strip() for name in names):
        raise SettingError(f"{argument} holds no names:", repr(given)[:80], "give a list of texts")
    return names


def _seconds(
    argument: str, given: float | str | None, setting: float, *, zero: bool = False
) -> float:
    return setting if given is None else parse_duration(given, argument, zero=zero)


def _failing(status: int) -> int:
    if isinstance(status, bool) or status not in _STATUSES_OF_FAILURE:
        raise SettingError(
            "fail_status is no HTTP status of failure:", repr(status)[:80], "write 400 to 599"
        )
    return int(status)


class LazyApp:
    """An application that is built with the first request.

    Where it cannot be built, each request is answered with a 500 that says why.

    Args:
        build: Returns the application; by default the one that the environment describes.
    """

    __slots__ = ("__dict__", "_make")  # the dictionary holds what the first request has made

    def __init__(self, build: Callable[[], HealthCheckApp] = HealthCheckApp) -> None:
        self._make = build

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Answer a request."""
        app = self.__dict__.get("app")
        return (self._build() if app is None else app)(environ, start_response)

    def prepare(self, timeout_s: float) -> str:
        """Build the application, and load its checks; see :meth:`HealthCheckApp.prepare`."""
        return self._build().prepare(timeout_s)

    def close(self) -> None:
        """End everything that was started, and forget it: the next request builds it anew."""
        app = self.__dict__.pop("app", None)
        if app is not None:
            app.close()

    def _build(self) -> "HealthCheckApp | WebApp":
        from hospital.logs import get_logger
        from hospital.redaction import to_text

        # The lock is made with the first request, since gevent may patch after the import;
        # setdefault is atomic, so that two first requests share one.
        with self.__dict__.setdefault("lock", threading.Lock()):
            if "app" not in self.__dict__:
                try:
                    self.__dict__["app"] = self._make()
                except HospitalError as error:
                    self.__dict__["app"] = _faulty_app(str(error))
                except Exception as error:  # noqa: BLE001 - a worker that dies says nothing
                    get_logger("hospital.wsgi").exception("application_failed")
                    self.__dict__["app"] = _faulty_app(f"{type(error).__name__}: {to_text(error)}")
            app: HealthCheckApp | WebApp = self.__dict__["app"]
            return app


def _faulty_app(reason: str) -> "WebApp":
    """Return what says why there is no better application."""
    from hospital.web.answers import fault
    from hospital.web.app import WebApp
    from hospital.web.sources import FixedSource

    try:
        settings = read_settings()
    except SettingError:
        report = fault("settings", "The settings can be used.", reason, time.time())
        settings = _settings_of_access()
    else:
        title = f"{NAMES_VARIABLE} names health checks."
        report = fault(NAMES_VARIABLE, title, reason, time.time())
    return WebApp(FixedSource(report), *_access(settings.reasons, settings))


def _settings_of_access() -> Settings:
    """Return who may see reasons if at least that was said without a fault; else nobody may."""
    names = ("HOSPITAL_REASONS", "HOSPITAL_TOKEN_FILE")
    try:
        return read_settings({name: os.environ[name] for name in names if name in os.environ})
    except SettingError:
        return read_settings({})


application = LazyApp()
"""Serves what ``HEALTHCHECKS`` names, under the settings ``HOSPITAL_*``."""
