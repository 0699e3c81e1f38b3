"""Write addresses for URLs, gRPC targets and messages."""

from __future__ import annotations


def host_port(host: str, port: int) -> str:
    """Write ``HOST:PORT``, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
