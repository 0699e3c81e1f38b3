"""Builds the twin: the same network in Keras, layer by layer under the same names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

WORDS, POSITIONS, SIZE, HEADS, INNER, LAYERS = 30_522, 512, 384, 12, 1536, 6
EPSILON = 1e-12
HIDDEN = -1e4


def build() -> keras.Model:
    """Build it with fresh weights: int64 ``input_ids`` and ``attention_mask`` (N, L) -> float32 unit vectors (N, 384).

    An axis is added with expand_dims: an index with None is a strided slice that LiteRT's converter refuses.
    """
    import keras
    from keras import layers, ops

    ids, mask = (keras.Input((None,), name=name, dtype="int64") for name in ("input_ids", "attention_mask"))
    kept = ops.cast(mask, "float32")
    hidden = ops.expand_dims((1 - kept) * HIDDEN, (1, 2))
    places = ops.cumsum(ops.ones_like(ids), axis=1) - 1
    x = layers.Embedding(WORDS, SIZE, name="words")(ids) + layers.Embedding(POSITIONS, SIZE, name="positions")(places)
    x = layers.LayerNormalization(epsilon=EPSILON, name="norm")(x)
    for number in range(LAYERS):
        x = _layer(x, hidden, f"layers.{number}")
    kept = ops.expand_dims(kept, 2)
    mean = ops.sum(x * kept, 1) / ops.sum(kept, 1)
    return keras.Model(
        {"input_ids": ids, "attention_mask": mask}, {"sentence_embedding": ops.normalize(mean)}, name="minilm"
    )


def _layer(x: Any, hidden: Any, name: str) -> Any:
    from keras import activations, layers, ops

    def dense(size: int, part: str, x: Any) -> Any:
        return layers.Dense(size, name=f"{name}.{part}")(x)

    def norm(part: str, x: Any) -> Any:
        return layers.LayerNormalization(epsilon=EPSILON, name=f"{name}.{part}")(x)

    query, key, value = (
        ops.transpose(layers.Reshape((-1, HEADS, SIZE // HEADS))(dense(SIZE, part, x)), (0, 2, 1, 3))
        for part in ("query", "key", "value")
    )
    scores = ops.matmul(query, ops.transpose(key, (0, 1, 3, 2))) * (SIZE // HEADS) ** -0.5 + hidden
    seen = layers.Reshape((-1, SIZE))(ops.transpose(ops.matmul(ops.softmax(scores), value), (0, 2, 1, 3)))
    x = norm("attention_norm", x + dense(SIZE, "joined", seen))
    return norm("norm", x + dense(SIZE, "narrow", activations.gelu(dense(INNER, "wide", x), approximate=False)))
