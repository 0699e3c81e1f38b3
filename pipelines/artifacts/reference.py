"""Computes the reference's answers, once per model; every path is compared with them.

One ``reference.npz`` (arrays only, read without pickle) beside the weights::

    evaluation/inputs/NAME, evaluation/outputs/NAME   the whole evaluation set
    evaluation/labels                                 int64 (N,)
    random/inputs/NAME, random/outputs/NAME           seeded noise, PROBE_ROWS rows
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipelines.artifacts.parity import BATCHES, PROBE_ROWS, Probe, SetName, chunks, random_inputs
from pipelines.base.files import write_bytes

if TYPE_CHECKING:
    from models.trained import TrainedModel

EVALUATION_BATCH = 100


@dataclass(frozen=True, slots=True)
class Reference:
    """Inputs and the reference's outputs by set and name; ``labels`` belong to the evaluation set."""

    inputs: dict[str, dict[str, np.ndarray]]
    outputs: dict[str, dict[str, np.ndarray]]
    labels: np.ndarray

    def probes(self) -> Iterator[Probe]:
        """Yield both sets at every batch size, then every row of the evaluation set in larger batches."""
        for name in ("evaluation", "random"):
            yield from self._slices(name, BATCHES)
        whole, rest = divmod(len(self.labels), EVALUATION_BATCH)
        yield from self._slices("evaluation", [*[EVALUATION_BATCH] * whole, *[rest] * bool(rest)])

    def _slices(self, name: SetName, sizes: list[int] | tuple[int, ...]) -> Iterator[Probe]:
        inputs, outputs = self.inputs[name], self.outputs[name]
        rows = len(next(iter(inputs.values())))
        for part in chunks(rows, sizes):
            yield Probe(
                name,
                part.stop - part.start,
                part.start,
                {key: array[part] for key, array in inputs.items()},
                {key: array[part] for key, array in outputs.items()},
            )


def compute(model: TrainedModel, path: Path) -> None:
    """Run the reference over both sets and write the file, whole or not at all."""
    evaluation = model.evaluation()
    sets = {"evaluation": evaluation.inputs, "random": random_inputs(evaluation.inputs, PROBE_ROWS)}
    arrays = {"evaluation/labels": evaluation.labels}
    for name, inputs in sets.items():
        arrays |= {f"{name}/inputs/{key}": array for key, array in inputs.items()}
        arrays |= {f"{name}/outputs/{key}": array for key, array in model.reference(inputs).items()}
    save_arrays(path, arrays)


def read(path: Path) -> Reference:
    """Read the reference that ``compute`` wrote. Raises OSError or ValueError if it cannot be read."""
    with np.load(path, allow_pickle=False) as file:
        arrays = {key: file[key] for key in file.files}

    def of(name: str, kind: str) -> dict[str, np.ndarray]:
        prefix = f"{name}/{kind}/"
        return {key.removeprefix(prefix): array for key, array in arrays.items() if key.startswith(prefix)}

    names = ("evaluation", "random")
    return Reference(
        {name: of(name, "inputs") for name in names},
        {name: of(name, "outputs") for name in names},
        arrays["evaluation/labels"],
    )


def save_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write named arrays as one .npz, whole or not at all."""
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **arrays)
    write_bytes(path, content.getvalue())
