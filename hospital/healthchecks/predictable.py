"""A health check whose outcome is known: it shows that checks are collected and run."""

from hospital.marking import HealthCheck


class ForeverPassingHealthCheck(HealthCheck):
    """A check that always passes."""

    def test_collected(self) -> None:
        """Health checks are collected."""
