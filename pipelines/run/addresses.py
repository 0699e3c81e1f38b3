"""Servers that run already, where they listen, and what they serve: read from the workspace, never built.

``PATH[:VARIANT]=URL[,URL][,token=FILE]`` names one of them; in a composition of containers the
environment says so for all commands (``SLIPWAY_SERVERS``, separated by blanks).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from models import known
from models.model import KeptModel
from pipelines.artifacts.artifact import Artifact, find, read_certificate
from pipelines.artifacts.named import training_of
from pipelines.artifacts.release import served_artifact
from pipelines.artifacts.workspace import Workspace
from pipelines.base.errors import UserError
from pipelines.base.files import read_bounded
from pipelines.paths.choose import Choice, choose, choose_one
from pipelines.results import Certificate, Training
from pipelines.stages.answers import REFERENCE
from serving.clients import Scheme, scheme_of

MAX_TOKEN_BYTES = 65_536
FORM = "PATH[:VARIANT]=URL[,URL][,token=FILE]"


@dataclass(frozen=True, slots=True)
class Deployed:
    """One running server. ``urls`` maps protocols to addresses, ``tokens`` are files that may hold its token."""

    choice: Choice
    urls: Mapping[str, str]
    tokens: tuple[Path, ...]

    def token(self) -> str | None:
        """Return the token in the first of the files that holds one; None if no file is named. Raises UserError."""
        if not self.tokens:
            return None
        try:
            found = [file for file in self.tokens if file.exists() and file.stat().st_size]
        except OSError as error:
            raise UserError(f"cannot read the token of {self.choice.name}: {error}") from error
        if not found:
            raise UserError(f"no token for {self.choice.name}. Received: {', '.join(map(str, self.tokens))}, all empty")
        return read_token(found[0])


def protocols_at(choice: Choice, url: str) -> tuple[str, ...]:
    """Return the protocols that a path's server speaks at an address, the default first. Raises UserError."""
    scheme, separator, _ = url.partition("://")
    if not separator or scheme not in get_args(Scheme):
        raise UserError(f"--url takes http://HOST:PORT or grpc://HOST:PORT. Received: {url}")
    found = tuple(name for name in choice.card.protocols if scheme_of(name) == scheme)
    if not found:
        raise UserError(f"{choice.card.name} has no server: {choice.card.no_server}. Leave --url out.")
    return found


def protocol_for(choice: Choice, url: str, wanted: str | None = None) -> str:
    """Return the ``wanted`` protocol, or the default, that a path's server speaks at an address. Raises UserError."""
    spoken = protocols_at(choice, url)
    if wanted is None or wanted in spoken:
        return wanted or spoken[0]
    why = choice.card.not_spoken.get(wanted)
    raise UserError(
        f"{choice.name} speaks {', '.join(spoken)} at {url}. Received: --protocol {wanted}"
        + (f", which there is not: {why}" if why else "")
    )


def parse(words: Iterable[str]) -> list[Deployed]:
    """Return the servers that ``words`` name. Raises UserError."""
    found = []
    for word in words:
        name, separator, rest = word.partition("=")
        parts = [part for part in rest.split(",") if part]
        urls = [part for part in parts if not part.startswith("token=")]
        if not separator or not urls:
            raise UserError(f"a running server is given as {FORM}. Received: {word}")
        choice = choose_one(name)
        tokens = tuple(Path(part.removeprefix("token=")) for part in parts if part.startswith("token="))
        found.append(Deployed(choice, {name: url for url in urls for name in protocols_at(choice, url)}, tokens))
    return found


def among(servers: list[Deployed], words: Iterable[str]) -> list[Deployed]:
    """Those of the servers whose path the words name; all, without words. Raises UserError for one that is not there.

    ``PATH`` stands for whichever of its variants is served.
    """
    chosen = []
    for word in words:
        names = {choice.name for choice in choose([word])}
        matching = [server for server in servers if server.choice.name in names]
        if not matching:
            known = ", ".join(server.choice.name for server in servers)
            raise UserError(f"no running server of {word} is known. Received: {known}")
        chosen += matching
    return chosen or servers


def model_in(workspace: Workspace, model: str) -> tuple[KeptModel, Training]:
    """Return the trained model of the workspace, as it is. Raises UserError if there is none."""
    folder = workspace.trained(model)
    try:
        loaded = known.load(folder)
        (folder / REFERENCE).stat()
        return loaded, training_of(loaded)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"no trained {model} to read in {folder}: {error}. Run: slipway package {model}") from error


def artifact_in(workspace: Workspace, model: str, choice: Choice) -> tuple[Artifact, Certificate]:
    """Return the artifact of the workspace that is served, and its certificate. Raises UserError."""
    named = model, choice.card.name, choice.variant
    artifact = find(workspace, *named, served_artifact(workspace, *named))
    try:
        certificate = read_certificate(artifact.folder)
    except (OSError, ValueError) as error:
        raise UserError(
            f"{choice.name} of {model} is not verified: {error}. Run: slipway verify {model} {choice.name}"
        ) from error
    return artifact, certificate


def read_token(path: Path) -> str:
    """Return the token in a file. Raises UserError, which never shows what is in the file."""
    try:
        token = read_bounded(path, MAX_TOKEN_BYTES, "the token").decode("ascii").strip()
    except UnicodeDecodeError as error:
        raise UserError(f"cannot read the token: not ASCII text. Received: {path}") from error
    if not token or not token.isprintable() or " " in token:
        raise UserError(f"expected a file that holds one token on one line. Received: {path}")
    return token
