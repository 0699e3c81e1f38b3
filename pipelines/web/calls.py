"""Writes the call behind an answer as a person can repeat it: a command with curl, and lines of Python.

A token is never written: the command that prints it is. Addresses are those at which others reach a server.
"""

from __future__ import annotations

import base64
import io
import os
import shlex
import struct
from dataclasses import dataclass, replace

import numpy as np

from models.spec import ModelSpec
from pipelines.base.errors import unknown
from pipelines.web.fleet.servers import KnownServer
from serving.clients import Call, Client, Target, client, scheme_of

INLINE_BYTES = 64 * 1024
"""A longer body is left to a file: nobody reads it, and pasting it takes a terminal seconds."""
GRPC_HEAD = struct.Struct(">BI")
"""A message of gRPC over HTTP/2: not compressed, and its length."""
GRPC_HEADERS = {"content-type": "application/grpc", "te": "trailers"}
SHOWN_AS = "SLIPWAY_SERVERS_SHOWN_AS"
"""Environment variable, ``URL=URL`` with blanks between: where others reach what has an address of its own network."""
TOKEN_COMMAND = "SLIPWAY_TORCHSERVE_SHOWN_BY"  # noqa: S105 - the name of a variable
"""Environment variable: what prints TorchServe's token, where its file is out of others' reach."""
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
    token = (os.environ.get(TOKEN_COMMAND) or f"cat {shlex.quote(str(tokens[0]))}") if tokens else None
    target = replace(target, url=_reached_at(target.url))
    long = ((BODY_FILE, len(_framed(protocol, body)) > INLINE_BYTES), (INPUTS_FILE, _is_long(inputs)))
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


def _reached_at(url: str) -> str:
    """Return the address at which others reach a server."""
    pairs = (word.partition("=") for word in os.environ.get(SHOWN_AS, "").split())
    return {inside: outside for inside, _, outside in pairs}.get(url, url)


def _is_long(inputs: dict[str, np.ndarray]) -> bool:
    return any(array.nbytes > INLINE_BYTES for array in inputs.values())


def curl(protocol: str, call: Call, body: bytes, token: str | None) -> str:
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
    if token is not None:
        words += ["--header", f'"Authorization: Bearer $({token})"']
    words += ["--data-binary", "@-", shlex.quote(call.url.replace("grpc://", "http://") + call.path)]
    sent = _framed(protocol, body)
    return f"{_piped(sent)}{' '.join(words)}{_here(sent)}"


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


def python(protocol: str, target: Target, inputs: dict[str, np.ndarray], token: str | None) -> str:
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
    last = ""
    if token is not None:
        imports.insert(0, "import subprocess")
        given.append(f"token = subprocess.check_output({shlex.split(token)!r}, text=True).strip()")
        last = ", token=token"
    lines = [
        *imports,
        "",
        *given,
        f"target = Target({target.url!r}, {target.model!r}, {dict(target.outputs)!r}{last})",
        f"speaker = client({protocol!r})",
        "body = speaker.encode(target, inputs)",
        "print(speaker.decode(target, send(speaker.call(target, body), body)))",
    ]
    return "\n".join(lines) + "\n"
