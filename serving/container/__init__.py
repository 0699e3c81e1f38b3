"""Run a path's server in a container instead of a process, through the Docker SDK for Python; same clean-up."""
