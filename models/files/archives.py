"""Opens zip archives that may be hostile, and reads their members."""

from __future__ import annotations

import io
import mmap
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from models.files import RefusedFile
from models.files.inside.zip_layout import ZipMember, laid_out


@dataclass(frozen=True, slots=True)
class CheckedZip:
    """An archive whose layout is sound. ``what`` names it in messages."""

    what: str
    data: memoryview
    members: dict[str, ZipMember]

    def view(self, name: str) -> memoryview:
        """Return a stored member's bytes without copying them. Raises RefusedFile."""
        member = self._member(name)
        if not member.stored:
            return memoryview(self.read(name, member.size))
        return self.data[member.offset : member.offset + member.size]

    def read(self, name: str, most_bytes: int) -> bytes:
        """Return a member's bytes. Raises RefusedFile if it is not there, is damaged, or has more bytes."""
        member = self._member(name)
        if member.size > most_bytes:
            raise RefusedFile(f"{name} in {self.what} may have {most_bytes:,} bytes. Received: {member.size:,}")
        raw = self.data[member.offset : member.offset + member.packed]
        if member.stored:
            return bytes(raw)
        unpacking = zlib.decompressobj(-15)
        try:
            content = unpacking.decompress(raw, member.size + 1)
        except zlib.error as error:
            raise RefusedFile(f"{name} in {self.what} cannot be unpacked: {error}. The file is damaged") from None
        if len(content) != member.size:
            raise RefusedFile(f"{name} in {self.what} unpacks to another size than the archive says")
        return content

    def _member(self, name: str) -> ZipMember:
        if name not in self.members:
            raise RefusedFile(f"{self.what} has no member {name}. The file is damaged, or not what its name says")
        return self.members[name]


@contextmanager
def opened_zip(path: Path) -> Iterator[CheckedZip]:
    """Open an archive on disk, mapped into memory. Raises RefusedFile."""
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        data = memoryview(mapped)
        try:
            yield CheckedZip(path.name, data, laid_out(path.name, data, file))
        finally:
            with suppress(BufferError):  # the traceback of a refusal still holds a view: all of it goes together
                data.release()
                mapped.close()


def zip_in(raw: bytes, what: str) -> CheckedZip:
    """Open an archive that lies in memory. Raises RefusedFile."""
    data = memoryview(raw)
    return CheckedZip(what, data, laid_out(what, data, io.BytesIO(raw)))
