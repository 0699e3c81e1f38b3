"""Header blocks (HPACK, RFC 7541), each of which is worked on once.

Peers send the same few blocks again and again: by reference to the dynamic table a whole head of a request is
some ten bytes. What such bytes mean changes only when the table does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from hpack import Decoder, Encoder, HPACKError, OversizedHeaderListError
from hpack.table import HeaderTable

from serving.http2.frames import Code, Http2Error

MAX_LIST_BYTES = 65_536
"""Of the fields of one block, decoded (as SETTINGS_MAX_HEADER_LIST_SIZE counts: 32 more for each field). gRPC's own
servers allow 8 or 16 KB, and are often told to allow more."""
MAX_BLOCK_BYTES = MAX_LIST_BYTES
"""Of one block on the wire. Encoded well, fields take less than they count; and decoding takes time by its square."""
DEFAULT_TABLE = 4096
"""Bytes of the dynamic table until SETTINGS_HEADER_TABLE_SIZE says otherwise."""
_MOST_KNOWN = 256
_LARGEST_KNOWN = 1024
_MOST_SIZE_UPDATES = 2  # RFC 7541, section 4.2: the smallest size since the last block, and the last

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
            Http2Error: COMPRESSION_ERROR, the block cannot be decoded; ENHANCE_YOUR_CALM, it is too large.
        """
        known = self._known.get(block)
        if known is not None:
            return known
        if len(block) > MAX_BLOCK_BYTES:
            raise Http2Error(Code.ENHANCE_YOUR_CALM, f"a header block of {len(block)} bytes")
        if _size_updates(block) > _MOST_SIZE_UPDATES:
            raise Http2Error(Code.COMPRESSION_ERROR, "a header block that resizes the table again and again")
        before = self._table.state()
        try:
            fields: Any = self._decoder.decode(block, raw=True)
        except OversizedHeaderListError as error:
            raise Http2Error(Code.ENHANCE_YOUR_CALM, f"header fields of over {MAX_LIST_BYTES} bytes") from error
        except HPACKError as error:
            raise Http2Error(Code.COMPRESSION_ERROR, f"a header block cannot be decoded: {error}") from error
        parsed = self._parse(fields)
        if self._table.state() != before:
            self._known.clear()  # its own bytes, too, would mean something else the next time
        elif len(self._known) < _MOST_KNOWN and len(block) <= _LARGEST_KNOWN:
            self._known[block] = parsed
        return parsed


def _size_updates(block: bytes) -> int:
    """How many changes of the table's size a block begins with (RFC 7541, section 6.3), counted as far as matters."""
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
    """What a block has to begin with, once the peer has made the table smaller (RFC 7541, sections 4.2 and 6.3)."""
    return _integer(0x20, 0x1F, size)


def repeated_block(fields: Fields, table_size: int) -> tuple[bytes, bytes]:
    """A block for the first time on a connection, and the one for all later times, which refers to the first.

    ``table_size`` is the dynamic table that the peer offers, in bytes; more than the default is not used.
    """
    encoder = Encoder()
    encoder.header_table_size = min(table_size, DEFAULT_TABLE)
    first, second, third = (encoder.encode(list(fields)) for _ in range(3))
    if second == third:
        return first, second
    plain = plain_block(fields)  # the table does not hold them all
    return (size_update(table_size) + plain if table_size < DEFAULT_TABLE else plain), plain


def plain_block(fields: Fields) -> bytes:
    """A block that neither uses nor changes a dynamic table: literal fields (RFC 7541, section 6.2.2)."""
    return b"".join(b"\x00" + _text(name) + _text(value) for name, value in fields)


def _text(text: bytes) -> bytes:
    """A string literal without Huffman coding, after its length (section 5.2)."""
    return _integer(0, 0x7F, len(text)) + text


def _integer(pattern: int, most: int, value: int) -> bytes:
    """An integer with a prefix that holds values below ``most``, after the bits of a pattern (section 5.1)."""
    if value < most:
        return bytes((pattern | value,))
    encoded = bytearray((pattern | most,))
    value -= most
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
