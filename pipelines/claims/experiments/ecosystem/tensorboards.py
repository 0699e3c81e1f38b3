"""Logs the same values from PyTorch and from TensorFlow, and reads both logs as TensorBoard's server does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from pipelines.claims.experiments.ecosystem import deprecations

STEPS = 50


def _values() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a curve (STEPS,), a picture uint8 (8, 8, 3) and a distribution (1000,)."""
    draw = np.random.default_rng(0)
    curve = (2.0 * np.exp(-np.arange(STEPS) / 20) + draw.normal(0, 0.05, STEPS)).astype(np.float32)
    return curve, draw.integers(0, 256, (8, 8, 3)).astype(np.uint8), draw.standard_normal(1_000).astype(np.float32)


def log_by_torch(folder: str) -> list[str]:
    """Write the values by ``torch.utils.tensorboard``; return the deprecations that it met."""
    with deprecations(("torch", "tensorboard")) as met:
        from torch.utils.tensorboard import SummaryWriter

        curve, picture, numbers = _values()
        with SummaryWriter(str(Path(folder, "torch"))) as writer:
            for step, value in enumerate(curve):
                writer.add_scalar("loss", value, step)
            writer.add_image("picture", picture, 0, dataformats="HWC")
            writer.add_histogram("weights", numbers, 0)
    return met


def log_by_tensorflow_and_read(folder: str) -> dict[str, Any]:
    """Write the values by ``tf.summary``, read both logs; return what is equal, and the deprecations met."""
    with deprecations(("tensorflow", "tensorboard")) as met:
        import tensorflow as tf

        curve, picture, numbers = _values()
        with tf.summary.create_file_writer(str(Path(folder, "tensorflow"))).as_default():
            for step, value in enumerate(curve):
                tf.summary.scalar("loss", value, step)
            tf.summary.image("picture", picture[None], 0)
            tf.summary.histogram("weights", numbers, 0)
        equal = _read(folder)
    return {"equal": equal, "warnings": met}


def _read(folder: str) -> dict[str, bool]:
    """Compare the two logs, as the multiplexer of TensorBoard's server gives them out."""
    import tensorflow as tf
    from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
    from tensorboard.util.tensor_util import make_ndarray

    found = EventMultiplexer().AddRunsFromDirectory(folder).Reload()

    def of(run: str, tag: str) -> list[tuple[int, np.ndarray]]:
        return [(event.step, make_ndarray(event.tensor_proto)) for event in found.Tensors(run, tag)]

    curves = [[(step, float(value)) for step, value in of(run, "loss")] for run in ("torch", "tensorflow")]
    pictures = [tf.io.decode_png(of(run, "picture")[0][1][2]).numpy() for run in ("torch", "tensorflow")]
    counts = [of(run, "weights")[0][1] for run in ("torch", "tensorflow")]
    return {
        "scalars": len(curves[0]) == STEPS and curves[0] == curves[1],
        "image": bool(np.array_equal(*pictures)),
        "histogram": abs(counts[0][:, 2].sum() - counts[1][:, 2].sum()) < 0.5
        and bool(np.allclose([counts[0][0, 0], counts[0][-1, 1]], [counts[1][0, 0], counts[1][-1, 1]], atol=0.3)),
    }
