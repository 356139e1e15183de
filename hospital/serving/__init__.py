"""Serve the web application: chaussette on gevent."""
