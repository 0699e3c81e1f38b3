"""Package and verify a variant of a path: each step runs in a worker process, and its result is cached."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from pydantic import TypeAdapter

from models.files import printable
from models.files.model import FileModel
from models.model import FORMS, KeptModel
from pipelines.artifacts import artifact as artifacts
from pipelines.artifacts import parity, reference, store
from pipelines.artifacts.artifact import CERTIFICATE, Artifact, Manifest, read_certificate
from pipelines.artifacts.sources import place_of
from pipelines.base.environments import PLACE
from pipelines.base.errors import MissingExtra, NotPossible, SlipwayError, UserError
from pipelines.base.progress import say
from pipelines.paths import PATHS, Card, Tolerance, path_module, tolerance_for
from pipelines.paths.choose import Choice
from pipelines.results import IN_BROWSER, ArtifactRow, Certificate, FileEntry, Holds, StageUsage, Try
from pipelines.run.prepare import Context, attempt, ensure_trained, start_row
from pipelines.stages import answers, functions
from pipelines.stages.answers import ANSWERS, REFERENCE
from pipelines.stages.cage import for_framework
from pipelines.stages.worker import StageResult, run_stage
from serving.extras import install_command

SENTENCE = 300
"""The longest words of a converter that an artifact and a row keep, in characters."""


def forms_for(model: KeptModel, choice: Choice) -> list[str]:
    """Return the forms that a variant can be made from, of those that the model can be had in, the preferred first.

    Raises NotPossible if there is none.
    """
    forms = [form for form in choice.chosen.forms if form in model.forms]
    if not forms:
        raise NotPossible(
            f"{choice.name} is made from the form {' or '.join(choice.chosen.forms)}. "
            f"Received: {model.name}, which has {', '.join(model.forms) or 'none'}"
        )
    return forms


def check_samples(model: KeptModel, choice: Choice) -> None:
    """Raise NotPossible if a variant is calibrated and there is nothing to do that with."""
    if choice.chosen.precision.startswith("int8") and not model.has_samples:
        raise NotPossible(
            f"{choice.name} is calibrated with some samples and judged by others. Give them: slipway run FILE --inputs "
            "samples.npz"
        )


def check_texts(model: KeptModel, choice: Choice) -> None:
    """Raise NotPossible if an input is texts, and the variant takes numbers."""
    texts = [tensor.name for tensor in model.spec.inputs if tensor.dtype == "str"]
    if texts and not choice.chosen.texts:
        raise NotPossible(f"{choice.name} takes numbers. Received: {', '.join(texts)}, which is texts")


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


def key_of(model: KeptModel, choice: Choice, form: str) -> str:
    """Return the name of an artifact in the store."""
    card = choice.card
    return artifacts.artifact_key(card, PATHS[card.name], choice.variant, form, model)


def package(
    context: Context, model: KeptModel, choice: Choice, form: str, tries: tuple[Try, ...] = ()
) -> tuple[Artifact, bool, StageUsage | None]:
    """Build the artifact of one variant; return it, True if it was cached, and the resources that building used.

    It is made from one form of the model; ``tries`` are those that were tried before. Raises NotPossible, MissingExtra
    or SlipwayError.
    """
    card, variant = choice.card, choice.variant
    key = key_of(model, choice, form)
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
            "form": form,
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
            framework=FORMS[form],
            form=form,
            tries=tries,
            model_training=model.origin(),
            model_sha256=model.sha256,
            artifact_sha256=artifacts.digest_of(files),
            size_bytes=sum(entry.bytes for entry in files),
            files=files,
            versions=store.versions((*choice.chosen.requires, *model.requires)),
            signature=model.spec.signature(),
            labels=model.spec.labels,
            holds=Holds(**outcomes[-1].value),
        )

    artifact, cached = artifacts.build(
        context.workspace, key, choice.name, fill, describe, context.rebuild, context.cancel
    )
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
    """Package and verify one variant; return its row, and the artifact if both succeeded.

    A user's file may be had in several forms that the variant can be made from: the first that passes is taken. With
    a tolerance of the user's, an artifact that is there is judged, and no other is made in its place.
    """
    start = start_row(choice)
    place = context.workspace.artifact(model.name, choice.card.name, choice.variant)
    try:
        forms = _in_order(model, choice, None if context.rebuild or not place.exists() else place.resolve().name)
        check_texts(model, choice)
        check_samples(model, choice)
        check_installed(choice)
    except NotPossible as error:
        return replace(start, status="skipped", reason=str(error)), None
    except MissingExtra as error:
        return replace(start, status="skipped", reason=f"{error}; {install_command(choice.card.extra)}"), None
    rows: dict[str, ArtifactRow] = {}
    for form in forms[:1] if atol is not None and place.exists() else forms:
        made = _Made()
        row = _by(context, model, choice, atol, form, tuple(Try(*one) for one in _sentences(rows)), made)
        if made.artifact is not None and (row.status == "ok" or len(forms) == 1 or not place.exists()):
            row = _published(context, choice, row, made.artifact)
        rows[form] = row
        if row.status == "ok":
            return row, made.artifact
        if made.ended or context.cancel.is_set():
            break
    return _none_of(rows), None


def _published(context: Context, choice: Choice, row: ArtifactRow, artifact: Artifact) -> ArtifactRow:
    return attempt(
        row,
        choice.card.extra,
        lambda: replace(row, folder=str(artifacts.publish(context.workspace, artifact))),
    )


@dataclass(slots=True)
class _Made:
    """Holds the artifact made from one form, and if an error ended it that no other form would avoid."""

    artifact: Artifact | None = None
    ended: bool = False


def _in_order(model: KeptModel, choice: Choice, present: str | None) -> list[str]:
    """Put the form first that the present artifact was made from: the others were tried when it was made."""
    forms = forms_for(model, choice)
    if len(forms) < 2 or present is None:
        return forms
    return sorted(forms, key=lambda form: key_of(model, choice, form) != present)


def _sentences(rows: Mapping[str, ArtifactRow]) -> list[tuple[str, str]]:
    """Return what came of each form, in one line: a converter's words may be long, and a stranger's."""
    return [(form, printable((row.reason or "").partition("\n")[0])[:SENTENCE]) for form, row in rows.items()]


def _none_of(rows: Mapping[str, ArtifactRow]) -> ArtifactRow:
    """Return the row of a variant that no form gave: the one that came nearest, with the sentences of all."""
    best = next((row for row in rows.values() if row.certificate), [*rows.values()][-1])
    sentences = _sentences(rows)
    if len({sentence for _, sentence in sentences}) > 1:
        told = "; ".join(f"from {form}: {sentence}" for form, sentence in sentences)
        log = (best.reason or "").partition("\n")[2]
        best = replace(best, reason=f"no way gave it. {told[0].upper()}{told[1:]}\n{log}".rstrip())
    failed = any(row.status == "failed" for row in rows.values())
    return replace(best, status="failed" if failed else "skipped", tries=())


def _by(
    context: Context,
    model: KeptModel,
    choice: Choice,
    atol: float | None,
    form: str,
    tries: tuple[Try, ...],
    made: _Made,
) -> ArtifactRow:
    """Package and verify one variant from one form of the model; ``made`` gets the artifact."""
    row = start_row(choice)

    def packaged() -> ArtifactRow:
        try:
            artifact, cached, usage = package(context, model, choice, form, tries)
        except (UserError, OSError):  # such as a full disk
            made.ended = True
            raise
        made.artifact = artifact
        return replace(
            row,
            framework=artifact.manifest.framework,
            cached=cached,
            folder=str(artifact.folder),
            size_bytes=artifact.manifest.size_bytes,
            files=artifact.manifest.files,
            holds=artifact.manifest.holds,
            form=form,
            tries=tries or artifact.manifest.tries,
            package=usage,
        )

    row = attempt(row, choice.card.extra, packaged)
    if made.artifact is None:
        return row
    artifact = made.artifact

    def verified() -> ArtifactRow:
        certificate, cached, usage = verify(context, model, artifact, atol)
        reason = None if certificate.passed else "parity: " + "; ".join(certificate.breaches)
        return replace(
            row,
            status="ok" if certificate.passed else "failed",
            reason=reason,
            cached=row.cached and cached,
            verify=usage,
            certificate=certificate,
        )

    return attempt(row, choice.card.extra, verified)


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
