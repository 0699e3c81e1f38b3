"""Builds the network in PyTorch."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import relu6

from models.efficientnet_lite0.layout import CLASSES, EPSILON, HEAD_CHANNELS, STEM_CHANNELS, BlockLayout, blocks


class ConvNorm(nn.Module):
    """A convolution without bias and its batch normalisation; the output has ceil(size / stride) rows and columns.

    The padding is TensorFlow's "same", with which the weights were trained. At stride 2 and an even size, which all
    strided layers see of a picture of 224x224, it is one row and column wider after the picture than before it.
    """

    def __init__(self, channels: int, out: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        around = kernel // 2
        before = around - 1
        self.pad = nn.ZeroPad2d((before, around, before, around)) if stride == 2 else nn.Identity()
        padding = 0 if stride == 2 else around
        self.conv = nn.Conv2d(channels, out, kernel, stride, padding, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(out, eps=EPSILON)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(self.conv(self.pad(x)))


class InvertedResidual(nn.Module):
    """A block: widen, filter each channel by itself, narrow."""

    def __init__(self, layout: BlockLayout) -> None:
        super().__init__()
        self.expand = ConvNorm(layout.channels, layout.inner) if layout.expands else None
        self.depthwise = ConvNorm(layout.inner, layout.inner, layout.kernel, layout.stride, groups=layout.inner)
        self.project = ConvNorm(layout.inner, layout.out)
        self.adds_input = layout.adds_input

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        wide = x if self.expand is None else relu6(self.expand(x))
        narrow = self.project(relu6(self.depthwise(wide)))
        return x + narrow if self.adds_input else narrow


class EfficientNetLite0(nn.Module):
    """Maps float32 photographs (N, 224, 224, 3) in -1..1 to float32 logits (N, 1000).

    It is for published weights: the dropout and the drop-connect of its training are left out.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = ConvNorm(3, STEM_CHANNELS, 3, 2)
        layouts = list(blocks())
        self.blocks = nn.Sequential(*map(InvertedResidual, layouts))
        self.head = ConvNorm(layouts[-1].out, HEAD_CHANNELS)
        self.classifier = nn.Linear(HEAD_CHANNELS, CLASSES)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = relu6(self.stem(image.permute(0, 3, 1, 2)))
        x = relu6(self.head(self.blocks(x)))
        # The form of a mean that XNNPACK takes; adaptive pooling would compute its axes in the ONNX graph.
        return self.classifier(x.mean((-1, -2), keepdim=True).flatten(1))


def build() -> nn.Module:
    """Build the network with fresh weights, in training mode."""
    return EfficientNetLite0()
