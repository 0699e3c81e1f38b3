"""Resizes photographs by torchvision, by Pillow and by TensorFlow: levels that differ, and labels that change."""

from __future__ import annotations

import importlib
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.base.environments import Environment
from pipelines.claims.experiments.ecosystem import deprecations

ENVIRONMENT = Environment("torchvision", ("torchvision==0.28.0",))
SIDE = 224
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""ImageNet's, as torchvision's own recipes normalise (torchvision.transforms.ImageClassification)."""
FILTERS = ("bilinear", "bicubic")


def _pictures(count: int) -> list[np.ndarray]:
    """Return the middle squares of photographs, uint8 (side, side, 3)."""
    from PIL import Image

    from models.efficientnet_lite0.data import photographs

    found = []
    for file in list(photographs().values())[:count]:
        with Image.open(file) as opened:
            pixels = np.asarray(opened.convert("RGB"))
        side = min(pixels.shape[:2])
        top, left = ((length - side) // 2 for length in pixels.shape[:2])
        found.append(np.ascontiguousarray(pixels[top : top + side, left : left + side]))
    return found


def by_torchvision(folder: str, count: int) -> list[str]:
    """Resize by torchvision (tensors) and by Pillow, normalise by torchvision; write ``torchvision.npz``."""
    # torchvision's kernels are built for another build of torch: what registers their shapes is left out.
    sys.modules["torchvision._meta_registrations"] = types.ModuleType("torchvision._meta_registrations")
    with deprecations(("torchvision", "torch", "pillow")) as met:
        import torch
        from PIL import Image

        transforms = importlib.import_module("torchvision.transforms.v2.functional")
        modes = importlib.import_module("torchvision.transforms").InterpolationMode
        found: dict[str, list[np.ndarray]] = {}
        for pixels in _pictures(count):
            tensor = torch.from_numpy(pixels).permute(2, 0, 1)
            for name in FILTERS:
                mode = modes(name)
                for antialias in (True, False):
                    out = transforms.resize(tensor, [SIDE, SIDE], interpolation=mode, antialias=antialias)
                    found.setdefault(f"torchvision {name} {_word(antialias)}", []).append(out.permute(1, 2, 0).numpy())
                image = Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling[name.upper()])
                found.setdefault(f"Pillow {name}", []).append(np.asarray(image))
            default = transforms.resize(tensor, [SIDE, SIDE])
            found.setdefault("torchvision default", []).append(default.permute(1, 2, 0).numpy())
            scaled = transforms.to_dtype(default, torch.float32, scale=True)
            normal = transforms.normalize(scaled, list(MEAN), list(STD)).permute(1, 2, 0).numpy()
            found.setdefault("torchvision normalised", []).append(normal)
        _save(Path(folder, "torchvision.npz"), {name: np.stack(rows) for name, rows in found.items()})
    return met


def by_tensorflow(folder: str, count: int) -> dict[str, Any]:
    """Resize by TensorFlow and Keras, and compare all with Pillow and torchvision.

    Returns ``levels`` {pair: [largest, mean] difference in levels of 0 to 255}, ``normalised``, the largest difference
    of normalised values, and the deprecations met. Writes ``all.npz``.
    """
    with deprecations(("tensorflow", "keras")) as met:
        import tensorflow as tf

        found: dict[str, list[np.ndarray]] = {}
        for pixels in _pictures(count):
            for name in FILTERS:
                for antialias in (True, False):
                    out = tf.image.resize(pixels, (SIDE, SIDE), method=name, antialias=antialias)
                    found.setdefault(f"TensorFlow {name} {_word(antialias)}", []).append(_levels(out))
            found.setdefault("TensorFlow default", []).append(_levels(tf.image.resize(pixels, (SIDE, SIDE))))
    with np.load(Path(folder, "torchvision.npz")) as stored:
        every = {name: stored[name] for name in stored.files} | {name: np.stack(rows) for name, rows in found.items()}
    normal = every.pop("torchvision normalised")
    plain = (every["torchvision default"].astype(np.float32) / 255 - np.array(MEAN, np.float32)) / np.array(
        STD, np.float32
    )
    _save(Path(folder, "all.npz"), every)
    pairs = {"default, torchvision and Pillow bilinear": ("torchvision default", "Pillow bilinear")}
    pairs["default, TensorFlow and torchvision"] = ("TensorFlow default", "torchvision default")
    for name in FILTERS:
        pairs[f"{name}, torchvision and Pillow"] = (f"torchvision {name} antialias", f"Pillow {name}")
        pairs[f"{name}, TensorFlow and torchvision, both antialias"] = tuple(  # type: ignore[assignment]
            f"{who} {name} antialias" for who in ("TensorFlow", "torchvision")
        )
        pairs[f"{name}, TensorFlow and torchvision, neither antialias"] = tuple(  # type: ignore[assignment]
            f"{who} {name} plain" for who in ("TensorFlow", "torchvision")
        )
    levels = {pair: _apart(every[one], every[other]) for pair, (one, other) in pairs.items()}
    return {"levels": levels, "normalised": float(np.abs(normal - plain).max()), "warnings": met}


def labels(folder: str, trained: str) -> dict[str, int]:
    """Return {way of resizing: pictures that EfficientNet-Lite0 labels otherwise than resized by Pillow, bilinear}."""
    import torch

    from models import trained as trained_models

    torch.set_num_threads(1)
    model = trained_models.load(Path(trained))
    preprocessing = model.spec.picture
    if preprocessing is None:
        raise ValueError("the model takes no pictures")
    net = model.form("torch")
    with np.load(Path(folder, "all.npz")) as stored, torch.no_grad():
        answers = {
            name: net(torch.from_numpy((stored[name].astype(np.float32) - preprocessing.offset) / preprocessing.scale))
            for name in stored.files
        }
    tops = {name: answer.argmax(1) for name, answer in answers.items()}
    return {name: int((top != tops["Pillow bilinear"]).sum()) for name, top in tops.items()}


def _save(file: Path, arrays: dict[str, Any]) -> None:
    np.savez(file, **arrays)


def _word(antialias: bool) -> str:
    return "antialias" if antialias else "plain"


def _levels(values: Any) -> np.ndarray:
    """Round to levels, as libraries that keep uint8 do."""
    return np.asarray(np.clip(np.rint(values), 0, 255).astype(np.uint8))


def _apart(one: np.ndarray, other: np.ndarray) -> list[float]:
    difference = np.abs(one.astype(np.int16) - other.astype(np.int16))
    return [float(difference.max()), float(difference.mean())]
