"""Inductor, PyTorch's compiler: what it needs on a machine, where it works, and how it compiles ahead of time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.base.errors import NotPossible

if TYPE_CHECKING:
    import torch

BASELINES = {"AVX2": "x86-64-v3", "AVX512": "x86-64-v4"}
"""A processor's capability, and the compiler's name for all processors that have it."""


def require_compiler() -> None:
    """Raise NotPossible if there is no C++ compiler."""
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        get_cpp_compiler()
    except InvalidCxxCompiler as error:
        raise NotPossible("Inductor needs a C++ compiler. Install g++, or name one in CXX") from error


@contextmanager
def own_cache() -> Iterator[None]:
    """Compile in this process, into a folder that is removed afterwards, with the headers that it has compiled.

    By default the compiler fills a cache in the temporary folder that all programs share; PyTorch 2.13 puts headers
    there whatever folder it is told. They are half of the time of a network of 60 kernels.
    """
    from torch._inductor import codecache, config
    from torch._inductor.utils import fresh_cache

    with ExitStack() as stack:
        stack.enter_context(fresh_cache())
        headers = Path(codecache.cache_dir(), "precompiled_headers")
        for name, folder in (("_HEADER_DIR", headers), ("_HEADER_LOCK_DIR", headers / "locks")):
            stack.callback(setattr, codecache, name, getattr(codecache, name))
            setattr(codecache, name, str(folder))
        # What was compiled before this is in another folder, what is compiled in here goes with its folder.
        codecache._precompile_header.cache_clear()
        stack.callback(codecache._precompile_header.cache_clear)
        # Ahead of time there are two files to compile: a header would cost more than it saves.
        stack.enter_context(config.patch({"compile_threads": 1, "aot_inductor.precompile_headers": False}))
        yield


def compile_ahead(program: torch.export.ExportedProgram, file: Path, **options: Any) -> None:
    """Write a program as an ``.aoti.pt2`` file, a shared library for processors like this one.

    ``options`` are Inductor's settings besides. Raises NotPossible if there is no compiler.
    """
    import torch

    require_compiler()
    settings = {
        **options,
        # By default the number of threads is that of the machine that compiles, and so are all instructions,
        # also those that the package does not list.
        "cpp.dynamic_threads": True,
        "cpp.march": BASELINES.get(torch.backends.cpu.get_cpu_capability()),
    }
    # The compiler freezes weights only where no gradients are wanted.
    with own_cache(), torch.no_grad():
        torch._inductor.aoti_compile_and_package(program, package_path=str(file), inductor_configs=settings)
