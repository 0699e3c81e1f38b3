"""The words of a report that have a fixed meaning, and what describes a field."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

IN_PROCESS: Literal["in-process"] = "in-process"
IN_BROWSER: Literal["in-browser"] = "in-browser"
SERVED: Literal["served"] = "served"
Status = Literal["ok", "failed", "skipped"]
Where = Literal["in-process", "in-browser", "served"]
UNSERVED: dict[str, Where] = {IN_PROCESS: IN_PROCESS, IN_BROWSER: IN_BROWSER}
"""Where rows without a protocol are measured."""
JudgedBy = Literal["top-1", "cosine", "differences"]
Measurement = Literal["sound", "disturbed", "missing"]
Certainty = Literal["sure", "provisional", "tie", "none"]
Via = Literal["published port", "container address"]
Percentile = Literal["p50", "p90", "p99"]


@dataclass(frozen=True, slots=True)
class Doc:
    """Describes a field in the JSON Schema, without pydantic: a worker reads no schema, and starts sooner."""

    text: str
