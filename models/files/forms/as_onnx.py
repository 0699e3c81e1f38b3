"""Makes the ``onnx`` form of a user's file: a model proto with the spec's names."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from models.model import NotThisForm

if TYPE_CHECKING:
    import onnx

    from models.files.model import FileModel

OPSET = 18
LAST_WORDS = 300


def of_file(model: FileModel) -> onnx.ModelProto:
    """Return an ``.onnx`` file with its weights. Old files list them among the inputs, too, which the spec does not."""
    import onnx

    proto = onnx.load(model.path)
    inputs = {tensor.name for tensor in model.spec.inputs}
    weights = [one for one in proto.graph.input if one.name not in inputs]
    for one in weights:
        proto.graph.input.remove(one)
    shapes = {tensor.name: tensor for tensor in model.spec.outputs}
    for value in proto.graph.output:
        if not value.type.tensor_type.HasField("shape"):
            kind = value.type.tensor_type.elem_type
            value.CopyFrom(onnx.helper.make_tensor_value_info(value.name, kind, shapes[value.name].shape))
    return proto


def of_saved_model(model: FileModel) -> onnx.ModelProto:
    """Convert a SavedModel by tf2onnx's command, which keeps the signature's names.

    Its Python functions make inputs of captured constants. Raises NotThisForm with the converter's last words.
    """
    import onnx

    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch, "model.onnx")
        words = ["--saved-model", str(model.path), "--output", str(out), "--opset", str(OPSET)]
        words += ["--signature_def", model.about()["signature"], "--tag", "serve"]
        command = [sys.executable, "-P", "-m", "tf2onnx.convert", *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0 or not out.exists():
            raise NotThisForm(f"tf2onnx failed: {done.stderr.strip()[-LAST_WORDS:]}")
        proto = onnx.load(out)
    return _renamed(proto, model)


def _renamed(proto: onnx.ModelProto, model: FileModel) -> onnx.ModelProto:
    """Give the inputs and outputs the spec's names, where the converter has added to them: ``image:0``."""
    names = {tensor.name for tensor in (*model.spec.inputs, *model.spec.outputs)}
    for value in (*proto.graph.input, *proto.graph.output):
        plain = value.name.partition(":")[0]
        if value.name in names or plain not in names:
            continue
        for node in proto.graph.node:
            for side in (node.input, node.output):
                side[:] = [plain if one == value.name else one for one in side]
        value.name = plain
    return proto
