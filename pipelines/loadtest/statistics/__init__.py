"""A recording becomes a result: percentiles, intervals, validity. Pure."""
