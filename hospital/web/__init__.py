"""Answer HTTP requests with reports."""
