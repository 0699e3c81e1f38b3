"""H4: PyTorch leads in research, TensorFlow in industry."""

from __future__ import annotations

from pipelines.claims import Claim
from pipelines.claims.untested import judge, measure, plot

__all__ = ["CLAIM", "judge", "measure", "plot"]
CLAIM = Claim(id="H4", sections=(8,), kind="not here")
