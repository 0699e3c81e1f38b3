"""Serve the REST API over HTTP/1.1."""
