"""One run: what is prepared, what is measured, in which order."""
