"""Keeps what a run has measured, row by row, so that a run that was stopped or killed can be resumed.

``journal.jsonl`` in the run's folder: the run's own words, then one measured row a line. A run that ends removes it.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from pydantic import TypeAdapter

from pipelines.base.errors import UserError
from pipelines.base.progress import say
from pipelines.results import Row
from pipelines.run.options import Options

JOURNAL = "journal.jsonl"


@dataclass(frozen=True, slots=True)
class Intent:
    """Holds what was asked for: paths, and options with the seed of the order; when, and by which command."""

    words: tuple[str, ...]
    options: Options
    started: str
    command: str


@dataclass(frozen=True, slots=True)
class Measured:
    """A row, and the SHA-256 of the artifact that it is of."""

    artifact_sha256: str
    row: Row


@dataclass(frozen=True, slots=True)
class Journaled:
    """A run's journal, its words, and what it measured before it was stopped."""

    journal: Journal
    intent: Intent
    rows: Sequence[Measured] = ()


class Journal:
    """The journal of a run that is going on; no other process can resume it until it is closed."""

    def __init__(self, file: IO[str], path: Path) -> None:
        self._file, self._path = file, path

    @classmethod
    def begin(cls, folder: Path, intent: Intent) -> Journal:
        """Begin a journal in a folder."""
        path = folder / JOURNAL
        file = path.open("x")
        fcntl.flock(file, fcntl.LOCK_EX)
        journal = cls(file, path)
        journal._write(asdict(intent))
        return journal

    def add(self, artifact_sha256: str, row: Row) -> None:
        """Keep a row. On a full disk the run goes on without a journal, and says so once."""
        if self._file.closed:
            return
        try:
            self._write(asdict(Measured(artifact_sha256, row)))
        except OSError as error:
            say(f"{self._path}: {error.strerror}: from now on, nothing is kept for --resume")
            self.close()

    def _write(self, data: dict[str, Any]) -> None:
        self._file.write(json.dumps(data) + "\n")
        self._file.flush()

    def end(self) -> None:
        """Remove the journal of a run that is whole."""
        self._path.unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """Leave the journal to be resumed."""
        with suppress(OSError):  # of a line that a full disk did not take, which was said
            self._file.close()


def resume(reports: Path) -> tuple[Path, Journaled]:
    """Return the folder and the journal of the newest run that did not end. Raises UserError if there is none."""
    for path in sorted(reports.glob(f"*/{JOURNAL}"), reverse=True):
        if path.parent.is_symlink():
            continue  # latest, another name of a folder
        file = path.open("r+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            continue  # it is going on
        return path.parent, Journaled(Journal(file, path), *_read(file, path))
    raise UserError(f"no run to resume in {reports}: all have ended. Leave out --resume")


def _read(file: IO[str], path: Path) -> tuple[Intent, list[Measured]]:
    """Read a journal; a last line that was not written to its end is cut off."""
    whole, line, end = [], file.readline(), 0
    while line.endswith("\n"):
        whole.append(line)
        end = file.tell()
        line = file.readline()
    file.seek(end)
    file.truncate()
    try:
        intent = TypeAdapter(Intent).validate_json(whole[0])
        rows = [TypeAdapter(Measured).validate_json(one) for one in whole[1:]]
    except (ValueError, IndexError) as error:
        raise UserError(f"{path} is damaged: {error}. Remove {path.parent}, or run without --resume") from error
    return intent, rows
