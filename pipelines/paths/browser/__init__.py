"""Fetches runtimes from npm, writes the payload of a site, and opens it in a headless Chromium."""
