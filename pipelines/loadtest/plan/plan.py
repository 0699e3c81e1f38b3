"""Passes the plan to the generator process: files in a folder, and the headers through its standard input.

Headers may hold a token, which must not be written to a disk.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.loadtest.plan.schedule import Schedule
from pipelines.loadtest.recording import load_blobs, save_blobs
from pipelines.loadtest.request import Tls, UrlCall
from pipelines.loadtest.settings import LoadSettings


@dataclass(frozen=True, slots=True)
class Plan:
    """One load test, ready to run. ``schedule`` is for the server scenario, and empty in the others."""

    call: UrlCall
    bodies: Sequence[bytes]
    settings: LoadSettings
    schedule: Schedule
    parent_pid: int


def save_plan(folder: Path, plan: Plan) -> str:
    """Writes all but the headers; returns the headers as text for the generator's standard input."""
    facts = {
        "call": {**asdict(plan.call), "fields": ()},
        "parent_pid": plan.parent_pid,
        "settings": asdict(plan.settings),
        "first": plan.schedule.first,
        "end_ns": plan.schedule.end_ns,
    }
    (folder / "plan.json").write_text(json.dumps(facts))
    np.save(folder / "schedule.npy", plan.schedule.offsets_ns, allow_pickle=False)
    save_blobs(folder, "bodies", range(len(plan.bodies)), plan.bodies)
    return json.dumps(plan.call.fields)


def load_plan(folder: Path, headers: str) -> Plan:
    facts = json.loads((folder / "plan.json").read_text())
    call: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in facts["call"].items()
    }
    call |= {"fields": tuple(map(tuple, json.loads(headers))), "tls": Tls(**call["tls"]) if call["tls"] else None}
    return Plan(
        call=UrlCall(**call),
        bodies=[body for _, body in load_blobs(folder, "bodies")],
        settings=LoadSettings(**facts["settings"]),
        schedule=Schedule(np.load(folder / "schedule.npy", allow_pickle=False), facts["first"], facts["end_ns"]),
        parent_pid=facts["parent_pid"],
    )
