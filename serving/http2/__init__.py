"""HTTP/2 (RFC 9113), as much of it as unary gRPC needs, for a client and a server that spend microseconds on it."""
