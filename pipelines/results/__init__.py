"""Everything that one run learns, as plain data: the content of ``report.json``.

Units are in the names (``_s`` seconds, ``_ms`` milliseconds, ``_bytes``). A value that was not
measured is null, never zero. ``SCHEMA_VERSION`` changes when a field changes its meaning or goes.
"""

from pipelines.results.artifact import ArtifactRow, Certificate, FileEntry, Flip, Holds, Parity, StageUsage
from pipelines.results.load import (
    Cause,
    CurvePoint,
    GeneratorFigures,
    LatencyFigures,
    LoadFigures,
    Moment,
    Scenario,
    ServerFigures,
    Spread,
    Unclaimable,
)
from pipelines.results.report import (
    SCHEMA_VERSION,
    Beat,
    Fairness,
    Machine,
    NoiseCheck,
    Recommendation,
    Report,
    RunSettings,
    Training,
)
from pipelines.results.row import ContainerRow, LayerCost, Row
from pipelines.results.words import (
    IN_BROWSER,
    IN_PROCESS,
    SERVED,
    UNSERVED,
    Certainty,
    Doc,
    JudgedBy,
    Measurement,
    Percentile,
    Status,
    Via,
    Where,
)

__all__ = [
    "IN_BROWSER",
    "IN_PROCESS",
    "SCHEMA_VERSION",
    "SERVED",
    "UNSERVED",
    "ArtifactRow",
    "Beat",
    "Cause",
    "Certainty",
    "Certificate",
    "ContainerRow",
    "CurvePoint",
    "Doc",
    "Fairness",
    "FileEntry",
    "Flip",
    "GeneratorFigures",
    "Holds",
    "JudgedBy",
    "LatencyFigures",
    "LayerCost",
    "LoadFigures",
    "Machine",
    "Measurement",
    "Moment",
    "NoiseCheck",
    "Parity",
    "Percentile",
    "Recommendation",
    "Report",
    "Row",
    "RunSettings",
    "Scenario",
    "ServerFigures",
    "Spread",
    "StageUsage",
    "Status",
    "Training",
    "Unclaimable",
    "Via",
    "Where",
]
