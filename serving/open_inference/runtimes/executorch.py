"""A program of ExecuTorch, run by its runtime with XNNPACK's kernels."""

from __future__ import annotations

from collections.abc import Sequence
from operator import gt
from pathlib import Path
from typing import TYPE_CHECKING

from serving.open_inference.runtimes import (
    Arrays,
    DoesNotFit,
    Loaded,
    NotLoadable,
    check_counts,
    read_signature,
    writable,
)

if TYPE_CHECKING:
    import numpy as np

PLATFORM = "executorch"
TITLE = "ExecuTorch"
DISTRIBUTIONS = ("executorch", "torch")
NEEDED_MB = 480  # 458 at its peak
MALLOCS = False
IDENTIFIER = b"ET"
"""Bytes 4 and 5 of every program; two digits follow, the version of the format."""


def load(path: Path, threads: int) -> Loaded:
    """Load a ``.pte`` file, beside its signature, with ``threads`` threads in this process.

    A program of one row is called once for each row of a request.
    """
    import numpy as np
    import torch
    from executorch.extension.pybindings import portable_lib
    from executorch.runtime import Runtime, Verification

    inputs, outputs = read_signature(path)
    torch.set_num_threads(threads)
    if portable_lib._threadpool_get_thread_count() != threads:
        portable_lib._unsafe_reset_threadpool(threads)  # the runtime has no other way to say it
    try:
        # The runtime ends the process when it tells of an identifier that is no UTF-8.
        with path.open("rb") as file:
            if file.read(8)[4:6] != IDENTIFIER:
                raise NotLoadable(f"{path} cannot be loaded: it is no program of ExecuTorch")
        program = Runtime.get().load_program(path, verification=Verification.InternalConsistency)
        method = program.load_method("forward")
        if method is None:
            raise NotLoadable(f"{path} cannot be loaded: it has no method forward")
        about = method.metadata
        check_counts(path, (about.num_inputs(), about.num_outputs()), (len(inputs), len(outputs)))
        bounds = {tensor.name: about.input_tensor_meta(place).sizes() for place, tensor in enumerate(inputs)}
    except (RuntimeError, OSError) as error:
        raise NotLoadable(f"{path} cannot be loaded: {' '.join(str(error).split())}") from error
    places = {tensor.name: place for place, tensor in enumerate(outputs)}
    of_one_row = all(most[0] == 1 for most in bounds.values())

    def run(arrays: Arrays, wanted: Sequence[str]) -> list[np.ndarray]:
        if of_one_row and (rows := len(next(iter(arrays.values())))) > 1:
            single = ({name: array[row : row + 1] for name, array in arrays.items()} for row in range(rows))
            return [np.concatenate(parts) for parts in zip(*(run(one, wanted) for one in single), strict=True)]
        for name, most in bounds.items():
            shape = arrays[name].shape
            if any(map(gt, shape, most)):
                raise DoesNotFit(
                    f"input {name!r} must be of shape {list(most)} at most: the program's memory is planned for it. "
                    f"Received: {list(shape)}"
                )
        tensors = [torch.from_numpy(writable(arrays[tensor.name])) for tensor in inputs]
        try:
            results = method.execute(tensors)
        except RuntimeError as error:
            raise DoesNotFit(str(error)) from error
        # Copies: the runtime writes the next answer into the same memory.
        return [results[places[name]].numpy().copy() for name in wanted]

    return Loaded(inputs, outputs, run)
