"""The type of options that take a duration, with or without a unit."""

from __future__ import annotations

import math
import re
from typing import Any

import click

SECONDS = {None: 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
WRITTEN = re.compile(r"(\d+\.?\d*|\.\d+)\s*(s|m|min|h)?")


class Duration(click.ParamType):
    """Reads ``90``, ``90s``, ``10m`` or ``1h`` as seconds, from ``low`` to ``high``. Fails in one line for others."""

    name = "duration"

    def __init__(self, low: float = 0.0, high: float = math.inf) -> None:
        self.low, self.high = low, high

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        found = WRITTEN.fullmatch(str(value).strip())
        if found is None:
            self.fail(f"expected a duration such as 90, 90s, 10m or 1h. Received: {value}", param, ctx)
        seconds = float(found[1]) * SECONDS[found[2]]
        if not (self.low <= seconds <= self.high and math.isfinite(seconds)):
            limit = f"{self.low:g} s or more" if self.high == math.inf else f"{self.low:g} to {self.high:g} s"
            self.fail(f"expected {limit}. Received: {value}", param, ctx)
        return seconds
