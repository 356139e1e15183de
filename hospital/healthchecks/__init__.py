"""Ready-made health checks, one subject a module."""
