"""Lists the arrays of an HDF5 file as Keras writes it, and refuses what would make a reader open other files.

Only the old layout of groups is known, which h5py writes unless asked for another: it has no external links.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from models.files import RefusedFile

SIGNATURE = b"\x89HDF\r\n\x1a\n"
MOST_OBJECTS = 500_000
MOST_UNPACKED = 30
"""An array in chunks may be compressed: unpacked, it has at most so many times the file's size."""
_NOWHERE = 2**64 - 1
_SPACE, _TYPE, _LINK, _EXTERNAL, _LAYOUT, _CONTINUED, _GROUP = 0x01, 0x03, 0x06, 0x07, 0x08, 0x10, 0x11
_SOFT_LINK = 2


@dataclass(frozen=True, slots=True)
class StoredArray:
    """One array: its path in the file, its shape, and the bytes of an element."""

    path: str
    shape: tuple[int, ...]
    itemsize: int

    @property
    def count(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)


def arrays_in(raw: memoryview, what: str) -> list[StoredArray]:
    """List every array. ``what`` names the file in messages. Raises RefusedFile."""
    try:
        return list(_arrays(raw, what))
    except (struct.error, IndexError):
        raise RefusedFile(f"{what} points outside itself. The file is damaged or cut short") from None


def _arrays(raw: memoryview, what: str) -> Iterator[StoredArray]:
    if bytes(raw[:8]) != SIGNATURE:
        raise RefusedFile(f"{what} is no HDF5 file. The file is damaged")
    if raw[8] > 1 or raw[13] != 8 or raw[14] != 8:
        raise RefusedFile(f"{what} has another layout than Keras writes. Load it and save it again with Keras 3")
    (root,) = struct.unpack_from("<Q", raw, (56 if raw[8] == 0 else 60) + 8)
    waiting: list[tuple[str, int]] = [("", root)]
    seen: set[int] = set()
    while waiting:
        path, place = waiting.pop()
        if place in seen or len(seen) > MOST_OBJECTS:
            raise RefusedFile(f"{what} refers to one object twice, or has more than {MOST_OBJECTS:,}: {path}")
        seen.add(place)
        messages = dict(_messages(raw, place, what))
        if _LINK in messages:
            raise RefusedFile(f"{what} has links that may lead to other files, at {path or '/'}. Keras refuses it too")
        if _EXTERNAL in messages:
            raise RefusedFile(f"{what} takes an array out of another file, at {path}. Keras refuses it too")
        if _GROUP in messages:
            tree, heap = struct.unpack_from("<2Q", messages[_GROUP])
            waiting += ((f"{path}/{name}".lstrip("/"), child) for name, child in _children(raw, tree, heap, what))
        elif _LAYOUT in messages:
            yield _array(raw, path, messages, what)


def _messages(raw: memoryview, place: int, what: str) -> Iterator[tuple[int, memoryview]]:
    """Read the parts of an object's header."""
    version, number, size = struct.unpack_from("<BxH4xI", raw, place)
    if version != 1:
        raise RefusedFile(f"{what} has another layout than Keras writes. Load it and save it again with Keras 3")
    blocks = [(place + 16, size)]
    for start, length in blocks:
        at = start
        while at + 8 <= start + length and number > 0:
            kind, bytes_, flags = struct.unpack_from("<2HB", raw, at)
            body = raw[at + 8 : at + 8 + bytes_]
            if len(body) < bytes_ or (flags & 2 and kind in (_SPACE, _TYPE, _LAYOUT)):
                raise RefusedFile(f"{what} points outside itself. The file is damaged or cut short")
            if kind == _CONTINUED:
                blocks.append(struct.unpack_from("<2Q", body))
            yield kind, body
            at += 8 + bytes_
            number -= 1


def _children(raw: memoryview, tree: int, heap: int, what: str) -> Iterator[tuple[str, int]]:
    """Read the names in a group and where their objects are."""
    if bytes(raw[heap : heap + 4]) != b"HEAP":
        raise RefusedFile(f"{what} points outside itself. The file is damaged or cut short")
    (names,) = struct.unpack_from("<Q", raw, heap + 24)
    waiting, visited = [tree], 0
    while waiting:
        node = waiting.pop()
        visited += 1
        mark = bytes(raw[node : node + 4])
        if mark == b"TREE" and visited < MOST_OBJECTS:
            (used,) = struct.unpack_from("<H", raw, node + 6)
            waiting += (struct.unpack_from("<Q", raw, node + 32 + 16 * one)[0] for one in range(used))
        elif mark == b"SNOD" and visited < MOST_OBJECTS:
            (used,) = struct.unpack_from("<H", raw, node + 6)
            for one in range(used):
                name, child, kind = struct.unpack_from("<2QI", raw, node + 8 + 40 * one)
                if kind == _SOFT_LINK:
                    raise RefusedFile(f"{what} has a link in place of an array. Keras refuses it too")
                start = names + name
                yield bytes(raw[start : start + 1024]).partition(b"\0")[0].decode("utf-8", "replace"), child
        else:
            raise RefusedFile(f"{what} points outside itself. The file is damaged or cut short")


def _array(raw: memoryview, path: str, messages: dict[int, memoryview], what: str) -> StoredArray:
    space, kind, layout = (messages.get(one, memoryview(b"")) for one in (_SPACE, _TYPE, _LAYOUT))
    shape = struct.unpack_from(f"<{space[1]}Q", space, 8 if space[0] == 1 else 4)
    array = StoredArray(path, shape, struct.unpack_from("<I", kind, 4)[0])
    size = array.count * array.itemsize
    if layout[0] != 3 or layout[1] > 2:
        raise RefusedFile(f"{what} takes an array out of other arrays or files, at {path}. Keras refuses it too")
    if layout[1] == 1:
        place, stored = struct.unpack_from("<2Q", layout, 2)
        if stored < size or (size and place != _NOWHERE and place + stored > len(raw)):
            raise RefusedFile(f"{what} is cut short: {path} needs {size:,} bytes")
        if size and place == _NOWHERE:
            raise RefusedFile(f"{what} has no bytes for {path}, which needs {size:,}")
    elif size > MOST_UNPACKED * len(raw):
        raise RefusedFile(f"{what} says that {path} has {size:,} bytes, and cannot hold them: a decompression bomb")
    return array
