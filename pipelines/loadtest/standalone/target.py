"""Parses a server's address: ``http://HOST:PORT/path`` or ``grpc://HOST:PORT/package.Service/Method``."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from pipelines.base.errors import SlipwayError, UserError
from pipelines.base.files import MIB, read_bounded
from pipelines.loadtest.generator.transport import check_call
from serving.clients import Call
from serving.wire.addresses import host_port

PORTS = {"http": 80}
MAX_BODY_BYTES = 256 * MIB
MAX_BODIES_BYTES = 1024 * MIB


def parse_target(url: str, headers: Sequence[str] = (), allow_remote: bool = False) -> Call:
    """Returns the call that a URL means; resolves its host here, once, so that no request waits for it.

    Raises:
        UserError: an invalid URL or header, or an address that is neither of this machine nor of a private
            network, without ``allow_remote``.
        SlipwayError: the host's name is unknown.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or PORTS.get(parts.scheme)
    except ValueError:  # the port is not a number, or brackets do not close
        host, port = None, None
    if host is None or port is None or parts.scheme not in ("http", "grpc") or parts.username or parts.fragment:
        shown = url.rpartition("@")[2]  # the text before an @ may be a password
        raise UserError(
            f"not the address of a server. Received: {shown}. "
            "Give http://HOST:PORT/PATH or grpc://HOST:PORT/package.Service/Method."
        )
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if parts.scheme == "grpc" and path.count("/") < 2:
        raise UserError(f"no gRPC method. Received: {path}. Give grpc://HOST:PORT/package.Service/Method.")
    address = resolved(host, port)
    if not allow_remote and not is_near(address):
        raise UserError(
            f"{host} is not on this machine or a private network. Received: {address}. "
            "A load test of a server that is not yours is an attack: pass --allow-remote if it is yours."
        )
    named = {} if host == address else {"Host": parts.netloc}
    given = dict(_header(text) for text in headers)
    if parts.scheme == "grpc":
        given = {name.lower(): value for name, value in given.items()}  # HTTP/2 requires lower case
    call = Call(f"{parts.scheme}://{host_port(address, port)}", path, (named if parts.scheme == "http" else {}) | given)
    check_call(call)
    return call


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise UserError("not a header: no colon in it. Give it as 'Name: value'.")  # its text may be a secret
    return name.strip(), value.strip()


def resolved(host: str, port: int) -> str:
    """Resolves a host's name. Raises SlipwayError if it is unknown."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise SlipwayError(f"cannot find the host {host}: {getattr(error, 'strerror', None) or error}") from error
    # IPv4 first: most servers that listen on only one of the two listen on that.
    return str(min(found, key=lambda one: one[0] != socket.AF_INET)[4][0])


def is_near(address: str) -> bool:
    """Tells whether an address is of this machine or a private network."""
    number = ipaddress.ip_address(address.partition("%")[0])
    return number.is_loopback or number.is_private or number.is_link_local


def is_loopback(url: str) -> bool:
    """Tells whether a call's URL, its host resolved, is of this machine alone."""
    return ipaddress.ip_address((urlsplit(url).hostname or "").partition("%")[0]).is_loopback


def read_bodies(files: Sequence[Path]) -> list[bytes]:
    """Reads the request bodies, one a file; those of a folder are its files, by name. Without files, one empty body.

    Raises UserError for a file that cannot be read or is larger than MAX_BODY_BYTES, and for more than
    MAX_BODIES_BYTES together.
    """
    bodies: list[bytes] = []
    left = MAX_BODIES_BYTES
    for file in files:
        try:
            found = sorted(one for one in file.iterdir() if one.is_file()) if file.is_dir() else [file]
        except OSError as error:
            raise UserError(f"cannot read a body: {error.strerror}. Received: {file}") from error
        for one in found:
            bodies.append(read_bounded(one, MAX_BODY_BYTES, "a body"))
            left -= len(bodies[-1])
            if left < 0:
                raise UserError(
                    f"the bodies are too large: at most {MAX_BODIES_BYTES:,} bytes. Received: more at {one}"
                )
    if files and not bodies:
        raise UserError(f"no file with a body. Received: the empty folder {files[0]}.")
    return bodies or [b""]
