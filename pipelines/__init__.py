"""Brings a trained model to production: packaging, parity, load tests, the report."""
