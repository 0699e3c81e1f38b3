"""Limit a container's resources and rights, as docker-compose.yml does for every server."""

from __future__ import annotations

import os
import re
from typing import Any

from serving.container.recipe import CannotStart

USER = "10001:10001"
PIDS = 512
CPUS, MEMORY = "SLIPWAY_CPUS", "SLIPWAY_MEMORY"


def hardening() -> dict[str, Any]:
    """Return arguments for the SDK's ``create``. Raises CannotStart if a variable holds an invalid amount."""
    memory = os.environ.get(MEMORY) or "2g"
    if not re.fullmatch(r"[1-9]\d*[bkmg]", memory.lower()):
        raise CannotStart(f"{MEMORY} takes an amount such as 512m or 2g. Received: {memory!r}")
    return {
        "user": USER,
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "init": True,  # a server without a SIGTERM handler would ignore SIGTERM as process 1
        "nano_cpus": int(_cpus() * 1e9),
        "mem_limit": memory,
        "memswap_limit": memory,  # equal to mem_limit: no swap
        "pids_limit": PIDS,
    }


def _cpus() -> float:
    """Return the number of processors: at most what the machine has, since the engine refuses more."""
    chosen = os.environ.get(CPUS)
    if not chosen:
        return float(min(2, os.cpu_count() or 2))
    if not re.fullmatch(r"\d+(\.\d+)?", chosen) or float(chosen) < 0.01:
        raise CannotStart(f"{CPUS} takes a number of processors such as 1.5. Received: {chosen!r}")
    return float(chosen)
