"""V6: TPUs for recommenders and LLMs."""

from __future__ import annotations

from pipelines.claims import Claim
from pipelines.claims.untested import judge, measure, plot

__all__ = ["CLAIM", "judge", "measure", "plot"]
CLAIM = Claim(id="V6", sections=(6,), kind="not here")
