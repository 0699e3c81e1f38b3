"""Serve the API over gRPC."""
