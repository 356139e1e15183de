"""A ready-made health check of an installed distribution."""

from typing import Any, ClassVar

from hospital.assertions.packaging import (
    assert_installed_requirements,
    assert_supported_python_version,
)
from hospital.errors import SettingError
from hospital.marking import HealthCheck


class DistributionHealthCheck(HealthCheck):
    """Check that a distribution is installed as it says it must be; derive from it to use it.

    Itself, and a subclass with ``__test__ = False``, is not collected, or skips.

    Attributes:
        distribution: Name of the distribution.

    >>> class PackagingHealthCheck(DistributionHealthCheck):
    ...     distribution = "packaging"
    """

    distribution: ClassVar[str] = ""
    __test__: ClassVar[bool] = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__test__" not in vars(cls):
            cls.__test__ = True

    def test_python_version(self) -> None:
        """The distribution is installed and supports this Python."""
        assert_supported_python_version(self._named())

    def test_requirements(self) -> None:
        """The distribution has all that it requires."""
        assert_installed_requirements(self._named())

    def shortDescription(self) -> str | None:  # noqa: N802 - the name is unittest's
        """Return the title, which names the distribution."""
        title = super().shortDescription()
        if title is None or not self.distribution:
            return title
        return title.replace("The distribution", f"The distribution {self.distribution}", 1)

    def _named(self) -> str:
        cls = type(self)
        if not cls.__test__:
            self.skipTest(f"{cls.__name__} is abstract: derive from it and name a distribution")
        if not self.distribution:
            raise SettingError(
                f"{cls.__qualname__} names no distribution:",
                f"distribution = {self.distribution!r}",
                "write distribution = 'Django' in its body",
            )
        return self.distribution
