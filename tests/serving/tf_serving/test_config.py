"""ModelServerConfig: what is read, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from serving.tf_serving.config import ModelConfig, VersionPolicy, model_configs, parse_config
from serving.tf_serving.errors import ServingError
from serving.tf_serving.flags import Flags


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
        ("", "Invalid ServerModelConfig"),
        (config('name: "a" base_path: "/a"'), "Illegal setting neither model_type(deprecated) nor model_platform."),
        (
            config('name: "a" base_path: "/a" model_platform: "tensorflow" model_type: TENSORFLOW'),
            "Illegal setting both model_type(deprecated) and model_platform.",
        ),
        (config('name: "a" base_path: "/a" model_platform: "other"'), 'must be of the platform "tensorflow"'),
        (
            config('name: "a" base_path: "a" model_platform: "tensorflow"'),
            "Expected model a to have an absolute path or URI",
        ),
        (
            config(*['name: "a" base_path: "/a" model_platform: "tensorflow"'] * 2),
            "Illegal to list model a multiple times in config list",
        ),
        (config('name: "a" base_path: "gs://b/a" model_platform: "tensorflow"'), "must be on a local file system"),
        (config('base_path: "/a" model_platform: "tensorflow"'), "has no name"),
    ],
)
def test_refused(text, message):
    with pytest.raises(ServingError) as caught:
        parse_config(text, "here")
    assert message in caught.value.message


def test_the_file_goes_before_the_folder(tmp_path):
    file = tmp_path / "config"
    file.write_text(config('name: "a" base_path: "/a" model_platform: "tensorflow"'))
    flags = Flags(model_name="m", model_base_path="/m", model_config_file=str(file))
    assert [model.name for model in model_configs(flags)] == ["a"]
    assert model_configs(Flags(model_base_path="/m")) == (ModelConfig("default", Path("/m")),)
