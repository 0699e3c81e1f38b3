"""Tells where PyTorch's compiler puts what it makes; imports nothing at its top, since a fork has done that."""


def place(cache: str | None) -> str:
    """The folder of what is compiled in this process."""
    from pipelines.claims.experiments.nets import torch_arms

    torch_arms.start(cache)
    from torch._inductor.codecache import cache_dir

    return str(cache_dir())
