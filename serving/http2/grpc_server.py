"""Define the parts of a gRPC server: the head of a request, a call, and the server's rules.

https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol

from serving.http2.grpc_messages import CONTENT_TYPE, timeout_s
from serving.http2.header_blocks import Fields
from serving.limits import Held, Share, half_of_memory


@dataclass(frozen=True, slots=True)
class Head:
    """The parsed header or trailing fields of a request. ``problem`` says why they are malformed, or is empty;
    ``size`` is the content-length."""

    path: bytes
    timeout_s: float | None
    encoding: bytes
    size: int | None
    is_post: bool
    is_grpc: bool
    is_trailing: bool
    problem: str


_PSEUDO = frozenset({b":method", b":scheme", b":path", b":authority"})
_NEEDED = frozenset({b":method", b":scheme", b":path"})
_OF_HTTP_1 = frozenset({b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade"})
_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")
_VALUE = re.compile(rb"(?:[^\0\r\n\t ](?:[^\0\r\n]*[^\0\r\n\t ])?)?")


def read_head(fields: Fields) -> Head:
    """Parse a request's head from its fields (RFC 9113, 8.2 and 8.3, and gRPC's Requests)."""
    given = dict(fields)
    is_trailing = not any(name[:1] == b":" for name in given)
    kind = given.get(b"content-type", b"")
    size = given.get(b"content-length", b"")
    return Head(
        given.get(b":path", b""),
        timeout_s(given[b"grpc-timeout"]) if b"grpc-timeout" in given else None,
        given.get(b"grpc-encoding", b"identity"),
        int(size) if size.isdigit() and len(size) < 20 else None,
        given.get(b":method") == b"POST",
        kind == CONTENT_TYPE or kind.startswith((CONTENT_TYPE + b"+", CONTENT_TYPE + b";")),
        is_trailing,
        _problem(fields, given, is_trailing),
    )


def _look_at(name: bytes, value: bytes) -> str:
    """Describe the error in a single field; empty if it is valid."""
    if name in _OF_HTTP_1 or (name == b"te" and value != b"trailers"):
        return "a field of HTTP/1.1"
    if not _NAME.fullmatch(name, 1 if name[:1] == b":" else 0):
        return "a field name with invalid characters"
    if not _VALUE.fullmatch(value):
        return "a field value with invalid characters"
    return ""


_MOST_KNOWN_BYTES = 256
_problem_of = lru_cache(1024)(_look_at)  # most fields of most requests are the same


def _problem(fields: Fields, given: Mapping[bytes, bytes], is_trailing: bool) -> str:
    pseudo = 0
    for position, (name, value) in enumerate(fields):
        if name[:1] == b":":
            if name not in _PSEUDO:
                return "an unknown pseudo-header field"
            if position != pseudo:
                return "a pseudo-header field after others"
            pseudo += 1
        problem = _problem_of(name, value) if len(name) + len(value) <= _MOST_KNOWN_BYTES else _look_at(name, value)
        if problem:
            return problem
    if is_trailing:
        return ""
    if pseudo != sum(name in given for name in _PSEUDO):
        return "a pseudo-header field twice"
    if not given.keys() >= _NEEDED or not given[b":path"]:
        return "a request without :method, :path or :scheme"
    if b"content-length" in given and not given[b"content-length"].isdigit():
        return "a content-length that is not a number"
    return ""


class Responder(Protocol):
    """The sender of a call's answer to its client. Only the event loop's thread may call it."""

    def send(self, call: GrpcCall, body: bytes) -> None: ...
    def answer(self, call: GrpcCall, body: bytes) -> None: ...
    def refuse(self, call: GrpcCall, code: str, text: str) -> None: ...


class GrpcCall:
    """One complete request: the serialised message of a method. It must be answered exactly once.

    A method that streams its answer sends messages first, and sets ``ends``: a function that ends the call, for when
    the client has left or the connection is to end.
    """

    __slots__ = ("_answers", "body", "deadline", "ends", "has_begun", "is_over", "share", "stream")

    def __init__(self, answers: Responder, stream: int, body: bytes, deadline: float | None, share: Share) -> None:
        self.body = body
        self.deadline = deadline  # on the monotonic clock
        self.is_over = False  # the client has disconnected or cancelled
        self.share = share  # counts its bytes, until it is answered
        self.stream = stream
        self.has_begun = False  # a message has been sent
        self.ends: Callable[[], None] | None = None
        self._answers = answers

    def is_late(self) -> bool:
        """Return True if the deadline has passed. Check it before working on a call."""
        return self.deadline is not None and time.monotonic() > self.deadline

    def send(self, body: bytes) -> None:
        """Send a message, after which the call goes on."""
        self._answers.send(self, body)

    def answer(self, body: bytes) -> None:
        """Answer with a serialised message."""
        self._answers.answer(self, body)

    def fail(self, code: str, text: str) -> None:
        """Answer with the name of a status code other than OK, and a message."""
        self._answers.refuse(self, code, text)


Method = Callable[[GrpcCall], None]
"""A function that starts work on a call. It may answer before it returns, or later."""


@dataclass(frozen=True, slots=True)
class ServerRules:
    """The methods by path, and the limits of a server; sizes in bytes, times in seconds.

    ``held`` limits the requests of all connections together.
    """

    methods: Mapping[bytes, Method]
    held: Held = field(default_factory=lambda: Held(half_of_memory()))
    max_streams: int = 1000
    max_message: int = 2**31 - 1
    max_ratio: int = 100  # of a message's decompressed to compressed size, beyond 1 MiB
    max_idle_s: float | None = None
    max_age_s: float | None = None
