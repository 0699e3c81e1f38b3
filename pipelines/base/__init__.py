"""Errors, files and progress: used by every other part."""
