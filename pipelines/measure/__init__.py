"""Measures the rows of a report: rounds, the server of a row, its process, its container."""
