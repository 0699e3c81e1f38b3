"""Find what reaches production: read out of the reports of runs, and tried on foreign models, runtimes and servers."""
