"""Implement the part of HTTP/2 (RFC 9113) that unary gRPC needs, for a client and a server, at microseconds a call."""
