"""Lists the blocks of the network, which both frameworks build.

Source: table 1 of "EfficientNet" (arxiv.org/abs/1905.11946), and in github.com/tensorflow/tpu the file
models/official/efficientnet/lite/efficientnet_lite_builder.py: ReLU6 in place of swish, no squeeze-and-excitation.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

STEM_CHANNELS, HEAD_CHANNELS, CLASSES = 32, 1280, 1000
EPSILON = 1e-3
"""The epsilon of every batch normalisation."""

# Kernel size, stride of the first block, expansion, output channels, blocks.
STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)


class BlockLayout(NamedTuple):
    """One inverted residual block: ``inner`` channels between its first and its last convolution."""

    kernel: int
    stride: int
    channels: int
    inner: int
    out: int

    @property
    def expands(self) -> bool:
        """Tell if a convolution widens the input first."""
        return self.inner != self.channels

    @property
    def adds_input(self) -> bool:
        """Tell if the block adds its input to its output, which then have one shape."""
        return self.stride == 1 and self.channels == self.out


def blocks() -> Iterator[BlockLayout]:
    """Yield the 16 blocks, in order."""
    channels = STEM_CHANNELS
    for kernel, stride, expansion, out, count in STAGES:
        for index in range(count):
            yield BlockLayout(kernel, 1 if index else stride, channels, channels * expansion, out)
            channels = out
