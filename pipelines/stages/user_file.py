"""Reads a user's model file in a caged process: a file that crashes its reader, or never ends, costs one line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from models.files import FileFacts, printable
from models.files.plain import facts_of
from pipelines.base.errors import UserError
from pipelines.base.files import scratch
from pipelines.stages.cage import GIB, Cage
from pipelines.stages.worker import StageFailed, run_stage

READ_BYTES_PER_S = 50e6
"""The slowest disk and processor that are waited for."""
LEAST_S = 20
MOST_ENTRIES = 10_000
GRAPH = "saved_model.pb"


@dataclass(frozen=True, slots=True)
class ReadFile:
    """The content of a file, and what held of the cage in which it was read."""

    facts: FileFacts
    held: tuple[str, ...]


def read_user_file(path: Path, *, allow_code: bool = False) -> ReadFile:
    """Read and check a model file or folder. Raises UserError, in one line, for one that is not taken."""
    # Three times the file: a message is decoded beside its bytes, and a file is mapped into memory.
    memory = 2 * GIB + 3 * _bytes_of(path / GRAPH if path.is_dir() else path)
    cage = Cage(memory, LEAST_S + int(_bytes_about(path) / READ_BYTES_PER_S), file_bytes=GIB // 8, files=64)
    request = {"path": str(path.absolute()), "allow_code": allow_code}
    with scratch("read") as folder:
        try:
            # The wall clock may show more than the CPU time: others may keep disk and processor busy.
            done = run_stage(
                "pipelines.stages.reading:read", request, folder / "log", cage=cage, timeout_s=10 * cage.cpu_s
            )
        except StageFailed as error:
            reason = printable(str(error).partition("\n")[0])
            raise UserError(f"{path} cannot be read: {reason}. The file is damaged, or made to do harm") from None
    return ReadFile(facts_of(done.value), done.held)


def _bytes_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except (OSError, ValueError):
        return 0  # the reader says what is wrong


def _bytes_about(path: Path) -> int:
    """Add up the sizes of a folder's files, or of a file and those beside it: its weights may lie there."""
    total = 0
    try:
        for count, file in enumerate(path.rglob("*") if path.is_dir() else path.parent.iterdir()):
            if count > MOST_ENTRIES:
                break
            total += file.lstat().st_size
    except (OSError, ValueError):
        return total  # the reader says what is wrong
    return total
