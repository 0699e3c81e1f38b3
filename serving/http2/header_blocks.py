"""Header blocks (HPACK, RFC 7541), each of which is worked on once.

Peers send the same few blocks again and again: by reference to the dynamic table a whole head of a request is
some ten bytes. What such bytes mean changes only when the table does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from hpack import Decoder, Encoder, HPACKError
from hpack.table import HeaderTable

from serving.http2.frames import Code, ProtocolError

MAX_LIST_BYTES = 65_536
"""Of the fields of one block, decoded. gRPC's own servers allow 8 or 16 KB, and are often told to allow more."""
_MOST_KNOWN = 256

Fields = Sequence[tuple[bytes, bytes]]
Parsed = TypeVar("Parsed")


class _Table(HeaderTable):
    """The dynamic table, which counts its changes."""

    changes = 0

    def add(self, name: bytes, value: bytes) -> None:
        self.changes += 1
        super().add(name, value)

    def state(self) -> tuple[int, int, int]:
        """Another one after every change, be it a new entry or another size."""
        return self.changes, self.maxsize, len(self.dynamic_entries)


class BlockReader(Generic[Parsed]):
    """Blocks of one connection, in the order of their arrival, to whatever ``parse`` makes of their fields."""

    def __init__(self, parse: Callable[[Fields], Parsed]) -> None:
        self._parse = parse
        self._decoder = Decoder(max_header_list_size=MAX_LIST_BYTES)
        self._table = _Table()
        self._decoder.header_table = self._table
        self._known: dict[bytes, Parsed] = {}

    def read(self, block: bytes) -> Parsed:
        """What ``parse`` said of this block.

        Raises:
            ProtocolError: COMPRESSION_ERROR, the block cannot be decoded; ENHANCE_YOUR_CALM, it is too large.
        """
        known = self._known.get(block)
        if known is not None:
            return known
        before = self._table.state()
        try:
            fields: Any = self._decoder.decode(block, raw=True)
        except HPACKError as error:
            raise ProtocolError(Code.COMPRESSION_ERROR, f"a header block cannot be decoded: {error}") from error
        parsed = self._parse(fields)
        if self._table.state() != before:
            self._known.clear()  # its own bytes, too, would mean something else the next time
        elif len(self._known) < _MOST_KNOWN:
            self._known[block] = parsed
        return parsed


def repeated_block(fields: Fields, table_size: int) -> tuple[bytes, bytes]:
    """A block for the first time on a connection, and the one for all later times, which refers to the first.

    ``table_size`` is the dynamic table that the peer offers, in bytes; more than the default is not used.
    """
    encoder = Encoder()
    encoder.header_table_size = min(table_size, encoder.header_table_size)
    first, second, third = (encoder.encode(list(fields)) for _ in range(3))
    if second == third:
        return first, second
    plain = plain_block(fields)  # the table does not hold them all
    return plain, plain


def plain_block(fields: Fields) -> bytes:
    """A block that neither uses nor changes a dynamic table: literal fields (RFC 7541, section 6.2.2)."""
    return b"".join(b"\x00" + _text(name) + _text(value) for name, value in fields)


def _text(text: bytes) -> bytes:
    """A string literal without Huffman coding, after its length as a 7-bit prefix integer (sections 5.1 and 5.2)."""
    size = len(text)
    if size < 0x7F:
        return bytes((size,)) + text
    prefix = bytearray((0x7F,))
    size -= 0x7F
    while size > 0x7F:
        prefix.append(size & 0x7F | 0x80)
        size >>= 7
    prefix.append(size)
    return bytes(prefix) + text
