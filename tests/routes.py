"""The tables of docs/routes.md: which routes the servers have, and who may call them."""

from __future__ import annotations

import re
from pathlib import Path

import grpc

PAGE = Path(__file__).resolve().parent.parent / "docs/routes.md"
_ROW = re.compile(r"^\| ([\w ]+) \| `([^`]+)` \| (\w+).* \|$", re.MULTILINE)


def documented(server: str) -> dict[tuple[str, str], str]:
    """(port, route) -> who may call it, in one word, of the table below the heading ``server``."""
    section = re.search(rf"^## {re.escape(server)}\n(.*?)(?=^## |\Z)", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert section, f"{PAGE} has no heading {server}"
    rows = _ROW.findall(section[1])
    assert len(rows) == len({(port, route) for port, route, _ in rows}), "a route is there twice"
    return {(port, route): who for port, route, who in rows}


def filled(route: str, model: str, version: str = "1") -> tuple[str, str]:
    """Verb and path of a route, with values for what is in braces."""
    verb, _, path = route.partition(" ")
    path = re.sub(r"\{model(_name)?\}", model, path)
    return verb, re.sub(r"\{\w+\}", version, path)


def grpc_status(channel: grpc.Channel, method: str, key: str | None = None) -> str:
    """Name of the status that an empty request gets, and its message."""
    metadata = [("authorization", f"Bearer {key}")] if key else []
    try:
        channel.unary_unary(method)(b"", timeout=30, metadata=metadata)
    except grpc.RpcError as error:
        return f"{error.code().name} {error.details()}"
    return "OK"
