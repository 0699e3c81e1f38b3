"""The runtimes that can compute behind the Open Inference Protocol: one file each.

A module of a runtime imports it inside :func:`load`, and offers what :class:`Runtime` has.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from serving.wire.datatypes import DATATYPES

if TYPE_CHECKING:
    import numpy as np

RUNTIMES = {
    "onnxruntime": ("model.onnx", "model.ort"),
    "openvino": ("model.xml",),
    "torch-export": ("model.pt2",),
    "aotinductor": ("model.aoti.pt2",),
    "executorch": ("model.pte",),
    "litert": ("model.tflite",),
}
"""The files that each runtime loads, by their names in the folder of a model."""
SIGNATURE = "signature.json"
"""Names, dtypes and shapes of inputs and outputs, for a program that does not name them itself."""

Arrays = Mapping[str, "np.ndarray"]


class NotLoadable(Exception):
    """A file is no model that the runtime takes."""


class DoesNotFit(Exception):
    """The inputs do not fit each other."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input or output: numpy's name of its dtype; -1 in ``shape`` is a free dimension.

    Raises NotLoadable for a dtype that the protocol has no name for.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.dtype not in DATATYPES:
            raise NotLoadable(f"{self.name!r} has a type that is not served here. Received: {self.dtype}")


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model that can compute.

    ``run`` maps {input name: array} to the arrays of the named outputs, in their order. Raises DoesNotFit.
    """

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    run: Callable[[Arrays, Sequence[str]], list[np.ndarray]]


class Runtime(Protocol):
    """The module of a runtime.

    ``PLATFORM`` is its name in the protocol's metadata, ``TITLE`` its name for people; ``DISTRIBUTIONS`` must be
    installed for it; with a small model, the server's memory peaks below ``NEEDED_MB``. ``MALLOCS`` tells that each
    operation takes the memory of its result from the C library, and gives it back: what is freed is then better kept.
    ``load`` raises NotLoadable.
    """

    PLATFORM: str
    TITLE: str
    DISTRIBUTIONS: tuple[str, ...]
    NEEDED_MB: int
    MALLOCS: bool

    def load(self, path: Path, threads: int) -> Loaded: ...


def runtime(name: str) -> Runtime:
    """Import the module of a runtime; it does not import the runtime itself."""
    return cast(Runtime, importlib.import_module(f"{__name__}.{name.replace('-', '_')}"))


def find_model(folder: Path) -> Path | None:
    """Return the file of a model in its folder; None if there is none that a runtime loads."""
    return next((folder / name for names in RUNTIMES.values() for name in names if (folder / name).is_file()), None)


def runtime_of(path: Path) -> str | None:
    """Name the runtime that loads a file, by the longest ending of its name that is known; None if none does."""
    endings = {file.removeprefix("model"): name for name, files in RUNTIMES.items() for file in files}
    known = [ending for ending in endings if path.name.endswith(ending)]
    return endings[max(known, key=len)] if known else None


def read_signature(path: Path) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """Read inputs and outputs from the file beside a program. Raises NotLoadable."""
    try:
        content = json.loads((path.parent / SIGNATURE).read_text())
        return cast(Any, tuple(tuple(map(_tensor, content[key])) for key in ("inputs", "outputs")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NotLoadable(f"{path.parent / SIGNATURE} cannot be read: {error}") from error


def check_counts(path: Path, program: tuple[int, int], signature: tuple[int, int]) -> None:
    """Check that a program has as many inputs and outputs as its signature. Raises NotLoadable."""
    if program != signature:
        raise NotLoadable(
            f"{path} has {program[0]} inputs and {program[1]} outputs. "
            f"Received: a signature with {signature[0]} and {signature[1]}"
        )


def writable(array: np.ndarray) -> np.ndarray:
    """Return the array, or a copy that can be written to: PyTorch warns of one that cannot, as of a request's bytes."""
    return array if array.flags.writeable else array.copy()


def _tensor(entry: Mapping[str, Any]) -> Tensor:
    shape = tuple(size if isinstance(size, int) else -1 for size in entry["shape"])
    return Tensor(str(entry["name"]), str(entry["dtype"]), shape)
