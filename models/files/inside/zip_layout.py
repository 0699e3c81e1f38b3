"""Checks the layout of a zip archive that may be hostile, in full, before a member is read.

Frameworks read zips by different libraries, which disagree about unusual ones. An archive is taken only if it has one
reading: members one after the other from the first byte, each named alike in both of its headers, the directory last.
"""

from __future__ import annotations

import stat
import struct
import zipfile
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO

from models.files import RefusedFile

MOST_MEMBERS = 20_000
MOST_NAME = 1_000
MOST_RATIO = 30
RATIO_FLOOR = 16 * 2**20
"""A member of so many bytes may be packed however well."""
MOST_UNPACKED = 64 * 2**30
_LOCAL = struct.Struct("<4s5H3I2H")
_DESCRIPTOR_BYTES = 24
"""The longest record between two members, of those written to a stream."""
_END_BYTES = (22, 22 + 56 + 20)
"""The end of the directory, without and with the records of zip64."""


@dataclass(frozen=True, slots=True)
class ZipMember:
    """One file in an archive: where its bytes lie, how many, and how many they are unpacked."""

    name: str
    offset: int
    packed: int
    size: int
    stored: bool


def laid_out(what: str, data: memoryview, file: IO[bytes]) -> dict[str, ZipMember]:
    """Find the members of an archive; ``what`` names it. Raises RefusedFile if its layout is not sound."""
    try:
        with zipfile.ZipFile(file) as archive:
            entries, start, comment = archive.infolist(), archive.start_dir, archive.comment
    except (zipfile.BadZipFile, NotImplementedError, UnicodeDecodeError, struct.error, OverflowError) as error:
        raise RefusedFile(f"{what} is no sound zip archive: {error}. The file is damaged or cut short") from None
    if len(entries) > MOST_MEMBERS:
        raise RefusedFile(f"{what} may have {MOST_MEMBERS:,} members. Received: {len(entries):,}")
    if wrong := next(filter(None, map(_wrong, entries)), None):
        raise RefusedFile(f"{what} holds {wrong}: nothing of the archive was opened")
    if sum(entry.file_size for entry in entries) > MOST_UNPACKED + len(data):
        raise RefusedFile(f"{what} unpacks to more than {MOST_UNPACKED:,} bytes: it is no model")
    members = {}
    expected, seen = 0, set()
    for entry in sorted(entries, key=lambda one: one.header_offset):
        # PyTorch looks members up without regard to case.
        if entry.filename.casefold() in seen:
            raise RefusedFile(f"{what} holds two members of one name: {entry.filename!r}")
        seen.add(entry.filename.casefold())
        member = _located(what, data, entry, start)
        if not expected <= entry.header_offset <= expected + (_DESCRIPTOR_BYTES if expected else 0):
            raise RefusedFile(f"{what} has members that overlap or bytes between them, at {entry.filename!r}")
        expected = member.offset + member.packed
        if not entry.is_dir():
            members[entry.filename] = member
    if comment or not expected <= start <= expected + _DESCRIPTOR_BYTES or not _ends_well(data, start, len(entries)):
        raise RefusedFile(f"{what} has bytes before, after or inside the zip archive that belong to no member")
    return members


def _wrong(entry: zipfile.ZipInfo) -> str | None:
    """Say what is wrong with one line of the directory; None if nothing is."""
    name, kind = entry.orig_filename, stat.S_IFMT(entry.external_attr >> 16)
    parts = PurePosixPath(name).parts
    rules = {
        "a member without a usable name": not name.strip("/") or len(name) > MOST_NAME or not name.isprintable(),
        "a path that leads out of the archive": name.startswith("/") or ".." in parts or "\\" in name or ":" in name,
        "a link or a special file": kind not in (0, stat.S_IFREG, stat.S_IFDIR),
        "an encrypted member": bool(entry.flag_bits & 0x2041),
        "a member packed by a method that no framework writes": entry.compress_type not in (0, zipfile.ZIP_DEFLATED),
        "a stored member of two sizes": not entry.compress_type and entry.compress_size != entry.file_size,
        "a decompression bomb": entry.file_size > max(RATIO_FLOOR, MOST_RATIO * entry.compress_size),
    }
    return next((f"{text} ({name[:80]!r}, {entry.file_size:,} bytes)" for text, holds in rules.items() if holds), None)


def _located(what: str, data: memoryview, entry: zipfile.ZipInfo, end: int) -> ZipMember:
    """Find a member's bytes by its own header, which has to agree with the directory."""
    place = entry.header_offset
    header = bytes(data[place : place + _LOCAL.size])
    if len(header) < _LOCAL.size:
        raise RefusedFile(f"{what} ends inside {entry.filename!r}. The file is damaged or cut short")
    mark, _, flags, method, _, _, _, packed, size, name_bytes, extra_bytes = _LOCAL.unpack(header)
    offset = place + _LOCAL.size + name_bytes + extra_bytes
    name = bytes(data[place + _LOCAL.size :][:name_bytes]).decode("utf-8" if flags & 0x800 else "cp437", "replace")
    later = bool(flags & 0x8)  # the sizes follow the bytes
    agree = all(
        said in (real, 0xFFFFFFFF) or (later and said == 0)
        for said, real in ((packed, entry.compress_size), (size, entry.file_size))
    )
    if mark != b"PK\x03\x04" or name != entry.orig_filename or method != entry.compress_type or not agree:
        raise RefusedFile(f"{what} says two things about {entry.filename!r} in its two headers")
    if offset + entry.compress_size > end:
        raise RefusedFile(f"{what} ends inside {entry.filename!r}. The file is damaged or cut short")
    return ZipMember(entry.filename, offset, entry.compress_size, entry.file_size, entry.compress_type == 0)


def _ends_well(data: memoryview, start: int, entries: int) -> bool:
    """Tell if the directory ends with the file: nothing follows that another reader might take for a directory."""
    place = start
    for _ in range(entries):
        if bytes(data[place : place + 4]) != b"PK\x01\x02":
            return False
        name, extra, comment = struct.unpack("<3H", data[place + 28 : place + 34])
        place += 46 + name + extra + comment
    return len(data) - place in _END_BYTES
