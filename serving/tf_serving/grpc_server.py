"""The gRPC server: where it listens, by which credentials, and with which settings."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc

from serving.tf_serving.errors import invalid
from serving.tf_serving.flags import Flags
from serving.tf_serving.grpc_service import services
from serving.tf_serving.health import health_handler
from serving.tf_serving.manager import Manager
from serving.tf_serving.ports import PortTakenError, taken
from serving.tf_serving.text_proto import read_text

MAX_MESSAGE_BYTES = 2**31 - 1
"""tensorflow/serving's limit (model_servers/server.cc, SetMaxMessageSize)."""

_INT32 = re.compile(r"-?[0-9]{1,10}")


def grpc_server(manager: Manager, flags: Flags) -> grpc.Server:
    """A gRPC server that is bound to its port and socket and not yet started.

    Raises:
        PortTakenError: the port or the socket could not be bound.
        ServingError: the SSLConfig or the channel arguments cannot be used.
    """
    pool = ThreadPoolExecutor(flags.grpc_max_threads, thread_name_prefix="grpc")
    server = grpc.server(pool, options=_options(flags.grpc_channel_arguments))
    handlers: list[Any] = services(manager, flags)
    if flags.enable_grpc_healthcheck_service:
        handlers.append(health_handler())
    server.add_generic_rpc_handlers(tuple(handlers))
    credentials = _credentials(flags.ssl_config_file)
    if flags.port:
        host = f"[{flags.bind_address}]" if ":" in flags.bind_address else flags.bind_address
        _bind(server, f"{host}:{flags.port}", credentials, taken(flags.bind_address, flags.port, "gRPC cannot bind it"))
    if flags.grpc_socket_path:
        # Who may reach the socket is a matter of its folder's permissions; as in tensorflow/serving it is without TLS.
        path = Path(flags.grpc_socket_path).absolute()
        problem = PortTakenError(f"cannot listen on the socket {path}. Choose a path that can be written.")
        _bind(server, f"unix:{path}", None, problem)
    return server


def _bind(server: grpc.Server, address: str, credentials: Any, problem: PortTakenError) -> None:
    try:
        if credentials is None:
            server.add_insecure_port(address)
        else:
            server.add_secure_port(address, credentials)
    except RuntimeError as error:
        raise problem from error


def _credentials(ssl_config_file: str) -> Any:
    if not ssl_config_file:
        return None
    config = read_text(ssl_config_file, "ssl_config_file", "SSLConfig")
    if not config.server_key or not config.server_cert:
        raise invalid(f"an SSLConfig needs server_key and server_cert. Received: {ssl_config_file}")
    if config.client_verify and not config.custom_ca:
        raise invalid(f"client_verify needs custom_ca, to verify clients with. Received: {ssl_config_file}")
    return grpc.ssl_server_credentials(
        [(config.server_key.encode(), config.server_cert.encode())],
        config.custom_ca.encode() if config.client_verify else None,
        require_client_auth=config.client_verify,
    )


def _options(arguments: str) -> list[tuple[str, int | str]]:
    options: dict[str, int | str] = {
        "grpc.so_reuseport": 0,  # a second server on the port must fail, not share it
        "grpc.max_receive_message_length": MAX_MESSAGE_BYTES,
        "grpc.max_send_message_length": MAX_MESSAGE_BYTES,
    }
    for argument in filter(None, arguments.split(",")):
        name, equals, value = argument.partition("=")
        if not name or not equals:
            raise invalid(f"--grpc_channel_arguments takes NAME=VALUE,NAME=VALUE. Received: {argument}")
        options[name] = int(value) if _INT32.fullmatch(value) else value
    return list(options.items())
