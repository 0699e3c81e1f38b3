"""Hold errors, dtypes, metrics, ports and workers, which every other part of the server uses."""
