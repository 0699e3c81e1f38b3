"""Makes the ``keras`` form of a user's file: a model that maps {input name: tensor} to {output name: tensor}."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

    from models.files.model import FileModel

TEXTS = {"str": "string"}
"""Maps a spec's type of texts to that of Keras and TensorFlow."""


def of_file(model: FileModel) -> keras.Model:
    """Return a ``.keras`` file's model. Code in the file was refused, or allowed, when it was read."""
    import keras

    loaded = load(model)
    inputs = doors(model)
    # A file keeps whether its inputs are one tensor, a list or a mapping; their names are those of the layers.
    return keras.Model(inputs, named(model, loaded(arranged(model, loaded, inputs), training=False)))


def load(model: FileModel) -> Any:
    """Return the model as Keras loads it, on whatever backend Keras has."""
    import keras

    return keras.saving.load_model(model.path, compile=False, safe_mode=not model.about()["allow_code"])


def doors(model: FileModel) -> dict[str, Any]:
    """Return a symbolic input for each of the spec's."""
    import keras

    return {
        tensor.name: keras.Input(
            batch_shape=tensor.sizes, dtype=TEXTS.get(tensor.dtype, tensor.dtype), name=tensor.name
        )
        for tensor in model.spec.inputs
    }


def arranged(model: FileModel, loaded: Any, inputs: dict[str, Any]) -> Any:
    """Return inputs by name as the loaded model takes them: one tensor, a list or a mapping."""
    import keras

    order = iter(model.spec.inputs)
    struct = getattr(loaded, "input", None) if hasattr(loaded, "_inputs_struct") else None
    if struct is None:
        return inputs[next(order).name]
    if isinstance(struct, dict):
        return {key: inputs[key] for key in struct}
    return keras.tree.map_structure(lambda _: inputs[next(order).name], struct)


def named(model: FileModel, outputs: Any) -> dict[str, Any]:
    """Return outputs by the spec's names: those of a mapping are its keys, others come in order."""
    import keras

    if isinstance(outputs, dict):
        return {tensor.name: outputs[tensor.name] for tensor in model.spec.outputs}
    return {tensor.name: one for tensor, one in zip(model.spec.outputs, keras.tree.flatten(outputs), strict=True)}


def of_saved_model(model: FileModel) -> keras.Model:
    """Return a model whose one layer calls the serving signature of a SavedModel."""
    import keras
    import tensorflow as tf

    about = model.about()
    signature_name = about["signature"]

    class SavedSignature(keras.Layer):
        """Calls a function of a SavedModel, whose variables belong to this layer when it is exported."""

        def __init__(self) -> None:
            super().__init__(name="saved_model", autocast=False)
            self.loaded = tf.saved_model.load(str(model.path), tags=about.get("tags"))
            self.signature = self.loaded.signatures[signature_name]

        def call(self, inputs: dict[str, Any]) -> Any:
            return self.signature(**inputs)

        def compute_output_spec(self, inputs: Any) -> dict[str, keras.KerasTensor]:  # noqa: ARG002
            found = self.signature.structured_outputs
            return {name: keras.KerasTensor(tuple(one.shape), one.dtype.name) for name, one in found.items()}

    inputs = doors(model)
    return keras.Model(inputs, named(model, SavedSignature()(inputs)))


def exported(model: FileModel) -> Path:
    """Return a SavedModel that Keras exports, in the temporary folder of this process."""
    place = Path(tempfile.mkdtemp(), "saved_model")
    of_file(model).export(str(place), verbose=False)
    return place


def folder(model: FileModel) -> Path:
    """Return the folder of a SavedModel, for a converter that reads it by itself."""
    return model.path
