"""Connects to the server of a call: over TCP or a Unix socket, with TLS or without."""

from __future__ import annotations

import asyncio
import socket
import ssl
from urllib.parse import urlsplit

from pipelines.base.errors import UserError
from pipelines.loadtest.generator.sockets import Address, StampedTransport, connect, resolve
from pipelines.loadtest.generator.tls import TlsTransport
from pipelines.loadtest.request import Tls, UrlCall


class Connector:
    """Makes the connections of one call. It looks up the host and reads the files of TLS once, before a test."""

    def __init__(self, call: UrlCall, protocol: str) -> None:
        """``protocol`` is what ALPN offers. Raises OSError for an unknown host, UserError for a file of TLS."""
        parts = urlsplit(call.url)
        self._where: Address
        if call.socket is not None:
            self._where = (socket.AF_UNIX, call.socket)
        else:
            self._where = resolve(parts.hostname or "", parts.port or 0)
        self._name = call.tls.name if call.tls else ""
        self._context = context_of(call.tls, protocol) if call.tls else None
        self._alpn = "h2" if call.is_grpc else None  # over HTTP/1.1, a server may ignore the offer

    async def connect(self, protocol: asyncio.Protocol) -> None:
        """Connects ``protocol``. Raises OSError, also for a server that is not trusted."""
        loop = asyncio.get_running_loop()
        if self._context is None:
            await connect(loop, protocol, self._where)
            return
        layer = TlsTransport(protocol, self._context, self._name, self._alpn)
        below: StampedTransport = await connect(loop, layer, self._where)
        try:
            await layer.ready
        except BaseException:
            below.abort()
            raise


def context_of(tls: Tls, protocol: str) -> ssl.SSLContext:
    """Returns the settings of TLS for connections that speak ``protocol``. Raises UserError for an unusable file."""
    try:
        context = ssl.create_default_context(cafile=tls.ca)
    except (OSError, ValueError) as error:
        raise UserError(f"no certificates of authorities: {_reason(error)}. Received: {tls.ca}. Give PEM.") from error
    try:
        if tls.cert:
            # Without a password, OpenSSL would ask for one at the terminal.
            context.load_cert_chain(tls.cert, tls.key, password="")
    except (OSError, ValueError) as error:
        files = " and ".join(filter(None, [tls.cert, tls.key]))
        raise UserError(
            f"no certificate with its private key: {_reason(error)}. Received: {files}. Give PEM, without a password."
        ) from error
    if tls.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols([protocol])
    return context


def _reason(error: Exception) -> str:
    return getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
