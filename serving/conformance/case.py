"""Define a case: requests, each with its expected answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

ANY = object()
"""An answer that is not checked."""


@dataclass(frozen=True, slots=True)
class Rest:
    """One HTTP request: POST if there is a ``body``, else GET.

    ``answer`` is the parsed JSON body, ``raw`` the whole body, ``error`` a part of the error's text,
    ``parts`` are parts of the body, ``longest`` limits its bytes, ``answer_headers`` must be present.
    """

    path: str
    body: str | bytes | None = None
    status: int = 200
    answer: Any = ANY
    error: str = ""
    method: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    parts: tuple[str, ...] = ()
    longest: int | None = None
    content_type: str | None = "application/json"
    answer_headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Grpc:
    """One gRPC request, in protobuf's text format; ``answer`` is the whole response, ``error`` a part of the text.

    ``longest`` limits the characters of the error's text.
    """

    method: str
    request: str
    answer: str | None = None
    code: str = "OK"
    error: str = ""
    longest: int | None = None


@dataclass(frozen=True, slots=True)
class Growth:
    """Requests that must increase metrics; ``grow`` maps lines of the metrics page, without values, to increases."""

    steps: tuple[Rest | Grpc, ...]
    grow: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Case:
    """A case with its number in the reference; ``steps`` run one after the other."""

    id: str
    steps: tuple[Rest | Grpc | Growth, ...]


def case(number: str, *steps: Rest | Grpc | Growth) -> Case:
    """Make a case of these steps."""
    return Case(number, steps)
