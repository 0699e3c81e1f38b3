"""Which models to serve: from the flags, or from a ModelServerConfig in protobuf's text format."""

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
    """Which of the versions on disk are served: the ``latest`` so many, or ``specific`` ones, or all (both None)."""

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
    """The models that the flags name; ``--model_config_file`` goes before ``--model_base_path``.

    None is a file without any configuration: nothing is served until it has one.

    Raises:
        ServingError: the file cannot be read, or is no configuration that can be served.
    """
    if flags.model_config_file:
        return read_config(flags.model_config_file)
    path = flags.model_base_path
    return validated((ModelConfig(flags.model_name, _base_path(flags.model_name, path)),))


def read_config(path: str) -> Models | None:
    """The models of a file with a ModelServerConfig. Raises ServingError."""
    try:
        text = Path(path).read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a text file"
        raise ServingError("NOT_FOUND", f"cannot read --model_config_file: {reason}. Received: {path}") from error
    return parse_config(text, path)


def parse_config(text: str, origin: str) -> Models | None:
    """The models of a ModelServerConfig. ``origin`` is where the text is from, for messages.

    Raises:
        ServingError: INVALID_ARGUMENT, with the messages of tensorflow/serving (server_core.cc).
    """
    from tensorflow_serving.config import model_server_config_pb2

    return from_message(parse_text(text, model_server_config_pb2.ModelServerConfig(), origin))


def from_message(config: Any) -> Models | None:
    """The models of a ModelServerConfig message, None if there is none in it. Raises ServingError."""
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
    """``models`` themselves, if this server can serve them in the place of the ``present`` ones.

    Raises:
        ServingError: INVALID_ARGUMENT, a platform that is not supported, or not the one that the model had.
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
