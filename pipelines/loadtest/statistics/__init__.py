"""Turns a recording into a result: percentiles, intervals, validity. Pure."""
