"""Read the models to serve: from the flags, or from a ModelServerConfig in protobuf's text format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from serving.tf_serving.base.errors import ServingError, invalid
from serving.tf_serving.settings.flags import Flags
from serving.tf_serving.settings.text_proto import parse_text

PLATFORM = "tensorflow"
_TENSORFLOW_TYPE = 1  # ModelType.TENSORFLOW, deprecated


@dataclass(frozen=True, slots=True)
class VersionPolicy:
    """The versions on disk to serve: the ``latest`` N, or the ``specific`` ones, or all (both None)."""

    latest: int | None = 1
    specific: frozenset[int] | None = None


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """One model: ``base_path`` holds its versions, ``labels`` maps names of versions to their numbers."""

    name: str
    base_path: Path
    policy: VersionPolicy = VersionPolicy()
    labels: Mapping[str, int] = field(default_factory=dict)
    platform: str = PLATFORM


Models = tuple[ModelConfig, ...]


def model_configs(flags: Flags) -> Models | None:
    """Read the models that the flags name; ``--model_config_file`` takes precedence over ``--model_base_path``.

    None means an empty configuration file: nothing is served until it has content.

    Raises:
        ServingError: the file cannot be read, or its configuration cannot be served.
    """
    if flags.model_config_file:
        return read_config(flags.model_config_file)
    path = flags.model_base_path
    return validated((ModelConfig(flags.model_name, _base_path(flags.model_name, path)),))


def read_config(path: str) -> Models | None:
    """Read the models of a file with a ModelServerConfig. Raises ServingError."""
    try:
        text = Path(path).read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a text file"
        raise ServingError(
            "NOT_FOUND",
            f"cannot read --model_config_file: {reason}. Received: {path}. slipway package MODEL tf-serving --release "
            "writes one; with docker compose: docker compose run --rm build",
        ) from error
    return parse_config(text, path)


def parse_config(text: str, origin: str) -> Models | None:
    """Parse the models of a ModelServerConfig. ``origin`` is the source of the text, for messages.

    Raises:
        ServingError: INVALID_ARGUMENT, with the messages of tensorflow/serving (server_core.cc).
    """
    from tensorflow_serving.config import model_server_config_pb2

    return from_message(parse_text(text, model_server_config_pb2.ModelServerConfig(), origin))


def from_message(config: Any) -> Models | None:
    """Return the models of a ModelServerConfig message, None if it is empty. Raises ServingError."""
    kind = config.WhichOneof("config")
    if kind is None:
        return None
    if kind != "model_config_list":
        raise ServingError("UNIMPLEMENTED", "ModelServer does not yet support custom model config.")
    entries = config.model_config_list.config
    names = [entry.name for entry in entries]
    for name in names:
        if names.count(name) > 1:
            raise invalid(f"Illegal to list model {name} multiple times in config list")
    return tuple(_model(entry) for entry in entries)


def validated(models: Models, present: Models = ()) -> Models:
    """Check that this server can replace the ``present`` models by ``models``, and return ``models``.

    Raises:
        ServingError: INVALID_ARGUMENT, for an unsupported platform, or one that differs from the model's present one.
    """
    platforms = {model.name: model.platform for model in present}
    for model in models:
        old = platforms.get(model.name, model.platform)
        if old != model.platform:
            raise invalid(
                f"Illegal to change a model's platform. For model {model.name} platform was {old} "
                f"and new platform requested is {model.platform}"
            )
    for model in models:
        if model.platform != PLATFORM:
            raise invalid(f"Model {model.name} requests unsupported platform {model.platform}")
    return models


def _model(entry: Any) -> ModelConfig:
    return ModelConfig(
        entry.name,
        _base_path(entry.name, entry.base_path),
        _policy(entry),
        dict(entry.version_labels),
        _platform(entry),
    )


def _platform(entry: Any) -> str:
    if entry.model_type and entry.model_platform:
        raise invalid(
            "Illegal setting both ModelServerConfig::model_type (deprecated) and ModelServerConfig::model_platform."
        )
    if entry.model_type and entry.model_type != _TENSORFLOW_TYPE:
        raise invalid(f"ModelServerConfig::model_type choice {entry.model_type} not supported.")
    if not entry.model_type and not entry.model_platform:
        raise invalid(
            "Illegal setting neither ModelServerConfig::model_type (deprecated) nor ModelServerConfig::model_platform."
        )
    return entry.model_platform or PLATFORM


def _policy(entry: Any) -> VersionPolicy:
    choice = entry.model_version_policy.WhichOneof("policy_choice")
    if choice == "all":
        return VersionPolicy(latest=None)
    if choice == "specific":
        return VersionPolicy(latest=None, specific=frozenset(entry.model_version_policy.specific.versions))
    return VersionPolicy(latest=entry.model_version_policy.latest.num_versions or 1)


def _base_path(name: str, path: str) -> Path:
    parts = urlsplit(path)
    if parts.scheme == "file":
        path = parts.path
    elif parts.scheme:
        raise ServingError("UNIMPLEMENTED", f"model {name} must be on a local file system. Received: {path}")
    if not path.startswith("/"):
        raise invalid(f"Expected model {name} to have an absolute path or URI; got base_path()={path}")
    return Path(path)
