"""How a trained model gets to production: packaging, parity, load tests, the report."""
