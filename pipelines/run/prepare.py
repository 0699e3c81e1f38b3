"""Train, package and verify: each step runs in a worker process, and its result is cached."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter

from models import MODELS, known, trained
from models.files.model import FileModel
from models.model import KeptModel
from models.trained import HOW
from pipelines.artifacts import artifact as artifacts
from pipelines.artifacts import parity, reference, store
from pipelines.artifacts.artifact import CERTIFICATE, Artifact, Manifest, read_certificate
from pipelines.artifacts.named import spec_named, training_of
from pipelines.artifacts.sources import place_of
from pipelines.artifacts.workspace import Workspace
from pipelines.base.environments import PLACE
from pipelines.base.errors import MissingExtra, NotPossible, SlipwayError, UserError
from pipelines.base.files import link
from pipelines.base.progress import say
from pipelines.claims.status import lifecycle_of
from pipelines.paths import PATHS, Card, Tolerance, path_module, tolerance_for, version_of
from pipelines.paths.choose import Choice
from pipelines.results import IN_BROWSER, ArtifactRow, Certificate, FileEntry, Holds, Row, StageUsage, Training
from pipelines.stages import answers, functions
from pipelines.stages.answers import ANSWERS, REFERENCE
from pipelines.stages.cage import for_framework
from pipelines.stages.worker import StageResult, run_stage
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


def check_form(model: KeptModel, choice: Choice) -> None:
    """Raise NotPossible if the model has no form that the variant is made from, or nothing to calibrate it with."""
    if not set(choice.chosen.forms) & set(model.forms):
        raise NotPossible(
            f"{choice.name} is made from the form {' or '.join(choice.chosen.forms)}. "
            f"Received: {model.name}, which has {', '.join(model.forms) or 'none'}"
        )
    if choice.chosen.precision.startswith("int8") and not model.has_samples:
        raise NotPossible(
            f"{choice.name} is calibrated with some samples and judged by others. Give them: slipway run FILE --inputs "
            "samples.npz"
        )


def check_installed(choice: Choice) -> None:
    """Raise MissingExtra if a library of the variant is not installed."""
    missing = choice.chosen.missing()
    if missing:
        raise MissingExtra(f"not installed: {', '.join(missing)}")


def check_browser(card: Card) -> None:
    """Raise NotPossible if the path runs in a browser and there is none: its artifact could not be proved equal."""
    if card.where == IN_BROWSER:
        from pipelines.paths.browser.chromium import find

        find()


def package(context: Context, model: KeptModel, choice: Choice) -> tuple[Artifact, bool, StageUsage | None]:
    """Build the artifact of one variant; return it, True if it was cached, and the resources that building used.

    Raises NotPossible, MissingExtra or SlipwayError.
    """
    card, variant = choice.card, choice.variant
    check_form(model, choice)
    check_installed(choice)
    key = artifacts.artifact_key(card, PATHS[card.name], variant, model.name, model.sha256)
    outcomes: list[StageResult] = []
    kept = Path(os.environ.get(PLACE) or context.workspace.environments)

    def fill(folder: Path) -> None:
        check_browser(card)
        cage = None
        if isinstance(model, FileModel):  # a stranger's file: first what needs a network, without it
            kept.mkdir(parents=True, exist_ok=True)
            run_stage("provide", {"path": card.name, "environments": str(kept)}, context.log("provide"), context.cancel)
            cage = for_framework(folder, alone=False)
        request = {
            "path": card.name,
            "variant": variant,
            "model": str(model.folder),
            "folder": str(folder),
            "environments": str(kept),
        }
        outcomes.append(run_stage("package", request, context.log(f"package-{choice.name}"), context.cancel, cage=cage))

    def describe(files: tuple[FileEntry, ...]) -> Manifest:
        if not files:
            raise SlipwayError(f"{choice.name} packaged nothing")
        return Manifest(
            key=key,
            model=model.name,
            path=card.name,
            variant=variant,
            framework=choice.chosen.framework,
            model_training=model.origin(),
            model_sha256=model.sha256,
            artifact_sha256=artifacts.digest_of(files),
            size_bytes=sum(entry.bytes for entry in files),
            files=files,
            versions=store.versions(choice.chosen.requires),
            signature=model.spec.signature(),
            labels=model.spec.labels,
            holds=Holds(**outcomes[-1].value),
        )

    artifact, cached = artifacts.build(
        context.workspace, key, choice.name, fill, describe, context.rebuild, context.cancel
    )
    artifacts.publish(context.workspace, artifact)
    return artifact, cached, outcomes[-1].usage if outcomes else None


def verify(
    context: Context, model: KeptModel, artifact: Artifact, atol: float | None
) -> tuple[Certificate, bool, StageUsage | None]:
    """Verify an artifact; return its certificate, True if it was cached, and the resources that verifying used.

    ``atol`` replaces the variant's tolerance. Raises MissingExtra or SlipwayError.
    """
    manifest = artifact.manifest
    basis = certificate_basis(model, tolerance_for(manifest.path, manifest.variant, model.spec, atol), atol is not None)
    present = _certificate(artifact)
    if present is not None and not context.rebuild and present.basis_sha256 == basis:
        return present, True, None
    request = {
        "path": manifest.path,
        "variant": manifest.variant,
        "payload": str(artifact.payload),
        "artifact_sha256": manifest.artifact_sha256,
        "basis_sha256": basis,
        "model": str(model.folder),
        "out": str(artifact.folder),
        "atol": atol,
    }
    caged = (
        isinstance(model, FileModel) and path_module(manifest.path).CARD.where != IN_BROWSER
    )  # which has a cage itself
    cage = for_framework(artifact.folder, alone=False) if caged else None
    log = context.log(f"verify-{artifact.name}")
    outcome = run_stage("verify", request, log, context.cancel, threads=1, cage=cage)
    return TypeAdapter(Certificate).validate_python(outcome.value), False, outcome.usage


def certificate_basis(model: KeptModel, tolerance: Tolerance, from_user: bool) -> str:
    """Hash the basis of a certificate, besides the artifact: reference answers, comparing code, tolerance."""
    code = [place_of(module) for module in (parity, reference, functions, answers)]
    files = [model.folder / REFERENCE, *code]
    parts = [*(store.hash_tree(file) for file in files), json.dumps([asdict(tolerance), from_user])]
    return hashlib.sha256("".join(parts).encode()).hexdigest()


def _certificate(artifact: Artifact) -> Certificate | None:
    """Read the certificate beside the artifact; None unless it matches these bytes. Says so if it is damaged."""
    if not (artifact.folder / CERTIFICATE).exists():
        return None
    try:
        certificate = read_certificate(artifact.folder)
        if store.hash_tree(artifact.folder / ANSWERS) != certificate.answers_sha256:
            raise ValueError(f"{artifact.folder / ANSWERS} is not as it was written")
    except (OSError, ValueError) as error:
        say(f"{error}: {artifact.name} is verified again")
        return None
    return certificate if certificate.artifact_sha256 == artifact.manifest.artifact_sha256 else None


def prepare(
    context: Context, model: KeptModel, choice: Choice, atol: float | None
) -> tuple[ArtifactRow, Artifact | None]:
    """Package and verify one variant; return its row, and the artifact if both succeeded."""
    row = start_row(choice)
    made: list[Artifact] = []

    def packaged() -> ArtifactRow:
        artifact, cached, usage = package(context, model, choice)
        made.append(artifact)
        return replace(
            row,
            cached=cached,
            folder=str(context.workspace.artifact(model.name, choice.card.name, choice.variant)),
            size_bytes=artifact.manifest.size_bytes,
            files=artifact.manifest.files,
            holds=artifact.manifest.holds,
            package=usage,
        )

    row = attempt(row, choice.card.extra, packaged)
    if row.status != "ok":
        return row, None

    def verified() -> ArtifactRow:
        certificate, cached, usage = verify(context, model, made[0], atol)
        reason = None if certificate.passed else "parity: " + "; ".join(certificate.breaches)
        return replace(
            row,
            status="ok" if certificate.passed else "failed",
            reason=reason,
            cached=row.cached and cached,
            verify=usage,
            certificate=certificate,
        )

    row = attempt(row, choice.card.extra, verified)
    return row, made[0] if row.status == "ok" else None


def ready_artifact(
    context: Context,
    model: str,
    choice: Choice,
    tell: Callable[[str], None] = lambda line: None,  # noqa: ARG005
) -> tuple[KeptModel, Artifact]:
    """Return a packaged and verified artifact; make it now if it is missing.

    Raises MissingExtra with the command that installs it, SlipwayError, or UserError for a path that fails parity.
    """
    loaded, _ = ensure_trained(context, model, tell=tell)
    row, artifact = prepare(context, loaded, choice, None)
    if artifact is None:
        kind = UserError if row.status == "skipped" else SlipwayError
        raise kind(f"{choice.name} is {row.status}: {row.reason}")
    return loaded, artifact
