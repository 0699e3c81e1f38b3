"""Writes the call behind an answer as a person can repeat it: a command with curl, and lines of Python.

A token is never written: the command that prints it is.
"""

from __future__ import annotations

import base64
import io
import shlex
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.spec import ModelSpec
from pipelines.base.errors import unknown
from pipelines.web.servers import KnownServer
from serving.clients import Call, Client, Target, client, scheme_of

INLINE_BYTES = 64 * 1024
"""A longer body is left to a file: nobody reads it, and pasting it takes a terminal seconds."""
GRPC_HEAD = struct.Struct(">BI")
"""A message of gRPC over HTTP/2: not compressed, and its length."""
GRPC_HEADERS = {"content-type": "application/grpc", "te": "trailers"}
BODY_FILE, INPUTS_FILE = "body.bin", "inputs.npz"


@dataclass(frozen=True, slots=True)
class ShownCall:
    """The call behind an answer. ``files`` are those that it reads because their content is too long to show."""

    curl: str
    python: str
    files: tuple[str, ...]


def shown(server: KnownServer, protocol: str, spec: ModelSpec, inputs: dict[str, np.ndarray]) -> ShownCall:
    """Write the call of one server over one protocol. Raises UserError for a protocol that it does not speak."""
    speaker, target = _client(server, protocol, spec)
    body = speaker.encode(target, inputs)
    tokens = [file for file in server.deployed.tokens if file.is_file() and file.stat().st_size]
    token = tokens[0] if tokens else None
    long = ((BODY_FILE, len(body) > INLINE_BYTES), (INPUTS_FILE, _is_long(inputs)))
    return ShownCall(
        curl(protocol, speaker.call(target, body), body, token),
        python(protocol, target, inputs, token),
        tuple(name for name, is_long in long if is_long),
    )


def file(server: KnownServer, protocol: str, spec: ModelSpec, inputs: dict[str, np.ndarray], name: str) -> bytes:
    """Return the content of one of the files of a call. Raises UserError for another name, or an unknown protocol."""
    speaker, target = _client(server, protocol, spec)
    if name == BODY_FILE:
        return _framed(protocol, speaker.encode(target, inputs))
    if name != INPUTS_FILE:
        raise unknown("file", name, (BODY_FILE, INPUTS_FILE))
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **inputs)
    return content.getvalue()


def _client(server: KnownServer, protocol: str, spec: ModelSpec) -> tuple[Client, Target]:
    if protocol not in server.deployed.urls:
        raise unknown(f"protocol of {server.name}", protocol, server.deployed.urls)
    return client(protocol), server.target(protocol, spec)


def _is_long(inputs: dict[str, np.ndarray]) -> bool:
    return any(array.nbytes > INLINE_BYTES for array in inputs.values())


def curl(protocol: str, call: Call, body: bytes, token_file: Path | None) -> str:
    """Return a command of a shell that sends ``body``, or BODY_FILE if it is too long to show.

    Of gRPC, the answer is a message after five bytes; curl must know HTTP/2.
    """
    grpc = scheme_of(protocol) == "grpc"
    headers = {key: value for key, value in call.headers.items() if key.lower() != "authorization"}
    words = ["curl", "--silent", "--show-error"]
    if grpc:
        headers |= GRPC_HEADERS
        words += ["--http2-prior-knowledge", "--output", "answer.bin"]
    elif not _is_text(body):
        words += ["--output", "answer.bin"]
    for key, value in headers.items():
        words += ["--header", shlex.quote(f"{key}: {value}")]
    if token_file is not None:
        words += ["--header", f'"Authorization: Bearer $({_printed(token_file)})"']
    words += ["--data-binary", "@-", shlex.quote(call.url.replace("grpc://", "http://") + call.path)]
    sent = _framed(protocol, body)
    return f"{_piped(sent)}{' '.join(words)}{_here(sent)}"


def _printed(token_file: Path) -> str:
    """Return the command that prints a token."""
    return f"cat {shlex.quote(str(token_file))}"


def _is_text(body: bytes) -> bool:
    return body[:1] == b"{" and body[-1:] == b"}" and b"\n" not in body


def _piped(body: bytes) -> str:
    if len(body) > INLINE_BYTES:
        return f"cat {BODY_FILE} | "
    return "" if _is_text(body) else "base64 --decode <<'END' | "


def _here(body: bytes) -> str:
    """Return the rest of a command whose standard input is written below it."""
    if len(body) > INLINE_BYTES:
        return "\n"
    if _is_text(body):
        return f" <<'END'\n{body.decode()}\nEND\n"
    return f"\n{base64.encodebytes(body).decode()}END\n"


def _framed(protocol: str, body: bytes) -> bytes:
    """Return what curl sends for a body: over gRPC, a message with its length."""
    return GRPC_HEAD.pack(0, len(body)) + body if scheme_of(protocol) == "grpc" else body


def python(protocol: str, target: Target, inputs: dict[str, np.ndarray], token_file: Path | None) -> str:
    """Return a script that makes the same call with slipway's client; large inputs are read from INPUTS_FILE."""
    imports = ["import numpy as np", "", "from serving.clients import Target, client"]
    imports.append("from serving.clients.transport import send")
    if _is_long(inputs):
        given = [f"inputs = dict(np.load({INPUTS_FILE!r}))"]
    else:
        imports.insert(0, "import base64")
        given = ["inputs = {"]
        for key, array in inputs.items():
            data = base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
            shape = f'"{array.dtype}").reshape({array.shape})'
            given.append(f'    "{key}": np.frombuffer(base64.b64decode("{data}"), {shape},')
        given.append("}")
    token = ""
    if token_file is not None:
        imports.insert(0, "from pathlib import Path")
        token = f", token=Path({str(token_file)!r}).read_text().strip()"
    lines = [
        *imports,
        "",
        *given,
        f"target = Target({target.url!r}, {target.model!r}, {dict(target.outputs)!r}{token})",
        f"speaker = client({protocol!r})",
        "body = speaker.encode(target, inputs)",
        "print(speaker.decode(target, send(speaker.call(target, body), body)))",
    ]
    return "\n".join(lines) + "\n"
