"""Inductor, PyTorch's compiler: what it needs on a machine, and where it works."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pipelines.base.errors import NotPossible


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
    """Compile in this process, into a folder that is removed afterwards.

    By default the compiler fills a cache in the temporary folder that all programs share; headers go there always.
    """
    from torch._inductor import config
    from torch._inductor.utils import fresh_cache

    no_headers = {"cpp_cache_precompile_headers": False, "aot_inductor.precompile_headers": False}
    with fresh_cache(), config.patch({"compile_threads": 1, **no_headers}):
        yield
