"""Decode and encode header blocks (HPACK, RFC 7541), and decode repeated blocks only once.

Peers send the same few blocks again and again: with references to the dynamic table, the whole head of a request
has about ten bytes. The meaning of these bytes changes only when the table changes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from hpack import Decoder, Encoder, HPACKError, OversizedHeaderListError
from hpack.table import HeaderTable

from serving.http2.frames import Code, Http2Error

MAX_LIST_BYTES = 65_536
"""Largest size of one block's fields, decoded (counted like SETTINGS_MAX_HEADER_LIST_SIZE: 32 more for each field).
gRPC's own servers allow 8 or 16 KB, and are often configured to allow more."""
MAX_BLOCK_BYTES = MAX_LIST_BYTES
"""Largest size of one encoded block. Well encoded fields are smaller than decoded ones, and decoding time grows with
the square of the size."""
DEFAULT_TABLE = 4096
"""Size of the dynamic table in bytes, unless SETTINGS_HEADER_TABLE_SIZE changes it."""
_MOST_KNOWN = 256
_LARGEST_KNOWN = 1024
_MOST_SIZE_UPDATES = 2  # RFC 7541, section 4.2: the smallest size since the last block, and the last

Fields = Sequence[tuple[bytes, bytes]]
Parsed = TypeVar("Parsed")


class _Table(HeaderTable):
    """A dynamic table that counts its changes."""

    changes = 0

    def add(self, name: bytes, value: bytes) -> None:
        self.changes += 1
        super().add(name, value)

    def state(self) -> tuple[int, int, int]:
        """Return a value that differs after every change: a new entry or a new size."""
        return self.changes, self.maxsize, len(self.dynamic_entries)


class BlockReader(Generic[Parsed]):
    """A decoder of one connection's blocks, in the order of arrival; ``parse`` converts their fields."""

    def __init__(self, parse: Callable[[Fields], Parsed]) -> None:
        self._parse = parse
        self._decoder = Decoder(max_header_list_size=MAX_LIST_BYTES)
        self._table = _Table()
        self._decoder.header_table = self._table
        self._known: dict[bytes, Parsed] = {}

    def read(self, block: bytes) -> Parsed:
        """Return the result of ``parse`` for this block.

        Raises:
            Http2Error: COMPRESSION_ERROR, the block cannot be decoded; ENHANCE_YOUR_CALM, it is too large.
        """
        known = self._known.get(block)
        if known is not None:
            return known
        if len(block) > MAX_BLOCK_BYTES:
            raise Http2Error(Code.ENHANCE_YOUR_CALM, f"a header block of {len(block)} bytes")
        if _size_updates(block) > _MOST_SIZE_UPDATES:
            raise Http2Error(Code.COMPRESSION_ERROR, "a header block with too many changes of the table's size")
        before = self._table.state()
        try:
            fields: Any = self._decoder.decode(block, raw=True)
        except OversizedHeaderListError as error:
            raise Http2Error(Code.ENHANCE_YOUR_CALM, f"header fields of over {MAX_LIST_BYTES} bytes") from error
        except HPACKError as error:
            raise Http2Error(Code.COMPRESSION_ERROR, f"a header block cannot be decoded: {error}") from error
        parsed = self._parse(fields)
        if self._table.state() != before:
            self._known.clear()  # known blocks, and this one, now have another meaning
        elif len(self._known) < _MOST_KNOWN and len(block) <= _LARGEST_KNOWN:
            self._known[block] = parsed
        return parsed


def _size_updates(block: bytes) -> int:
    """Count the changes of the table's size at the start of a block (RFC 7541, 6.3), up to one over the limit."""
    count = position = 0
    while count <= _MOST_SIZE_UPDATES and position < len(block) and block[position] & 0xE0 == 0x20:
        count += 1
        goes_on = block[position] & 0x1F == 0x1F
        position += 1
        while goes_on and position < len(block):
            goes_on = block[position] >= 0x80
            position += 1
    return count


def size_update(size: int) -> bytes:
    """Encode the start of the next block after the peer made the table smaller (RFC 7541, sections 4.2 and 6.3)."""
    return _integer(0x20, 0x1F, size)


def repeated_block(fields: Fields, table_size: int) -> tuple[bytes, bytes]:
    """Encode fields as a first block on a connection, and as a shorter block for all later times.

    ``table_size`` is the size of the peer's dynamic table in bytes; at most the default is used.
    """
    encoder = Encoder()
    encoder.header_table_size = min(table_size, DEFAULT_TABLE)
    first, second, third = (encoder.encode(list(fields)) for _ in range(3))
    if second == third:
        return first, second
    plain = plain_block(fields)  # the table is too small for all fields
    return (size_update(table_size) + plain if table_size < DEFAULT_TABLE else plain), plain


def plain_block(fields: Fields) -> bytes:
    """Encode a block that neither uses nor changes a dynamic table: literal fields (RFC 7541, section 6.2.2)."""
    return b"".join(b"\x00" + _text(name) + _text(value) for name, value in fields)


def _text(text: bytes) -> bytes:
    """Encode a string literal without Huffman coding, after its length (section 5.2)."""
    return _integer(0, 0x7F, len(text)) + text


def _integer(pattern: int, most: int, value: int) -> bytes:
    """Encode an integer after the bits of ``pattern``, in a prefix for values below ``most`` (section 5.1)."""
    if value < most:
        return bytes((pattern | value,))
    encoded = bytearray((pattern | most,))
    value -= most
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
