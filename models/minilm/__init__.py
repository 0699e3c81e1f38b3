"""Sentence embeddings by all-MiniLM-L6-v2: sentences that mean the same have vectors of nearly the same direction."""

from models.spec import BATCH, Floor, Integers, Mask, ModelSpec, TensorSpec, TextPreprocessing
from models.task import Vectors

SPEC = ModelSpec(
    name="minilm",
    title="Sentence embeddings, MiniLM-L6",
    inputs=(
        TensorSpec("input_ids", "int64", (BATCH, "length"), Integers(0, 30_521)),
        TensorSpec("attention_mask", "int64", (BATCH, "length"), Mask()),
    ),
    outputs=(TensorSpec("sentence_embedding", "float32", (BATCH, 384)),),
    task=Vectors(),
    preprocessing=TextPreprocessing("tokenizer.json", max_tokens=256),
    rate_per_s=20.0,
    lengths={"length": (2, 256)},
    max_batch=16,
    # Seen: float16 57.6 dB and 0.9996, bfloat16 46.4 and 0.99997, dynamic int8 26.3 and 0.996 (LiteRT),
    # int8 19.2 and 0.988 (NNCF, which knows transformers). Others lose the mask beside the scores: 6 dB and less.
    floors={
        "fp16": Floor(50, 0.999),
        "bf16": Floor(40, 0.9995),
        "int8-dynamic": Floor(15, 0.98),
        "int8": Floor(15, 0.98),
    },
)
