"""A path's server in a container instead of a process, through the Docker SDK for Python: same rules, same clean-up."""
