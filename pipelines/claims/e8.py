"""E8: communities and documentation."""

from __future__ import annotations

from pipelines.claims import Claim
from pipelines.claims.untested import judge, measure, plot

__all__ = ["CLAIM", "judge", "measure", "plot"]
CLAIM = Claim(id="E8", sections=(4,), kind="not here")
