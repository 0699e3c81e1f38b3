"""Measure claims: fresh processes in turn, statistics, environments, and the experiments themselves."""
