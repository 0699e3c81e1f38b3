"""Reads a TensorFlow.js graph model: ``model.json`` and its manifest of weights."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from pipelines.holds.totals import numbers_of, totals
from pipelines.results import Holds

ENDS = frozenset({"Const", "Placeholder", "Identity", "NoOp"})
"""Nodes that compute nothing."""
BYTES = {"float32": 4, "int32": 4, "float16": 2, "uint16": 2, "uint8": 1, "bool": 1}
"""Element types of the format, and their sizes."""


def tfjs_holds(path: Path) -> Holds:
    """Read operators and weights; a quantised weight counts as what is stored. The converter refuses custom ones."""
    content = json.loads(path.read_text())
    graph = content["modelTopology"]
    functions = graph.get("library", {}).get("function", ())
    nodes = [*graph["node"], *(node for one in functions for node in one["nodeDef"])]
    weights = [weight for group in content["weightsManifest"] for weight in group["weights"]]
    return Holds(
        weights=totals(_size(weight) for weight in weights),
        operators=numbers_of(node["op"] for node in nodes if node["op"] not in ENDS),
        custom=(),
        facts={"format": content["format"], "tensorflow": str(content["generatedBy"])},
    )


def _size(weight: dict[str, Any]) -> tuple[str, int]:
    kind = weight.get("quantization", weight)["dtype"]
    return kind, math.prod(weight["shape"]) * BYTES[kind]
