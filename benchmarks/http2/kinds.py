"""Names the implementations that are compared, as in the results."""

from __future__ import annotations

from collections.abc import Callable

from clients import Answered, MinimalClient, OwnClient
from h2_ends import H2Client, H2Server
from servers import RULES, BoundedServer, MinimalServer

from serving.http2.server_connection import ServerConnection

OWN, MINIMAL, BOUNDED, H2, GRPCIO = "own", "ngh2 minimal", "ngh2 bounded", "h2", "grpcio"
Server = ServerConnection | MinimalServer | H2Server
Client = OwnClient | MinimalClient | H2Client
SERVERS: dict[str, Callable[[], Server]] = {
    OWN: lambda: ServerConnection(RULES, set()),
    MINIMAL: MinimalServer,
    BOUNDED: BoundedServer,
    H2: H2Server,
}
CLIENTS: dict[str, Callable[[Answered], Client]] = {OWN: OwnClient, MINIMAL: MinimalClient, H2: H2Client}
PEERS = (OWN, MINIMAL)
"""Peers that each end is measured against."""
