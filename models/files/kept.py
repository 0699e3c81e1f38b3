"""Writes the spec of a user's model as plain data, and reads it again."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from models.files.plain import tensor_of, tensor_plain
from models.spec import Floor, ImagePreprocessing, ModelSpec
from models.task import Classes, Plain, Task, Vectors

TASKS: dict[str, Any] = {"classes": Classes, "vectors": Vectors, "plain": Plain}


def task_named(name: str, labels: tuple[str, ...] = (), *, probabilities: bool = False) -> Task:
    """Return a task by its name in :data:`TASKS`; the rest is of classes. Raises KeyError."""
    task: Task = Classes(labels, probabilities=probabilities) if name == "classes" else TASKS[name]()
    return task


def spec_plain(spec: ModelSpec) -> dict[str, Any]:
    """Return a spec as JSON data."""
    (task,) = (name for name, kind in TASKS.items() if isinstance(spec.task, kind))
    return {
        "name": spec.name,
        "title": spec.title,
        "inputs": [*map(tensor_plain, spec.inputs)],
        "outputs": [*map(tensor_plain, spec.outputs)],
        "task": task,
        "labels": list(spec.labels),
        "probabilities": getattr(spec.task, "probabilities", False),
        "rate_per_s": spec.rate_per_s,
        "picture": asdict(spec.picture) if spec.picture else None,
        "lengths": {name: list(ends) for name, ends in spec.lengths.items()},
        "max_batch": spec.max_batch,
        "floors": {name: asdict(floor) for name, floor in spec.floors.items()},
    }


def spec_from(data: dict[str, Any]) -> ModelSpec:
    """Return the spec that :func:`spec_plain` has made plain. Raises KeyError, TypeError or ValueError for others."""
    return ModelSpec(
        name=data["name"],
        title=data["title"],
        inputs=tuple(map(tensor_of, data["inputs"])),
        outputs=tuple(map(tensor_of, data["outputs"])),
        task=task_named(data["task"], tuple(data["labels"]), probabilities=data["probabilities"]),
        rate_per_s=data["rate_per_s"],
        preprocessing=ImagePreprocessing(**data["picture"]) if data["picture"] else None,
        lengths={name: (low, high) for name, (low, high) in data["lengths"].items()},
        max_batch=data["max_batch"],
        floors={name: Floor(**floor) for name, floor in data["floors"].items()},
    )
