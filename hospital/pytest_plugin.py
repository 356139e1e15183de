"""The pytest plugin: health checks are marked, warnings are shown, coroutines are awaited."""
