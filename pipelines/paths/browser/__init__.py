"""What the paths in a browser share: runtimes from npm, the payload of a site, a headless Chromium that opens it."""
