"""Turn arrays into request bytes and response bytes into arrays, with one client module per protocol.

A client module has three functions and imports no framework::

    call(target, body=b"") -> Call        where and how the bytes travel
    encode(target, inputs) -> bytes       {input name: array, dimension 0 the batch} -> request body
    decode(target, body) -> dict          response body -> {output name: array of the declared dtype}

The headers of a call may depend only on the names, shapes and dtypes in the body.
``decode`` raises :class:`ProtocolError` if the bytes are not an answer of the protocol.
The sender of the bytes (:mod:`serving.clients.transport`, or a load generator) never looks into them.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol, cast

import numpy as np

Scheme = Literal["http", "grpc"]
"""How bytes travel, as an address begins: over HTTP/1.1 or gRPC."""

PROTOCOLS: dict[str, tuple[Scheme, str]] = {
    "tf-serving-rest": ("http", "serving.clients.tf_serving_rest"),
    "tf-serving-grpc": ("grpc", "serving.clients.tf_serving_grpc"),
    "torchserve-rest": ("http", "serving.clients.torchserve_rest"),
    "torchserve-rest-binary": ("http", "serving.clients.torchserve_rest_binary"),
    "torchserve-grpc": ("grpc", "serving.clients.torchserve_grpc"),
    "open-inference-rest": ("http", "serving.clients.open_inference_rest"),
    "open-inference-rest-binary": ("http", "serving.clients.open_inference_rest_binary"),
    "open-inference-grpc": ("grpc", "serving.clients.open_inference_grpc"),
}
"""Protocol name -> scheme of its addresses, client module."""


class ProtocolError(Exception):
    """The received bytes are not an answer of this protocol."""


@dataclass(frozen=True, slots=True)
class Target:
    """A model behind a running server.

    ``url`` is ``http://HOST:PORT`` or ``grpc://HOST:PORT``; ``outputs`` maps each output's name
    to its numpy dtype name, in the signature's order. ``token`` is a bearer token, never logged.
    """

    url: str
    model: str
    outputs: Mapping[str, str]
    token: str | None = field(default=None, repr=False)

    @property
    def authorization(self) -> dict[str, str]:
        """The HTTP header, or gRPC metadata, with the token; empty without a token."""
        return {"authorization": f"Bearer {self.token}"} if self.token else {}


@dataclass(frozen=True, slots=True)
class Call:
    """The address of a request: ``path`` is the URL path, or the full gRPC method name.

    ``headers`` are HTTP headers (content type, authorisation) or gRPC metadata (lower-case keys).
    """

    url: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


class Client(Protocol):
    """The functions of a client module (see the module's docstring)."""

    def call(self, target: Target, body: bytes = b"") -> Call: ...
    def encode(self, target: Target, inputs: Mapping[str, np.ndarray]) -> bytes: ...
    def decode(self, target: Target, body: bytes) -> dict[str, np.ndarray]: ...


def client(protocol: str) -> Client:
    """Import the client module of a protocol. Raises ``KeyError`` for an unknown name."""
    _, module = PROTOCOLS[protocol]
    return cast(Client, importlib.import_module(module))


def scheme_of(protocol: str) -> Scheme:
    """Return the scheme of a protocol's addresses. Raises ``KeyError`` for an unknown name."""
    scheme, _ = PROTOCOLS[protocol]
    return scheme
