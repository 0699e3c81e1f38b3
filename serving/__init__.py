"""Run models in production: servers, their launch, and clients of their protocols."""
