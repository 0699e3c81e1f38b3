"""Check early that a port can be listened on, before any slow work starts."""

from __future__ import annotations

import socket

from serving.wire.addresses import host_port


class PortTakenError(Exception):
    """A port cannot be listened on: one line for the user."""


def check_port(host: str, port: int) -> None:
    """Check that a server can listen on this port.

    Raises:
        PortTakenError: it cannot.
    """
    with bound(host, port):
        pass


def bound(host: str, port: int) -> socket.socket:
    """Return a bound socket that does not listen yet.

    Raises:
        PortTakenError: the port cannot be bound.
    """
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        opened = socket.socket(family)
        # Servers set this too: a port whose last connections are still in TIME_WAIT counts as free.
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            opened.bind(address)
        except OSError:
            opened.close()
            raise
    except OSError as error:
        raise taken(host, port, error.strerror or str(error)) from error
    return opened


def taken(host: str, port: int, reason: str) -> PortTakenError:
    """Make the error for a port that cannot be listened on."""
    where = host_port(host, port)
    return PortTakenError(f"cannot listen on {where}: {reason}. Stop the program that uses it, or choose another port.")
