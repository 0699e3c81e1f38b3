"""Runs in the caged process of the fuzzer: reads many files, and says of each how it went."""

from __future__ import annotations

import time
from pathlib import Path

from models.files import RefusedFile
from models.files.kinds import read

PROGRESS = "progress: "


def read_all(paths: list[str]) -> list[tuple[str, float]]:
    """Return of each file what came of it, and the seconds that it took; the file that is read is told beforehand."""
    found = []
    for path in paths:
        print(f"{PROGRESS}{path}", flush=True)
        started = time.monotonic()
        try:
            outcome = f"taken: {read(Path(path)).kind}"
        except RefusedFile as error:
            outcome = f"refused: {error}"
        except Exception as error:  # noqa: BLE001 - an error of the reader is what is looked for
            outcome = f"bug: {type(error).__name__}: {error}"
        found.append((outcome, time.monotonic() - started))
    return found
