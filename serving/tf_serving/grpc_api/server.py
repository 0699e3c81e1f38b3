"""Start the gRPC server on its port and socket, with its certificates, and stop it gracefully."""

from __future__ import annotations

import asyncio
import os
import ssl
import tempfile
from pathlib import Path

from serving.http2.connection import LINGER_S
from serving.http2.grpc_server import Method, ServerRules
from serving.http2.server_connection import PREFACE_S, ServerConnection
from serving.limits import Held
from serving.tf_serving.base.errors import invalid
from serving.tf_serving.base.ports import PortTakenError, bound
from serving.tf_serving.grpc_api.health import Health
from serving.tf_serving.settings.channel import with_arguments
from serving.tf_serving.settings.flags import Flags
from serving.tf_serving.settings.text_proto import read_text

MAX_MESSAGE_BYTES = 2**31 - 1
"""tensorflow/serving's limit (model_servers/server.cc, SetMaxMessageSize)."""


class GrpcServer:
    """A gRPC server on the port and the socket in the flags, from :meth:`start` to :meth:`stop`."""

    def __init__(self, methods: dict[bytes, Method], flags: Flags, held: Held) -> None:
        """Read the settings; opens nothing. Raises ServingError: the SSLConfig or channel arguments cannot be used."""
        self._health = Health()
        offered = methods | self._health.methods() if flags.enable_grpc_healthcheck_service else methods
        rules = ServerRules(offered, held, max_message=MAX_MESSAGE_BYTES, max_ratio=flags.grpc_max_gzip_ratio)
        self._rules = with_arguments(rules, flags.grpc_channel_arguments)
        self._tls = _tls(flags.ssl_config_file)
        self._flags = flags
        self._servers: list[asyncio.Server] = []
        self._alive: set[ServerConnection] = set()

    async def start(self) -> None:
        """Start to listen. Raises PortTakenError: the port or the socket cannot be bound."""
        loop, flags = asyncio.get_running_loop(), self._flags
        if flags.port:
            opened = bound(flags.bind_address, flags.port)
            times = (PREFACE_S, LINGER_S) if self._tls else (None, None)
            server = await loop.create_server(
                self._connection,
                sock=opened,
                ssl=self._tls,
                ssl_handshake_timeout=times[0],
                ssl_shutdown_timeout=times[1],
            )
            self._servers.append(server)
        if flags.grpc_socket_path:
            # Its folder's permissions control access; as in tensorflow/serving, it has no TLS.
            path = Path(flags.grpc_socket_path).absolute()
            try:
                self._servers.append(await loop.create_unix_server(self._connection, str(path)))
            except OSError as error:
                raise PortTakenError(
                    f"cannot listen on the socket {path}. Choose a path in a writable folder."
                ) from error

    def _connection(self) -> ServerConnection:
        return ServerConnection(self._rules, self._alive)

    async def stop(self, seconds: float) -> None:
        """Stop listening; returns when all running requests are answered, or the time is over."""
        for server in self._servers:
            server.close()
        self._health.stop()
        deadline = asyncio.get_running_loop().time() + seconds
        while self._alive and asyncio.get_running_loop().time() < deadline:
            for connection in list(self._alive):  # on each pass, because a new one may have been accepted
                connection.drain()
            await asyncio.sleep(0.01)
        for connection in list(self._alive):
            connection.transport.abort()


def _tls(ssl_config_file: str) -> ssl.SSLContext | None:
    if not ssl_config_file:
        return None
    config = read_text(ssl_config_file, "ssl_config_file", "SSLConfig")
    if not config.server_key or not config.server_cert:
        raise invalid(f"an SSLConfig needs server_key and server_cert. Received: {ssl_config_file}")
    if config.client_verify and not config.custom_ca:
        raise invalid(f"client_verify needs custom_ca, to verify clients with. Received: {ssl_config_file}")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # RFC 9113, 9.2
    context.set_alpn_protocols(["h2"])
    try:
        _load_certificate(context, config.server_cert + "\n" + config.server_key)
        if config.client_verify:
            context.load_verify_locations(cadata=config.custom_ca)
            context.verify_mode = ssl.CERT_REQUIRED
    except (ssl.SSLError, ValueError) as error:
        raise invalid(f"a certificate or key cannot be used: {error}. Received: {ssl_config_file}") from error
    return context


def _load_certificate(context: ssl.SSLContext, pem: str) -> None:
    """Load a key through a temporary file that only this user can read, because OpenSSL reads keys only from files."""
    descriptor, path = tempfile.mkstemp()
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(pem)
        context.load_cert_chain(path)
    finally:
        Path(path).unlink()
