"""Keeps what was measured for a claim, bound to the code, the versions and the machine that it is of."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from pipelines.artifacts.store import key_of
from pipelines.base.files import MIB, read_bounded, write_bytes
from pipelines.claims import CLAIMS, Claim, Evidence, Verdict
from pipelines.claims.experiments.bench import Effort
from pipelines.results import Machine

MAX_BYTES = 64 * MIB
EVERY = (
    *("pipelines.claims.experiments.bench", "pipelines.claims.experiments.statistics"),
    *("pipelines.stages.worker", "pipelines.stages.child"),
    *("pipelines.stages.forks", "pipelines.stages.forkserver", "serving.lean"),
)
"""Modules that every measurement goes through."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One measurement of a claim.

    ``key`` binds it to its code, libraries and processor. ``void`` says why it does not count: a control that was off;
    None for a sound one. ``reason`` says why there is no evidence: what is missing, or how the experiment failed.
    """

    id: str
    verdict: Verdict
    evidence: Evidence
    effort: Effort
    seed: int
    started: str
    took_s: float
    machine: Machine
    versions: dict[str, str]
    key: str
    void: str | None = None
    reason: str | None = None
    log: str | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """Holds what is kept of a claim: the newest measurement, and the newest sound one if that is another."""

    newest: Entry
    sound: Entry | None


def key(claim: Claim) -> str:
    """Name the code, the versions and the processor architecture that a measurement of a claim is of."""
    shared = [experiment(name) for name in claim.experiments]
    sources = [
        CLAIMS[claim.id],
        *EVERY,
        *claim.sources,
        *(one for module in shared for one in (module, *module.SOURCES)),
    ]
    return key_of(
        {"claim": claim.id}, sources, [*claim.requires, *(one for module in shared for one in module.REQUIRES)]
    )


def experiment(name: str) -> Any:
    """Return the module of an experiment that claims share."""
    return importlib.import_module(f"pipelines.claims.experiments.{name}")


class Ledger:
    """The folder of the entries: ``ID/newest.json`` and ``ID/sound.json``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def keep(self, entry: Entry) -> None:
        """Keep a measurement; one that is void, or gave no evidence, leaves the last sound one where it is."""
        place = self.folder / entry.id
        place.mkdir(parents=True, exist_ok=True)
        content = _adapter().dump_json(entry, indent=2)
        if entry.void is None and entry.reason is None:
            write_bytes(place / "sound.json", content)
        write_bytes(place / "newest.json", content)

    def kept(self, name: str) -> Kept | None:
        """Return what is kept of a claim, None if it was never measured.

        Raises UserError for a file that cannot be read; a damaged one, or one of an older slipway, counts as none.
        """
        newest = self._read(self.folder / name / "newest.json")
        sound = self._read(self.folder / name / "sound.json")
        latest = newest or sound
        return None if latest is None else Kept(latest, None if sound == latest else sound)

    def _read(self, path: Path) -> Entry | None:
        if not path.exists():
            return None
        try:
            return _adapter().validate_json(read_bounded(path, MAX_BYTES, "the ledger"))
        except ValidationError:
            return None


@cache
def _adapter() -> TypeAdapter[Entry]:
    return TypeAdapter(Entry)
