"""Reads what an artifact really holds out of its files: one file for each format."""
