"""Whether a port can be listened on, found out before anything slow begins."""

from __future__ import annotations

import socket

from serving.wire.addresses import host_port


class PortTakenError(Exception):
    """A port cannot be listened on: one line for the user."""


def check_port(host: str, port: int) -> None:
    """Nothing if a server could listen there.

    Raises:
        PortTakenError: it could not.
    """
    with bound(host, port):
        pass


def bound(host: str, port: int) -> socket.socket:
    """A socket that is bound and does not listen yet.

    Raises:
        PortTakenError: it could not be bound.
    """
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        opened = socket.socket(family)
        # As servers do: a port whose last connections linger in TIME_WAIT is free.
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
    """The error for a port that cannot be listened on."""
    where = host_port(host, port)
    return PortTakenError(f"cannot listen on {where}: {reason}. Stop what uses it, or choose another port.")
