"""Read flags and configuration files."""
