"""Turns what a user says of a server into a call: its address, the headers, TLS, and the bodies."""

from __future__ import annotations

import ipaddress
import mimetypes
import socket
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from pipelines.base.errors import SlipwayError, UserError
from pipelines.base.files import MIB, read_bounded
from pipelines.loadtest.generator.connector import context_of
from pipelines.loadtest.generator.transport import SCHEMES, check_call
from pipelines.loadtest.request import Tls, UrlCall
from serving.wire.addresses import host_port

PORTS = {"http": 80, "https": 443, "grpcs": 443}
FORMS = "http://HOST:PORT/PATH or grpc://HOST:PORT/package.Service/Method (over TLS: https:// or grpcs://)"
MAX_CERTIFICATES_BYTES = 16 * MIB
MAX_BODY_BYTES = 256 * MIB
MAX_BODIES_BYTES = 1024 * MIB


NO_TLS = Tls("")


@dataclass(frozen=True, slots=True)
class Wishes:
    """Options of requests beyond the address; ``Tls.name`` is filled in here."""

    headers: Sequence[str] = ()
    allow_remote: bool = False
    method: str | None = None
    success: tuple[int, int] | None = None
    content_types: tuple[str, ...] = ()
    tls: Tls = NO_TLS
    socket: Path | None = None


def parse_target(url: str, wishes: Wishes | None = None) -> UrlCall:
    """Returns the call that a URL means; resolves its host here, once, so that no request waits for it.

    Raises:
        UserError: an invalid URL, header, method or file of TLS, or an address that is neither of this machine nor of
            a private network, without ``allow_remote``.
        SlipwayError: the host's name is unknown.
    """
    wishes = wishes or Wishes()
    scheme, host, port, parts = _split(url, wishes.socket)
    is_grpc, is_tls = scheme.startswith("grpc"), scheme in ("https", "grpcs")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if is_grpc:
        _check_grpc(path, wishes)
    if not is_tls and wishes.tls != NO_TLS:
        raise UserError(f"--ca, --cert, --key and --insecure are for TLS. Received: {scheme}://. Give {scheme}s://.")
    tls = replace(wishes.tls, name=host) if is_tls else None
    if tls is not None:
        _check_tls(tls)
    address = host if wishes.socket else resolved(host, port)
    if not wishes.socket and not wishes.allow_remote and not is_near(address):
        raise UserError(
            f"{host} is not on this machine or a private network. Received: {address}. "
            "A load test of a server that is not yours is an attack: pass --allow-remote if it is yours."
        )
    call = UrlCall(
        f"{scheme}://{host_port(address, port)}",
        path,
        method="POST" if is_grpc else wishes.method or ("POST" if wishes.content_types else "GET"),
        fields=tuple(_header(text) for text in wishes.headers),
        authority=parts.netloc,
        content_types=() if is_grpc else wishes.content_types,
        success=wishes.success or (200, 299),
        tls=tls,
        socket=str(wishes.socket.absolute()) if wishes.socket else None,
    )
    check_call(call)
    return call


def _split(url: str, socket: Path | None) -> tuple[str, str, int, SplitResult]:
    """Returns scheme, host, port and all parts of a URL. Raises UserError, which says what is wrong with it."""
    shown = url.rpartition("@")[2]  # the text before an @ may be a password
    try:
        parts = urlsplit(url)
        port = parts.port or PORTS.get(parts.scheme) or (80 if socket else None)
    except ValueError:  # the port is not a number, or brackets do not close
        raise UserError(f"cannot read the address. Received: {shown}. Give {FORMS}.") from None
    if "://" not in url:
        raise UserError(f"the address has no scheme. Received: {shown}. Give {FORMS}.")
    if parts.scheme not in SCHEMES:
        raise UserError(f"{parts.scheme}:// is not supported. Received: {shown}. Give {FORMS}.")
    if parts.username is not None:
        raise UserError(f"no user name or password in an address. Received: one with {shown}. Give --token-file.")
    if not parts.hostname:
        raise UserError(f"the address has no host. Received: {shown}. Give {FORMS}.")
    if parts.fragment:
        raise UserError(f"a server never sees what follows a #. Received: {shown}. Leave it out.")
    if port is None:
        raise UserError(f"{parts.scheme}:// needs a port. Received: {shown}. Give {parts.scheme}://HOST:PORT/...")
    return parts.scheme, parts.hostname, port, parts


def _check_grpc(path: str, wishes: Wishes) -> None:
    """Raises UserError for what makes no sense with gRPC."""
    if path.count("/") < 2:
        raise UserError(f"no gRPC method. Received: {path}. Give grpc://HOST:PORT/package.Service/Method.")
    if wishes.method or wishes.success:
        raise UserError("--method and --success are for HTTP: a gRPC call is a POST, and succeeds with status OK.")


def _check_tls(tls: Tls) -> None:
    """Raises UserError for a file that cannot be used, before the generator reads it."""
    for file in (tls.ca, tls.cert, tls.key):
        if file is not None:
            read_bounded(Path(file), MAX_CERTIFICATES_BYTES, "the certificate")
    if tls.key and not tls.cert:
        raise UserError("a key without its certificate. Received: --key alone. Give --cert, too.")
    context_of(tls, "http/1.1")


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


def body_files(files: Sequence[Path]) -> list[Path]:
    """Lists the files of bodies: those of a folder by name. Raises UserError if there is none."""
    found: list[Path] = []
    for file in files:
        try:
            found += sorted(one for one in file.iterdir() if one.is_file()) if file.is_dir() else [file]
        except OSError as error:
            raise UserError(f"cannot read a body: {error.strerror}. Received: {file}") from error
    if files and not found:
        raise UserError(f"no file with a body. Received: the empty folder {files[0]}.")
    return found


def content_type(file: Path) -> str:
    """Guesses the content type of a body from its file's name."""
    return mimetypes.guess_type(file.name)[0] or "application/octet-stream"


def read_bodies(files: Sequence[Path]) -> list[bytes]:
    """Reads the request bodies, one a file. Without files, one empty body.

    Raises UserError for a file that cannot be read or is larger than MAX_BODY_BYTES, and for more than
    MAX_BODIES_BYTES together.
    """
    bodies: list[bytes] = []
    left = MAX_BODIES_BYTES
    for file in files:
        bodies.append(read_bounded(file, MAX_BODY_BYTES, "a body"))
        left -= len(bodies[-1])
        if left < 0:
            raise UserError(f"the bodies are too large: at most {MAX_BODIES_BYTES:,} bytes. Received: more at {file}")
    return bodies or [b""]
