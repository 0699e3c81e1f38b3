"""Finds a model's spec by its name: one of slipway's own, or a user's in the workspace. No framework is imported."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models import MODELS
from models.files import OWN
from models.spec import ModelSpec, spec_of
from pipelines.artifacts.workspace import Workspace
from pipelines.base.errors import UserError, unknown

if TYPE_CHECKING:
    from models.model import KeptModel
    from pipelines.results import Training


def models_in(workspace: Workspace) -> list[str]:
    """List slipway's own models, then the user's that were taken into the workspace."""
    own = sorted(place.parent.name for place in workspace.artifacts.glob("*/trained") if (place / OWN).is_file())
    return [*MODELS, *own]


def spec_named(workspace: Workspace, model: str) -> ModelSpec:
    """Return the spec of a model. Raises UserError for an unknown name, with the nearest ones."""
    if model in MODELS:
        return spec_of(model)
    known = models_in(workspace)
    if model not in known:
        raise unknown("model", model, known)
    from models.files.model import load as load_own  # with numpy, which the names alone do not need

    try:
        return load_own(workspace.trained(model)).spec
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{workspace.trained(model)} is damaged: {error}. Take the file again: slipway run FILE"
        ) from error


def title_of(model: str) -> str:
    """Return the title of the step that makes a model ready."""
    return f"train {model}" if model in MODELS else f"open {model}"


def training_of(model: KeptModel, wall_s: float = 0.0, cached: bool = True) -> Training:
    """Return what a report says of where a model is from."""
    from pipelines.results import Training

    return Training(
        framework=model.framework,
        weights_sha256=model.sha256,
        wall_s=wall_s,
        cached=cached,
        own_file=model.name not in MODELS,
        **model.facts(),
    )
