"""LiteRT's interpreter with XNNPACK's kernels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from serving.open_inference.runtimes import Arrays, DoesNotFit, Loaded, NotLoadable, Tensor

if TYPE_CHECKING:
    import numpy as np

PLATFORM = "litert"
TITLE = "LiteRT"
DISTRIBUTIONS = ("ai-edge-litert",)
NEEDED_MB = 165  # 151 at its peak
MALLOCS = False
SIGNATURE = "serving_default"


def load(path: Path, threads: int) -> Loaded:
    """Load a ``.tflite`` file that has the signature ``serving_default``; a new batch size plans its memory anew.

    A file of one row is called once for each row of a request.
    """
    import numpy as np
    from ai_edge_litert.interpreter import Interpreter

    try:
        interpreter = Interpreter(model_path=str(path), num_threads=threads)
        sizes = [size for one in interpreter.get_input_details() for size in one["shape_signature"][1:]]
        if min(sizes, default=1) > 0:  # a free length begins as 1, which may be too short
            interpreter.allocate_tensors()  # checks the operators, which a request would do otherwise
        runner = interpreter.get_signature_runner(SIGNATURE)
    except (ValueError, RuntimeError) as error:
        raise NotLoadable(f"{path} cannot be loaded: {' '.join(str(error).split())}") from error
    inputs, outputs = (_tensors(details) for details in (runner.get_input_details(), runner.get_output_details()))

    of_one_row = all(tensor.shape[:1] == (1,) for tensor in inputs)

    def run(arrays: Arrays, wanted: Sequence[str]) -> list[np.ndarray]:
        if of_one_row and (rows := len(next(iter(arrays.values())))) > 1:
            single = ({name: array[row : row + 1] for name, array in arrays.items()} for row in range(rows))
            return [np.concatenate(parts) for parts in zip(*(run(one, wanted) for one in single), strict=True)]
        try:
            results = runner(**arrays)
        except (ValueError, RuntimeError) as error:
            raise DoesNotFit(str(error)) from error
        return [results[name] for name in wanted]

    return Loaded(inputs, outputs, run)


def _tensors(details: Mapping[str, Mapping[str, Any]]) -> tuple[Tensor, ...]:
    return tuple(
        Tensor(name, one["dtype"].__name__, tuple(int(size) for size in one["shape_signature"]))
        for name, one in details.items()
    )
