"""Errors, dtypes, metrics, ports and workers: used by every other part of the server."""
