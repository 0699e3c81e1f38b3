"""ModelServerConfig: valid and refused configurations."""

from __future__ import annotations

from pathlib import Path

import pytest

from serving.tf_serving.base.errors import ServingError
from serving.tf_serving.settings.flags import Flags
from serving.tf_serving.settings.models import ModelConfig, VersionPolicy, model_configs, parse_config, validated


def config(*entries: str) -> str:
    return "model_config_list {" + "".join(f"config {{ {entry} }}" for entry in entries) + "}"


def test_models_of_a_file():
    text = config(
        'name: "a" base_path: "/a" model_platform: "tensorflow"',
        'name: "b" base_path: "file:///b" model_type: TENSORFLOW model_version_policy { latest { num_versions: 2 } }',
        'name: "c" base_path: "/c" model_platform: "tensorflow" model_version_policy { all {} }',
        'name: "d" base_path: "/d" model_platform: "tensorflow" version_labels { key: "x" value: 4 } '
        "model_version_policy { specific { versions: 4 versions: 5 } }",
    )
    assert parse_config(text, "here") == (
        ModelConfig("a", Path("/a")),
        ModelConfig("b", Path("/b"), VersionPolicy(latest=2)),
        ModelConfig("c", Path("/c"), VersionPolicy(latest=None)),
        ModelConfig("d", Path("/d"), VersionPolicy(None, frozenset({4, 5})), {"x": 4}),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model_config_list { config: ", "Error parsing text-format tensorflow.serving.ModelServerConfig"),
        (
            config('name: "a" base_path: "/a"'),
            "Illegal setting neither ModelServerConfig::model_type (deprecated) nor ModelServerConfig::model_platform.",
        ),
        (
            config('name: "a" base_path: "/a" model_platform: "tensorflow" model_type: TENSORFLOW'),
            "Illegal setting both ModelServerConfig::model_type (deprecated) and ModelServerConfig::model_platform.",
        ),
        (
            config('name: "a" base_path: "/a" model_type: OTHER'),
            "ModelServerConfig::model_type choice 2 not supported.",
        ),
        ('custom_model_config { type_url: "a/b" }', "does not yet support custom model config"),
        (
            config('name: "a" base_path: "a" model_platform: "tensorflow"'),
            "Expected model a to have an absolute path or URI",
        ),
        (
            config(*['name: "a" base_path: "/a" model_platform: "tensorflow"'] * 2),
            "Illegal to list model a multiple times in config list",
        ),
        (config('name: "a" base_path: "gs://b/a" model_platform: "tensorflow"'), "must be on a local file system"),
    ],
)
def test_refused(text, message):
    with pytest.raises(ServingError) as caught:
        parse_config(text, "here")
    assert message in caught.value.message


def test_no_configuration_is_none_and_no_models_are_some():
    assert parse_config("", "here") is None
    assert parse_config("model_config_list {}", "here") == ()


def test_platforms():
    tensorflow, other = (ModelConfig("m", Path("/m"), platform=platform) for platform in ("tensorflow", "other"))
    assert validated((tensorflow,), (tensorflow,)) == (tensorflow,)
    with pytest.raises(ServingError, match="Model m requests unsupported platform other"):
        validated((other,))
    with pytest.raises(
        ServingError,
        match=r"Illegal to change a model's platform\. For model m platform was tensorflow and new platform requested",
    ):
        validated((other,), (tensorflow,))


def test_the_file_goes_before_the_folder(tmp_path):
    file = tmp_path / "config"
    file.write_text(config('name: "a" base_path: "/a" model_platform: "tensorflow"'))
    flags = Flags(model_name="m", model_base_path="/m", model_config_file=str(file))
    assert [model.name for model in model_configs(flags)] == ["a"]
    assert model_configs(Flags(model_base_path="/m")) == (ModelConfig("default", Path("/m")),)
