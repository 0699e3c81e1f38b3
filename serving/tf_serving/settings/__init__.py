"""Flags and configuration files."""
