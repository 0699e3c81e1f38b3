"""Assign labels such as "stable" to versions of a model.

The rules and the message are those of tensorflow/serving (server_core.cc, UpdateModelVersionLabelMap).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from serving.tf_serving.base.errors import ServingError
from serving.tf_serving.settings.models import ModelConfig

Labels = Mapping[str, Mapping[str, int]]
"""Versions by model and label."""


@dataclass(frozen=True, slots=True)
class LabelRules:
    """Permission to label a version that is not available: with a new label (``allow_new``) or any (``allow_any``)."""

    allow_new: bool = False
    allow_any: bool = False


def assign(
    models: Iterable[ModelConfig], present: Labels, is_available: Callable[[str, int], bool], rules: LabelRules
) -> dict[str, dict[str, int]]:
    """Return the labels in the models' configurations; ``present`` are the current labels.

    Raises:
        ServingError: FAILED_PRECONDITION, a label names an unavailable version, and the rules forbid it.
    """
    assigned: dict[str, dict[str, int]] = {}
    for model in models:
        for label, version in model.labels.items():
            is_moved = present.get(model.name, {}).get(label, version) != version
            is_allowed = rules.allow_any or (rules.allow_new and not is_moved)
            if not is_allowed and not is_available(model.name, version):
                raise ServingError(
                    "FAILED_PRECONDITION",
                    f"Request to assign label to version {version} of model {model.name}, "
                    "which is not currently available for inference",
                )
            assigned.setdefault(model.name, {})[label] = version
    return assigned
