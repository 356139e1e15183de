"""Assertions for health checks, one subject a module."""
