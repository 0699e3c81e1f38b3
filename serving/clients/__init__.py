"""Clients, one module a protocol: arrays in, request bytes out; response bytes in, arrays out.

A client module offers three functions and imports no framework::

    call(target, body=b"") -> Call        where and how the bytes travel
    encode(target, inputs) -> bytes       {input name: array, dimension 0 the batch} -> request body
    decode(target, body) -> dict          response body -> {output name: array of the declared dtype}

The headers of a call may depend on the form of the body (names, shapes, dtypes), and on nothing else of it.
``decode`` raises :class:`ProtocolError` when the bytes are not an answer of the protocol.
Whoever sends the bytes (:mod:`serving.clients.transport`, or a load generator) needs to know
nothing of what is in them.
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
    """The bytes that came back are not an answer of this protocol."""


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
        """The HTTP header, or gRPC metadata, that carries the token; empty without one."""
        return {"authorization": f"Bearer {self.token}"} if self.token else {}


@dataclass(frozen=True, slots=True)
class Call:
    """How request bytes travel: ``path`` is the URL path, or the full gRPC method name.

    ``headers`` are HTTP headers (content type, authorisation) or gRPC metadata (lower-case keys).
    """

    url: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


class Client(Protocol):
    """What a client module offers (see the module's docstring)."""

    def call(self, target: Target, body: bytes = b"") -> Call: ...
    def encode(self, target: Target, inputs: Mapping[str, np.ndarray]) -> bytes: ...
    def decode(self, target: Target, body: bytes) -> dict[str, np.ndarray]: ...


def client(protocol: str) -> Client:
    """The client module of a protocol. Raises ``KeyError`` for an unknown name."""
    _, module = PROTOCOLS[protocol]
    return cast(Client, importlib.import_module(module))


def scheme_of(protocol: str) -> Scheme:
    """The scheme of a protocol's addresses. Raises ``KeyError`` for an unknown name."""
    scheme, _ = PROTOCOLS[protocol]
    return scheme
