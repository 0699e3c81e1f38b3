"""Finds a model in the folder that it is kept in: one of slipway's own, or a user's file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import ModuleType

from models import MODELS, dataset, spec, trained
from models.files import OWN
from models.files import model as file_model
from models.files.forms import answers, as_keras, as_onnx, as_torch
from models.model import KeptModel


def load(folder: Path, form: str | None = None) -> KeptModel:
    """Load the model in a folder, a user's file in one ``form`` only if it is named.

    Raises OSError, KeyError, TypeError or ValueError for a folder that holds none.
    """
    if (folder / OWN).exists():
        return replace(file_model.load(folder), only=form)
    return trained.load(folder)


def code_of(name: str) -> tuple[ModuleType, ...]:
    """Return the modules that shape a model."""
    if name in MODELS:
        return trained.code_of(name)
    return spec, dataset, file_model, answers, as_keras, as_onnx, as_torch
