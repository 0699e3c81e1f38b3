"""Measures what a runtime takes on disk: its core library without symbols, and everything that pip installs."""

from __future__ import annotations

import importlib.metadata
import struct
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from pipelines.base.errors import MissingExtra, NotPossible

PT_LOAD = 1
_ELF, _64_BIT, _LITTLE = b"\x7fELF", 2, 1


@dataclass(frozen=True, slots=True)
class InferenceLibrary:
    """A runtime for inference: the distribution that brings it, and the files that compute a model.

    ``core`` are patterns of file names: what an application would have to ship to run a model on a processor, without
    the Python bindings, converters and accelerators beside it.
    """

    distribution: str
    core: tuple[str, ...]


RUNTIMES = {
    "LiteRT": InferenceLibrary("ai-edge-litert", ("libpywrap_litert_common.so",)),
    "ExecuTorch": InferenceLibrary(
        "executorch",
        (
            *("libexecutorch.so", "libexecutorch_kernels_optimized.so"),
            *("libexecutorch_backend_xnnpack.so", "libexecutorch_threadpool.so"),
        ),
    ),
    "ONNX Runtime": InferenceLibrary("onnxruntime", ("libonnxruntime.so.*",)),
    "libtorch": InferenceLibrary("torch", ("libtorch_cpu.so", "libc10.so")),
    "TensorFlow": InferenceLibrary("tensorflow", ("libtensorflow_cc.so.*", "libtensorflow_framework.so.*")),
}


def sizes() -> dict[str, dict[str, float]]:
    """Return {runtime: its version, ``core`` and ``full`` bytes}.

    Raises MissingExtra for a runtime that is not installed, NotPossible where libraries are no 64-bit ELF files.
    """
    return {name: _sizes(name, runtime) for name, runtime in RUNTIMES.items()}


def _sizes(name: str, runtime: InferenceLibrary) -> dict[str, Any]:
    try:
        distribution = importlib.metadata.distribution(runtime.distribution)
    except importlib.metadata.PackageNotFoundError as error:
        raise MissingExtra(f"{name} is not installed: pip install {runtime.distribution}") from error
    files = [path for file in distribution.files or () if (path := Path(str(file.locate()))).is_file()]
    core = [path for path in files if any(fnmatch(path.name, pattern) for pattern in runtime.core)]
    if not core:
        raise NotPossible(f"{runtime.distribution} {distribution.version} has none of {', '.join(runtime.core)}")
    return {
        "version": distribution.version,
        "core": sum(map(loaded_bytes, core)),
        "full": sum(path.stat().st_size for path in files),
    }


def loaded_bytes(library: Path) -> int:
    """Return the bytes of a shared library that are loaded: its size once symbols and debugging data are stripped.

    That is the sum over the segments PT_LOAD (elf(5)). Raises NotPossible for what is no 64-bit ELF file.
    """
    with library.open("rb") as file:
        head = file.read(64)
        if head[:4] != _ELF or head[4] != _64_BIT or head[5] != _LITTLE:
            raise NotPossible(
                f"sizes are read out of 64-bit ELF libraries, as Linux has them. Received: {library.name}"
            )
        (place,), (size, count) = struct.unpack_from("<Q", head, 32), struct.unpack_from("<HH", head, 54)
        file.seek(place)
        table = file.read(size * count)
    segments = range(0, size * count, size)
    return sum(
        struct.unpack_from("<Q", table, at + 32)[0]
        for at in segments
        if struct.unpack_from("<I", table, at)[0] == PT_LOAD
    )


def lite_interpreter(folder: str) -> dict[str, Any]:
    """Save a network for PyTorch's Lite Interpreter and load it again: whether it works, and what torch says of it.

    Returns ``works``, the ``warnings`` met, and ``libraries``: files of torch that hold this interpreter alone.
    """
    import torch
    from torch.jit import mobile

    from pipelines.claims.experiments.deployment.deprecations import recorded

    file = Path(folder) / "model.ptl"
    x = torch.arange(6.0).reshape(2, 3)
    network = torch.nn.Linear(3, 2).eval()
    with recorded() as met:
        works, why = True, ""
        try:
            torch.jit.trace(network, x)._save_for_lite_interpreter(str(file))
            loaded = mobile._load_for_lite_interpreter(str(file))
            works = bool(torch.equal(loaded(x), network(x)))
        except (RuntimeError, AttributeError) as error:  # taken out, or built without it
            works, why = False, str(error).splitlines()[0]
    files = importlib.metadata.files("torch") or ()
    alone = sorted(one.name for one in files if "mobile" in one.name and ".so" in one.name)
    return {"works": works, "why": why, "warnings": met, "libraries": alone}
