"""Does one run: prepares, measures, and decides in which order."""
