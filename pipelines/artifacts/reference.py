"""Computes the reference's answers, once per model; every path is compared with them.

One ``reference.npz`` (arrays only, read without pickle) beside the weights::

    evaluation/inputs/NAME, evaluation/outputs/NAME   the whole evaluation set, if the model has one
    evaluation/labels                                 int64 (N,), if it has labels
    random/inputs/NAME, random/outputs/NAME           seeded values as the spec declares them, PROBE_ROWS rows
    random-N/inputs/NAME, ...                         the same with free dimensions of other sizes, OTHER_ROWS rows
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipelines.artifacts.parity import BATCHES, PROBE_ROWS, Probe, SetName, chunks
from pipelines.base.files import write_bytes

if TYPE_CHECKING:
    from models.model import Model
    from models.spec import ModelSpec

EVALUATION_BATCH = 100
RANDOM_SEED = 1
OTHER_BATCHES = (1, 3)
OTHER_ROWS = sum(OTHER_BATCHES)
EVALUATION, RANDOM, LABELS = "evaluation", "random", "evaluation/labels"

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True, slots=True)
class Reference:
    """Inputs and the reference's outputs by set and name; ``labels`` belong to the evaluation set."""

    inputs: dict[str, Arrays]
    outputs: dict[str, Arrays]
    labels: np.ndarray | None

    @property
    def best(self) -> str:
        """The set whose inputs are most like a user's."""
        return EVALUATION if EVALUATION in self.inputs else RANDOM

    def probes(self, max_batch: int = EVALUATION_BATCH) -> Iterator[Probe]:
        """Yield all sets at every batch size, then the other rows of the evaluation set in larger batches.

        The set that is best comes first, then those of other free dimensions.
        """
        for name in sorted(self.inputs, key=lambda name: (name != self.best, name == RANDOM)):
            sizes = BATCHES if name in (EVALUATION, RANDOM) else OTHER_BATCHES
            # A small evaluation set has too few rows for the larger batches: only random inputs are asked in them.
            again = name == RANDOM != self.best and rows_of(self.inputs[self.best]) >= max(BATCHES)
            yield from self._of(name, chunks(rows_of(self.inputs[name]), sizes), spare=again)
        if EVALUATION in self.inputs:
            rows, size = rows_of(self.inputs[EVALUATION]), min(EVALUATION_BATCH, max_batch)
            seen = max((part.stop for part in chunks(rows, BATCHES)), default=0)
            others = (slice(at, min(at + size, rows)) for at in range(seen, rows, size))
            yield from self._of(EVALUATION, others, spare=True)

    def _of(self, name: str, parts: Iterable[slice], *, spare: bool = False) -> Iterator[Probe]:
        inputs, outputs = self.inputs[name], self.outputs[name]
        kind: SetName = "evaluation" if name == EVALUATION else "random"
        for part in parts:
            yield Probe(
                kind,
                part.stop - part.start,
                part.start,
                {key: array[part] for key, array in inputs.items()},
                {key: array[part] for key, array in outputs.items()},
                spare,
            )


def rows_of(arrays: Mapping[str, np.ndarray]) -> int:
    """Return the number of rows of arrays that all have the same."""
    return len(next(iter(arrays.values())))


def random_sets(spec: ModelSpec) -> dict[str, Arrays]:
    """Draw the random inputs: free dimensions of a middle size, then of the smallest and the largest."""
    middle = {name: (low + high) // 2 for name, (low, high) in spec.lengths.items()}
    sets = {RANDOM: spec.draw(PROBE_ROWS, middle, RANDOM_SEED)}
    if spec.lengths:
        for number, end in enumerate((0, 1), start=1):
            free = {name: ends[end] for name, ends in spec.lengths.items()}
            sets[f"{RANDOM}-{number}"] = spec.draw(OTHER_ROWS, free, RANDOM_SEED + number)
    return sets


def compute(model: Model, path: Path) -> None:
    """Run the reference over all sets and write the file, whole or not at all."""
    evaluation = model.evaluation()
    sets = {} if evaluation is None else {EVALUATION: evaluation.inputs}
    sets |= random_sets(model.spec)
    arrays = {} if evaluation is None or evaluation.labels is None else {LABELS: evaluation.labels}
    for name, inputs in sets.items():
        arrays |= {f"{name}/inputs/{key}": array for key, array in inputs.items()}
        arrays |= {f"{name}/outputs/{key}": array for key, array in model.reference(inputs).items()}
    save_arrays(path, arrays)


def read(path: Path) -> Reference:
    """Read the reference that ``compute`` wrote. Raises OSError or ValueError if it cannot be read."""
    with np.load(path, allow_pickle=False) as file:
        arrays = {key: file[key] for key in file.files}
    labels = arrays.pop(LABELS, None)
    found: dict[str, dict[str, Arrays]] = {"inputs": {}, "outputs": {}}
    for key, array in arrays.items():
        name, kind, tensor = key.split("/", 2)
        found[kind].setdefault(name, {})[tensor] = array
    return Reference(found["inputs"], found["outputs"], labels)


def save_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write named arrays as one .npz, whole or not at all."""
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **arrays)
    write_bytes(path, content.getvalue())
