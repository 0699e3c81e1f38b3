"""Signatures read out of files, against what the frameworks say about the same files."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from model_files import TABLE, Honest

from models.files import FileFacts
from models.files.kinds import read
from models.files.plain import facts_of, plain
from models.spec import BATCH, Integers, Uniform


def sizes(facts: FileFacts, side: str) -> dict[str, tuple[str, tuple[int | None, ...]]]:
    return {one.name: (one.dtype, one.sizes) for one in getattr(facts, side)}


def test_keras(honest: Honest) -> None:
    import keras

    facts, model = read(honest.keras), keras.models.load_model(honest.keras, compile=False)
    assert sizes(facts, "inputs") == {one.name: (one.dtype, tuple(one.shape)) for one in model.inputs}
    assert sizes(facts, "outputs") == {
        name: (one.dtype, tuple(one.shape)) for name, one in model._outputs_struct.items()
    }
    assert facts.parameters == model.count_params()
    assert facts.parameter_bytes == 4 * facts.parameters
    assert facts.versions == {"keras": keras.__version__}
    assert {one.name: one.values for one in facts.inputs} == {"ids": Integers(0, TABLE - 1), "extra": Uniform(-1, 1)}
    assert facts.guessed == ("extra",)
    assert facts.operators["Dense"] == 2
    assert facts.operators["gelu"] == 1


def test_keras_sequential_with_its_range(honest: Honest) -> None:
    facts = read(honest.pictures)
    (given,) = facts.inputs
    assert given.shape == (BATCH, 12, 12, 1)
    assert given.values == Uniform(0, 255)  # it begins with Rescaling
    assert facts.guessed == ()
    assert facts.outputs[0].shape == (BATCH, 10)


@pytest.mark.parametrize("name", ["saved_model", "texts", "first"])
def test_saved_model(honest: Honest, name: str) -> None:
    import tensorflow as tf

    path = honest.all[name]
    facts, loaded = read(path), tf.saved_model.load(str(path))
    signature = loaded.signatures["serving_default"]

    def said(tensors: dict[str, Any]) -> dict[str, Any]:
        types = {key: one.dtype.name.replace("string", "str") for key, one in tensors.items()}
        return {key: (types[key], tuple(one.shape)) for key, one in tensors.items()}

    assert sizes(facts, "inputs") == said(signature.structured_input_signature[1])
    assert sizes(facts, "outputs") == said(signature.structured_outputs)
    assert facts.parameters == sum(int(np.prod(one.shape)) for one in signature.variables)
    assert facts.versions["tensorflow"] == tf.__version__


@pytest.mark.parametrize("name", ["pt2", "free"])
def test_torch_export(honest: Honest, name: str) -> None:
    import torch

    path = honest.all[name]
    facts, program = read(path), torch.export.load(path)
    nodes = {node.name: node.meta["val"] for node in program.graph.nodes if node.op == "placeholder"}
    wanted = [nodes[name] for name in program.graph_signature.user_inputs]
    assert [(one.dtype, one.sizes) for one in facts.inputs] == [
        (str(one.dtype).removeprefix("torch."), tuple(size if isinstance(size, int) else None for size in one.shape))
        for one in wanted
    ]
    every = [*program.state_dict.values(), *program.constants.values()]
    assert facts.parameters == sum(one.numel() for one in every)
    assert facts.versions["torch"] == torch.__version__
    assert not facts.code


def test_names_and_bounds_of_a_program(honest: Honest) -> None:
    facts = read(honest.pt2)
    assert [(one.name, one.shape, one.values) for one in facts.inputs] == [
        ("ids", (BATCH, "dim_1"), Integers(0, TABLE - 1)),
        ("mask", (BATCH, "dim_1"), Uniform(-1, 1)),
    ]
    assert [(one.name, one.shape) for one in facts.outputs] == [("logits", (BATCH, 4)), ("sum", (BATCH, 8))]
    assert facts.lengths == {"dim_1": (3, 128)}
    assert facts.warnings == ("it takes 1 to 64 rows",)
    assert facts.most_rows == 64
    assert read(honest.free).lengths == {"dim_2": (3, None), "dim_3": (3, None)}


def test_a_copy_without_guards_gives_the_same_answers(honest: Honest, tmp_path: Path) -> None:
    import torch

    from models.files.torch_export import rewritten

    rewritten(honest.pt2, tmp_path / "copy.pt2")
    assert read(tmp_path / "copy.pt2").inputs == read(honest.pt2).inputs
    given = (torch.randint(0, TABLE, (3, 7)), torch.rand(3, 7))
    first, second = (torch.export.load(path) for path in (honest.pt2, tmp_path / "copy.pt2"))
    assert first._guards_code
    assert not second._guards_code
    for name, value in first.module()(*given).items():
        assert torch.equal(second.module()(*given)[name], value)


@pytest.mark.parametrize("name", ["onnx", "external"])
def test_onnx(honest: Honest, name: str) -> None:
    import onnxruntime

    path = honest.all[name]
    facts, session = read(path), onnxruntime.InferenceSession(path)
    for side, said in (("inputs", session.get_inputs()), ("outputs", session.get_outputs())):
        types = {"tensor(int64)": "int64", "tensor(float)": "float32"}
        assert sizes(facts, side) == {
            one.name: (types[one.type], tuple(size if isinstance(size, int) else None for size in one.shape))
            for one in said
        }
    assert [one.shape for one in facts.inputs] == [(BATCH, "length"), (BATCH, 8)]
    assert facts.inputs[0].values == Integers(0, TABLE - 1)
    assert facts.parameters == TABLE * 8 + 16 * 4 + 1
    assert facts.versions["opset"] == "18"


def test_the_hash_covers_every_file(honest: Honest) -> None:
    assert read(honest.onnx).sha256 == hashlib.sha256(honest.onnx.read_bytes()).hexdigest()
    weights = honest.external.with_name("weights.bin")
    before, content = read(honest.external), weights.read_bytes()
    assert before.size_bytes == honest.external.stat().st_size + weights.stat().st_size
    try:
        weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        assert read(honest.external).sha256 != before.sha256
    finally:
        weights.write_bytes(content)


@pytest.mark.parametrize("name", Honest.__dataclass_fields__)
def test_the_facts_go_through_json(honest: Honest, name: str) -> None:
    facts = read(honest.all[name])
    assert facts_of(json.loads(json.dumps(plain(facts)))) == facts


def test_no_framework_is_needed(honest: Honest) -> None:
    program = "import sys, pathlib, models.files.kinds as one; [one.read(pathlib.Path(path)) for path in sys.argv[1:]]"
    heavy = ["keras", "onnx", "tensorflow", "torch", "h5py", "numpy"]
    command = [sys.executable, "-c", f"{program}; print([name for name in {heavy} if name in sys.modules])"]
    paths = map(str, honest.all.values())
    assert subprocess.run([*command, *paths], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_a_wrong_suffix_is_said(honest: Honest, tmp_path: Path) -> None:
    named = tmp_path / "model.onnx"
    named.write_bytes(honest.keras.read_bytes())
    facts = read(named)
    assert facts.kind == "keras"
    assert facts.warnings == ("its name ends in '.onnx' and its content is of the kind keras, which has .keras",)


def test_a_fixed_batch_is_said(tmp_path: Path) -> None:
    import keras

    given = keras.Input((6,), batch_size=2)
    keras.Model(given, keras.layers.Dense(3)(given)).save(tmp_path / "fixed.keras")
    facts = read(tmp_path / "fixed.keras")
    assert (facts.batch, facts.inputs[0].shape, facts.outputs[0].shape) == (2, (2, 6), (2, 3))


def test_arguments_in_mappings_are_named_by_their_keys(tmp_path: Path) -> None:
    import torch

    class Nested(torch.nn.Module):
        def forward(self, words: dict[str, torch.Tensor], *, scale: torch.Tensor) -> torch.Tensor:
            return words["left"] * scale + words["right"]

    given = {"right": torch.ones(2, 3), "left": torch.ones(2, 3)}
    program = torch.export.export(Nested(), (given,), {"scale": torch.ones(3)})
    torch.export.save(program, tmp_path / "nested.pt2")
    facts = read(tmp_path / "nested.pt2")
    assert {one.name: one.shape for one in facts.inputs} == {"left": (2, 3), "right": (2, 3), "scale": (3,)}
    assert facts.batch == 2


def test_sizes_that_depend_on_values_are_no_batch(tmp_path: Path) -> None:
    import torch

    class Found(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.nonzero()

    torch.export.save(torch.export.export(Found(), (torch.ones(4, 3),)), tmp_path / "found.pt2")
    (found,) = read(tmp_path / "found.pt2").outputs
    assert found.shape[1] == 2
    assert found.shape[0] not in (BATCH, 4)


@pytest.mark.parametrize("own", [False, True])
def test_how_a_model_was_trained_does_not_matter(tmp_path: Path, own: bool) -> None:
    import keras

    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4)])
    model.compile("adam", loss=(lambda truth, given: truth - given) if own else "mse")
    model.save(tmp_path / "trained.keras")
    facts = read(tmp_path / "trained.keras")
    assert facts.code == ()
    assert facts.parameters == 16
    assert facts.warnings == (
        ("how it was trained is not Keras's own (a loss, metric or optimizer): left out",) if own else ()
    )


def test_how_a_part_of_a_model_was_trained_is_kerass_own(tmp_path: Path) -> None:
    import keras

    part = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4)])
    part.compile("adam", loss=keras.losses.binary_crossentropy, metrics=[keras.metrics.MeanSquaredError()])
    keras.Sequential([keras.Input((3,)), part, keras.layers.Dense(2)]).save(tmp_path / "whole.keras")
    config = json.loads(zipfile.ZipFile(tmp_path / "whole.keras").read("config.json"))
    assert "compile_config" in config["config"]["layers"][1]
    assert read(tmp_path / "whole.keras").code == ()


def test_networks_that_keras_offers_are_its_own(tmp_path: Path) -> None:
    """ConvNeXt has a layer that lies outside of keras.layers."""
    import keras

    model = keras.applications.ConvNeXtTiny(weights=None, input_shape=(32, 32, 3), classes=2)
    model.save(tmp_path / "network.keras")
    facts = read(tmp_path / "network.keras")
    assert facts.parameters == model.count_params()
    assert facts.operators["LayerScale"] == 18


def test_a_separable_layer_has_fewer_numbers_than_filters_times_its_kernel(tmp_path: Path) -> None:
    import keras

    layers = keras.layers
    given = keras.Input((1000, 1))
    hidden = layers.GlobalAveragePooling1D()(layers.SeparableConv1D(64, 16)(given))
    keras.Model(given, layers.Dense(4)(hidden)).save(tmp_path / "separable.keras")
    assert read(tmp_path / "separable.keras").parameters == 16 + 64 + 64 + 64 * 4 + 4
