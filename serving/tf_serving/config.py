"""Which models to serve: from the flags, or from a ModelServerConfig in protobuf's text format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from serving.tf_serving.errors import ServingError, invalid
from serving.tf_serving.flags import Flags

PLATFORM = "tensorflow"


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


def model_configs(flags: Flags) -> tuple[ModelConfig, ...]:
    """The models that the flags name; ``--model_config_file`` goes before ``--model_base_path``.

    Raises:
        ServingError: the file cannot be read, or is no configuration that can be served.
    """
    if flags.model_config_file:
        return parse_config(_read(flags.model_config_file), flags.model_config_file)
    return (ModelConfig(flags.model_name, _base_path(flags.model_name, flags.model_base_path)),)


def parse_config(text: str, origin: str) -> tuple[ModelConfig, ...]:
    """The models of a ModelServerConfig. ``origin`` is where the text is from, for messages.

    Raises:
        ServingError: INVALID_ARGUMENT, with the messages of tensorflow/serving (server_core.cc).
    """
    from google.protobuf import text_format
    from tensorflow_serving.config import model_server_config_pb2

    config = model_server_config_pb2.ModelServerConfig()
    try:
        text_format.Parse(text, config)
    except text_format.ParseError as error:
        problem = " ".join(str(error).split())
        raise invalid(
            f"Error parsing text-format tensorflow.serving.ModelServerConfig: {problem}. Received: {origin}"
        ) from error
    if config.WhichOneof("config") != "model_config_list":
        raise invalid(f"Invalid ServerModelConfig: a model_config_list is expected. Received: {origin}")
    models = tuple(_model(entry) for entry in config.model_config_list.config)
    names = [model.name for model in models]
    for name in names:
        if names.count(name) > 1:
            raise invalid(f"Illegal to list model {name} multiple times in config list")
    return models


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a text file"
        raise ServingError("NOT_FOUND", f"cannot read --model_config_file: {reason}. Received: {path}") from error


def _model(entry: Any) -> ModelConfig:
    deprecated_type = entry.model_type == 1  # ModelType.TENSORFLOW
    if entry.model_type and entry.model_platform:
        raise invalid("Illegal setting both model_type(deprecated) and model_platform.")
    if not entry.model_type and not entry.model_platform:
        raise invalid("Illegal setting neither model_type(deprecated) nor model_platform.")
    if not deprecated_type and entry.model_platform != PLATFORM:
        platform = entry.model_platform or "model_type OTHER"
        raise invalid(f'model {entry.name} must be of the platform "{PLATFORM}". Received: "{platform}"')
    if not entry.name:
        raise invalid("a model of the config list has no name")
    return ModelConfig(entry.name, _base_path(entry.name, entry.base_path), _policy(entry), dict(entry.version_labels))


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
