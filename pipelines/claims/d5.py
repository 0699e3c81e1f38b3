"""D5: TensorFlow stands for stability in production, PyTorch for Python-like flexibility."""

from __future__ import annotations

from pipelines.claims import Claim
from pipelines.claims.untested import judge, measure, plot

__all__ = ["CLAIM", "judge", "measure", "plot"]
CLAIM = Claim(id="D5", sections=(1,), kind="not here")
