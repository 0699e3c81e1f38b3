"""What a container may use, and may do: what docker-compose.yml sets for every server."""

from __future__ import annotations

import os
import re
from typing import Any

from serving.container.recipe import CannotStart

USER = "10001:10001"
PIDS = 512
CPUS, MEMORY = "SLIPWAY_CPUS", "SLIPWAY_MEMORY"


def hardening() -> dict[str, Any]:
    """Arguments of the SDK's ``create``. Raises CannotStart for a variable that is no amount."""
    memory = os.environ.get(MEMORY) or "2g"
    if not re.fullmatch(r"[1-9]\d*[bkmg]", memory.lower()):
        raise CannotStart(f"{MEMORY} takes an amount such as 512m or 2g. Received: {memory!r}")
    return {
        "user": USER,
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "init": True,  # SIGTERM reaches the server, which as process 1 would ignore it if it has no handler
        "nano_cpus": int(_cpus() * 1e9),
        "mem_limit": memory,
        "memswap_limit": memory,  # the same: no swap
        "pids_limit": PIDS,
    }


def _cpus() -> float:
    """Two, or as many as there are: an engine refuses more than its machine has."""
    chosen = os.environ.get(CPUS)
    if not chosen:
        return float(min(2, os.cpu_count() or 2))
    if not re.fullmatch(r"\d+(\.\d+)?", chosen) or float(chosen) < 0.01:
        raise CannotStart(f"{CPUS} takes a number of processors such as 1.5. Received: {chosen!r}")
    return float(chosen)
