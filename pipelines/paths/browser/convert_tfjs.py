"""Converts a SavedModel to a TensorFlow.js graph model.

``convert_tfjs.py PACKAGE SAVED_MODEL FOLDER REFUSED [float16]`` runs in a process of its own, because of the way it
imports the converter. ``PACKAGE`` is the folder of the package tensorflowjs. Its dependencies pin an old TensorFlow
and bring JAX; the one module that is needed here works with the TensorFlow that is installed, and imports two
libraries that serve only models which are not converted here.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

UNUSED = ("tensorflow_decision_forests", "tensorflow_hub")


def main(package: str, saved_model: str, folder: str, refused: str, weights: str = "float32") -> None:
    """Write ``model.json`` and its weights into ``folder``; the kernels in float16 if ``weights`` says so.

    Operators that TensorFlow.js has not are written into the file ``refused``; the converter then raises.
    """
    # Packages without their own imports of every other converter.
    for name, place in (("tensorflowjs", package), ("tensorflowjs.converters", f"{package}/converters")):
        module = ModuleType(name)
        module.__path__ = [place]
        sys.modules[name] = module
    sys.modules |= {name: ModuleType(name) for name in UNUSED}
    converter: Any = importlib.import_module("tensorflowjs.converters.tf_saved_model_conversion_v2")
    validate = converter.validate

    def noted(*arguments: Any) -> set[str]:
        found: set[str] = validate(*arguments)
        if found:
            Path(refused).write_text(", ".join(sorted(found)))
        return found

    write = converter.write_weights.write_weights

    def written(groups: Any, *arguments: Any, quantization_dtype_map: Any = None, **more: Any) -> Any:
        if quantization_dtype_map:
            # The scale and the offset of a channel stay in float32: they are few, and mnist_cnn keeps 71 dB of the
            # signal instead of 59.
            kernels = [one["name"] for group in groups for one in group if one["data"].ndim > 1]
            quantization_dtype_map = dict.fromkeys(quantization_dtype_map, kernels)
        return write(groups, *arguments, quantization_dtype_map=quantization_dtype_map, **more)

    converter.validate = noted
    converter.write_weights.write_weights = written
    converter.convert_tf_saved_model(
        saved_model,
        folder,
        signature_def="serving_default",
        quantization_dtype_map={"float16": "*"} if weights == "float16" else None,
    )
    file = Path(folder, "model.json")
    # Attributes are a map of protobuf, whose order changes from one run to the next.
    file.write_text(json.dumps(json.loads(file.read_text()), sort_keys=True))


if __name__ == "__main__":
    main(*sys.argv[1:])
