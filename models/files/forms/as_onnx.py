"""Makes the ``onnx`` form of a user's file: a model proto with the spec's names."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from models.files.forms.as_keras import exported
from models.model import NotThisForm
from models.spec import BATCH

if TYPE_CHECKING:
    import onnx

    from models.files.model import FileModel
    from models.spec import ModelSpec

OPSET = 18  # the newest that tf2onnx 1.17 converts to
SIGNATURE = "serving_default"  # of a SavedModel that Keras exports
WEIGHTS_APART = 4
"""The first version of the format in which weights need not be inputs."""
LAST_WORDS = 2_000


def of_file(model: FileModel) -> onnx.ModelProto:
    """Return an ``.onnx`` file with its weights. Old files list them among the inputs, too, which the spec does not."""
    import onnx

    proto = onnx.load(model.path)
    inputs = {tensor.name for tensor in model.spec.inputs}
    weights = [one for one in proto.graph.input if one.name not in inputs]
    for one in weights:
        proto.graph.input.remove(one)
    proto.ir_version = max(proto.ir_version, WEIGHTS_APART)
    shapes = {tensor.name: tensor for tensor in model.spec.outputs}
    for value in proto.graph.output:
        if not value.type.tensor_type.HasField("shape"):
            kind = value.type.tensor_type.elem_type
            value.CopyFrom(onnx.helper.make_tensor_value_info(value.name, kind, shapes[value.name].shape))
    return proto


def write_free(model: FileModel, place: Path, batch: int) -> Path:
    """Write an ``.onnx`` file of a model that takes ``batch`` rows, which says that it takes any number."""
    import onnx

    proto = onnx.load(model.path)
    names = {tensor.name for tensor in (*model.spec.inputs, *model.spec.outputs)}
    for value in (*proto.graph.input, *proto.graph.output):
        sizes = value.type.tensor_type.shape.dim
        if value.name in names and sizes and sizes[0].dim_value == batch:
            sizes[0].dim_param = BATCH
    proto.graph.ClearField("value_info")
    onnx.save(proto, place)
    return place


def of_saved_model(model: FileModel) -> onnx.ModelProto:
    """Convert a SavedModel. Raises NotThisForm."""
    return converted(model.path, model.about()["signature"], model.spec)


def of_keras(model: FileModel) -> onnx.ModelProto:
    """Convert a ``.keras`` file by the SavedModel that Keras exports. Raises NotThisForm."""
    return converted(exported(model), SIGNATURE, model.spec)


def converted(folder: Path, signature: str, spec: ModelSpec) -> onnx.ModelProto:
    """Convert a SavedModel by tf2onnx's command, which keeps the signature's names.

    Its Python functions make inputs of captured constants. Raises NotThisForm with the converter's last words.
    """
    import onnx

    if find_spec("tf2onnx") is None:
        raise ModuleNotFoundError("tf2onnx is not installed", name="tf2onnx")
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch, "model.onnx")
        words = ["--saved-model", str(folder), "--output", str(out), "--opset", str(OPSET)]
        words += ["--signature_def", signature, "--tag", "serve"]
        command = [sys.executable, "-P", "-m", "tf2onnx.convert", *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0 or not out.exists():
            *_, last = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            raise NotThisForm(f"tf2onnx failed: {last}\n{done.stderr[-LAST_WORDS:]}")
        proto = onnx.load(out)
    return _renamed(proto, spec)


def _renamed(proto: onnx.ModelProto, spec: ModelSpec) -> onnx.ModelProto:
    """Give the inputs and outputs the spec's names, where the converter has added to them: ``image:0``."""
    names = {tensor.name for tensor in (*spec.inputs, *spec.outputs)}
    for value in (*proto.graph.input, *proto.graph.output):
        plain = value.name.partition(":")[0]
        if value.name in names or plain not in names:
            continue
        for node in proto.graph.node:
            for side in (node.input, node.output):
                side[:] = [plain if one == value.name else one for one in side]
        value.name = plain
    return proto
