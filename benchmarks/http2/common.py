"""Holds what both ends of a connection share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic

from serving.http2 import frames
from serving.http2.connection import FRAME_LIMIT
from serving.http2.header_blocks import MAX_LIST_BYTES, Fields, Parsed

PATH = b"/tensorflow.serving.PredictionService/Predict"
BODY = bytes(range(250)) * 12
ANSWER = bytes(60)
SETTINGS = {frames.MAX_FRAME_SIZE: FRAME_LIMIT, frames.MAX_HEADER_LIST_SIZE: MAX_LIST_BYTES}
WARM_UP = 200
"""Calls on each connection before its measurement."""


class Known(dict[Fields, Parsed], Generic[Parsed]):
    """Remembers the parsed form of header fields: most requests have the same."""

    def __init__(self, parse: Callable[[Fields], Parsed]) -> None:
        super().__init__()
        self._parse = parse

    def __missing__(self, fields: Fields) -> Parsed:
        parsed = self[fields] = self._parse(fields)
        return parsed
