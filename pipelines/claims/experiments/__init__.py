"""Measure claims: fresh processes in turn, statistics, and the experiments themselves."""
