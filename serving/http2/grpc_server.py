"""What a gRPC server is made of: the head of a request, a call, and the rules for all of them.

https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from serving.http2.grpc_messages import CONTENT_TYPE, timeout_s
from serving.http2.header_blocks import Fields


@dataclass(frozen=True, slots=True)
class Head:
    """What the fields of a request say; ``problem`` is why they are none of gRPC's."""

    path: bytes
    timeout_s: float | None
    encoding: bytes
    is_grpc: bool
    problem: str


def read_head(fields: Fields) -> Head:
    """A request's head from its fields (RFC 9113, 8.2 and 8.3, and gRPC's Requests)."""
    given = dict(fields)
    problem = ""
    if not {b":method", b":path", b":scheme"} <= given.keys():
        problem = "a request without :method, :path or :scheme"
    elif given[b":method"] != b"POST":
        problem = "gRPC uses POST"
    elif b"connection" in given or any(name != name.lower() for name in given):
        problem = "a field that HTTP/2 does not allow"
    kind = given.get(b"content-type", b"")
    return Head(
        given.get(b":path", b""),
        timeout_s(given[b"grpc-timeout"]) if b"grpc-timeout" in given else None,
        given.get(b"grpc-encoding", b"identity"),
        kind == CONTENT_TYPE or kind.startswith((CONTENT_TYPE + b"+", CONTENT_TYPE + b";")),
        problem,
    )


class Answers(Protocol):
    """Who brings the answer of a call to its client. Only the thread of the event loop may ask for it."""

    def answer(self, call: Call, body: bytes) -> None: ...
    def refuse(self, call: Call, code: str, text: str) -> None: ...


class Call:
    """One request, whole: the message of a method, serialised. It is answered exactly once."""

    __slots__ = ("_answers", "body", "deadline", "is_over", "stream")

    def __init__(self, answers: Answers, stream: int, body: bytes, deadline: float | None) -> None:
        self.body = body
        self.deadline = deadline  # on the monotonic clock
        self.is_over = False  # the client has gone, or given up
        self.stream = stream
        self._answers = answers

    def answer(self, body: bytes) -> None:
        """The answer's message, serialised."""
        self._answers.answer(self, body)

    def fail(self, code: str, text: str) -> None:
        """The name of a status code other than OK, and what to say."""
        self._answers.refuse(self, code, text)


Method = Callable[[Call], None]
"""Begins to work on a call. It may answer before it returns, or later."""


@dataclass(frozen=True, slots=True)
class Rules:
    """``methods`` by path; sizes in bytes, times in seconds."""

    methods: Mapping[bytes, Method]
    max_streams: int = 1000
    max_message: int = 2**31 - 1
    max_idle_s: float | None = None
    max_age_s: float | None = None
