"""Make a model ready, and what the steps after it work with: a context, and rows to begin with."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from models import MODELS, known, trained
from models.model import KeptModel
from models.trained import HOW
from pipelines.artifacts import parity, reference, store
from pipelines.artifacts.named import spec_named, training_of
from pipelines.artifacts.workspace import Workspace
from pipelines.base.errors import MissingExtra, NotPossible, SlipwayError, UserError
from pipelines.base.files import link
from pipelines.base.progress import say
from pipelines.claims.status import lifecycle_of
from pipelines.paths import version_of
from pipelines.paths.choose import Choice
from pipelines.results import ArtifactRow, Row, StageUsage, Training
from pipelines.stages.worker import run_stage
from serving.extras import install_command

AnyRow = TypeVar("AnyRow", ArtifactRow, Row)

TRAINERS = {"pytorch": ("torch", "mlxtend", "tensorboardX"), "tensorflow": ("tensorflow", "keras", "mlxtend")}
"""Framework -> the distributions that affect its training."""
READERS = ("torch",)
"""The distributions that published weights are read with, and computed by as the reference."""


@dataclass(frozen=True, slots=True)
class Context:
    """Folders and options of a command. ``cancel`` ends the running workers; ``rebuild`` ignores the cache."""

    workspace: Workspace
    logs: Path
    rebuild: bool = False
    cancel: threading.Event = field(default_factory=threading.Event)

    def log(self, name: str) -> Path:
        return self.logs / f"{name.replace(':', '-')}.log"


def open_context(workspace: Workspace, model: str, name: str, rebuild: bool = False) -> Context:
    """Make a Context that logs under artifacts/MODEL/logs/NAME. Raises UserError."""
    spec_named(workspace, model)
    workspace.check_writable()
    return Context(workspace, workspace.artifacts / model / "logs" / name, rebuild)


@dataclass(frozen=True, slots=True)
class HowTrained:
    """Framework of the training loop, and the number of epochs (None: the recipe's)."""

    framework: str = "pytorch"
    epochs: int | None = None


def ensure_trained(
    context: Context,
    model: str,
    how: HowTrained | None = None,
    tell: Callable[[str], None] = lambda line: None,  # noqa: ARG005
) -> tuple[KeptModel, Training]:
    """Return the trained model; train it, or fetch its weights, if it is missing or its sources have changed.

    Without ``how``, it is trained in the same way as last time. ``tell`` gets a line after each epoch.
    Raises MissingExtra, or UserError for published weights that cannot be had in this way.
    """
    if model not in MODELS:
        if how is not None:
            raise UserError(f"{model} is a file of yours, and is not trained here. Received: {how.framework}")
        loaded = _taken(context, model)
        return loaded, training_of(loaded)
    place = context.workspace.trained(model)
    how = how or _last(place) or HowTrained()
    chosen, epochs = how.framework, how.epochs
    published = trained.is_published(model)
    if published and how != HowTrained():
        trainer = HowTrained().framework
        raise UserError(
            f"{model} has published weights, trained in {trainer}: no other training is possible. "
            f"Received: {chosen}, {epochs or 'the usual number of'} epochs"
        )
    needed = READERS if published else TRAINERS[chosen]
    missing = [name for name in needed if version_of(name) is None]
    key = store.key_of(
        {"train": model, "framework": chosen, "epochs": epochs},
        [*trained.code_of(model), reference, parity],
        needed,
    )
    usage: list[StageUsage] = []

    def fill(folder: Path) -> None:
        log = context.log(f"train-{chosen}")
        if published:
            tell("fetching its published weights")
            usage.append(run_stage("fetch", {"model": model, "folder": str(folder)}, log, context.cancel).usage)
            tell("computing the reference's answers")
        else:
            request = {"model": model, "framework": chosen, "folder": str(folder), "epochs": epochs}
            usage.append(run_stage("train", request, log, context.cancel, tell=tell).usage)
        run_stage("refer", {"folder": str(folder)}, log, context.cancel)
        (folder / HOW).write_text(json.dumps(asdict(how)) + "\n")

    damaged = store.damage(place) if place.exists() else None
    if damaged and place.resolve().name != key:  # otherwise the store says so
        say(f"{damaged}: {model} is {'fetched again' if published else f'trained again, in {chosen}'}")
    if missing and place.exists() and not damaged and _last(place) == how:
        folder, cached = place.resolve(), True  # a trained model needs no training libraries
    elif missing:
        raise MissingExtra(
            f"{'reading' if published else 'training'} {model} needs {', '.join(missing)}: {install_command('models')}"
        )
    else:
        folder, cached = store.build(
            context.workspace.store, key, fill, f"{model} is trained", context.rebuild, context.cancel
        )
        link(place, folder)
    loaded = known.load(folder)
    return loaded, training_of(loaded, 0.0 if cached else usage[0].wall_s, cached)


def _taken(context: Context, model: str) -> KeptModel:
    """Return a user's model, as it was taken. Raises UserError for one that is damaged, or that is not there."""
    place = context.workspace.trained(model)
    spec_named(context.workspace, model)
    if damaged := store.damage(place):
        raise UserError(f"{damaged}. Take the file again: slipway run FILE --name {model}")
    loaded = known.load(place.resolve())
    if loaded.name != model:
        raise UserError(f"{place} holds the model {loaded.name}. Take the file again: slipway run FILE --name {model}")
    return loaded


def _last(place: Path) -> HowTrained | None:
    """Read how the model in ``place`` was trained; None if that is not recorded."""
    try:
        how = HowTrained(**json.loads((place / HOW).read_text()))
    except (OSError, ValueError, TypeError):
        return None  # missing or damaged: it is trained again
    return how if how.framework in TRAINERS else None


def start_row(choice: Choice) -> ArtifactRow:
    """Make the row of an artifact before anything is known about it."""
    path, variant = choice.card.name, choice.variant
    states = (lifecycle_of(path), lifecycle_of(path, variant))
    return ArtifactRow(
        path=path,
        variant=variant,
        framework=choice.chosen.framework,
        summary=choice.chosen.summary,
        lifecycle="; ".join(state for state in states if state) or None,
        status="ok",
        reason=None,
    )


def attempt(row: AnyRow, extra: str, step: Callable[[], AnyRow]) -> AnyRow:
    """Return the result of ``step``, or the row with the reason why it failed or was skipped."""
    try:
        return step()
    except MissingExtra as error:
        return replace(row, status="skipped", reason=f"{error}; {install_command(extra)}")
    except NotPossible as error:
        return replace(row, status="skipped", reason=str(error))
    except (SlipwayError, OSError) as error:
        return replace(row, status="failed", reason=str(error))
