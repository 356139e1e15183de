"""Health checks written as ordinary Python tests.

Rule: nothing is imported here before it is asked for, so that a worker can patch
the process first and the command line starts at once.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "1.0.0.dev0"

if TYPE_CHECKING:
    from hospital.assertions.http import assert_http_response as assert_http_response
    from hospital.assertions.networking import assert_ping as assert_ping
    from hospital.assertions.packaging import (
        assert_supported_python_version as assert_supported_python_version,
    )
    from hospital.healthchecks.packaging import DistributionHealthCheck as DistributionHealthCheck
    from hospital.healthchecks.predictable import (
        ForeverPassingHealthCheck as ForeverPassingHealthCheck,
    )
    from hospital.marking import HealthCheck as HealthCheck
    from hospital.marking import HealthWarning as HealthWarning
    from hospital.marking import healthcheck as healthcheck
    from hospital.marking import is_healthcheck as is_healthcheck
    from hospital.marking import measure as measure
    from hospital.marking import warn as warn

_HOMES = {
    "DistributionHealthCheck": "hospital.healthchecks.packaging",
    "ForeverPassingHealthCheck": "hospital.healthchecks.predictable",
    "HealthCheck": "hospital.marking",
    "HealthWarning": "hospital.marking",
    "assert_http_response": "hospital.assertions.http",
    "assert_ping": "hospital.assertions.networking",
    "assert_supported_python_version": "hospital.assertions.packaging",
    "healthcheck": "hospital.marking",
    "is_healthcheck": "hospital.marking",
    "measure": "hospital.marking",
    "warn": "hospital.marking",
}

__all__ = [
    "DistributionHealthCheck",
    "ForeverPassingHealthCheck",
    "HealthCheck",
    "HealthWarning",
    "__version__",
    "assert_http_response",
    "assert_ping",
    "assert_supported_python_version",
    "healthcheck",
    "is_healthcheck",
    "measure",
    "warn",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'hospital' has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(_HOMES))
