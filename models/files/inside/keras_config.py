"""Walks the configuration of a Keras model: its objects, what of it is not Keras's own, and the sizes it asks for."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

MODULES = re.compile(
    r"keras(\.(layers|models|initializers|regularizers|constraints|activations|ops|random|dtype_policies|quantizers)"
    r"|\.src\.(applications|layers|models|ops|random|dtype_policies|quantizers)(\.\w+)*)?"
)
"""The modules whose objects compute. Others of Keras fetch files, for example."""
TRAINING = re.compile(r"keras(\.\w+)*")
FUNCTIONS = re.compile(r"keras\.(activations|initializers|regularizers|constraints|ops)")
TRAINING_FUNCTIONS = re.compile(rf"{FUNCTIONS.pattern}|keras\.(losses|metrics)|builtins")
"""Under ``builtins``, Keras writes losses and metrics of its own; it looks among these, and nowhere else."""
PLAIN = ("__keras_tensor__", "__tensor__", "__numpy__", "__bytes__", "__ellipsis__", "__slice__")
OUTSIDE = {
    "Lambda": "runs Python code that lies in the file",
    "__lambda__": "runs Python code that lies in the file",
    "TorchModuleWrapper": "unpickles a PyTorch module",
    "TFSMLayer": "loads a SavedModel from a path",
    "JaxLayer": "runs a Python function",
    "FlaxLayer": "runs a Python function",
    "__typespec__": "names a class to look up",
}
NOT_LAYERS = ("keras.initializers", "keras.regularizers", "keras.constraints", "keras.dtype_policies", "keras.random")
FROM_PATHS = ("vocabulary", "idf_weights")
"""Settings that are lists in a saved file; a text is a path or an address that Keras reads."""


def objects(config: Any) -> Iterator[dict[str, Any]]:
    """Yield every object that a configuration describes, however deep, but not how training was set up."""
    waiting = [config]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if "class_name" in value:
                yield value
            waiting += [part for key, part in value.items() if key != "compile_config"]
        elif isinstance(value, list):
            waiting += value


def trained_inside(config: Any) -> Iterator[Any]:
    """Yield how the parts of a model were to be trained: Keras sets that up, where it leaves out the whole model's."""
    waiting = [config]
    while waiting:
        within = waiting.pop()
        for one in objects(within):
            part = one.get("compile_config")
            if isinstance(part, dict) and one is not config:
                yield part
                waiting.append(part)


def outside(config: Any, modules: re.Pattern[str] = MODULES, functions: re.Pattern[str] = FUNCTIONS) -> Iterator[str]:
    """Say of each object what it does besides computing, and which are not of Keras's own ``modules``."""
    for one in objects(config):
        name, module, settings = str(one["class_name"]), str(one.get("module") or ""), one.get("config")
        called = settings.get("name", name) if isinstance(settings, dict) else name
        registered = str(one.get("registered_name") or "")
        if name in OUTSIDE:
            yield f"the layer {called!r} ({name}) {OUTSIDE[name]}"
        elif name == "function":
            if not functions.fullmatch(module) or not str(settings).isidentifier():
                yield f"it calls the function {module}.{settings}, which is not Keras's own"
        elif name not in PLAIN and not (modules.fullmatch(module) and name.isidentifier() and ">" not in registered):
            yield f"the layer {called!r} is of the class {registered or f'{module}.{name}'}, which is not Keras's own"
        for key in FROM_PATHS:
            if isinstance(settings, dict) and isinstance(settings.get(key), str):
                yield f"the layer {called!r} reads its {key} from {settings[key]!r}"


def layers_named(config: Any) -> Iterator[str]:
    """Yield the class of each layer, and the activations that layers compute besides."""
    for one in objects(config):
        module, name = str(one.get("module") or one.get("registered_name") or ""), str(one["class_name"])
        if module and not module.startswith(NOT_LAYERS) and name not in ("function", "DTypePolicy"):
            yield name
            settings = one.get("config")
            found = settings.get("activation") if isinstance(settings, dict) else None
            if isinstance(found, str) and found != "linear":
                yield found


def demanded(config: Any) -> Iterator[tuple[str, int]]:
    """Yield, of each layer, its name and how many numbers it has to have at least."""
    for one in objects(config):
        settings = one.get("config")
        if not isinstance(settings, dict):
            continue
        # The kernel of a separable layer has as many numbers for each channel that comes in, not for each filter.
        kernel = [1] if "depth_multiplier" in settings else settings.get("kernel_size") or [1]
        units = whole(settings.get("units"))
        for count in (
            units * (units if "recurrent_activation" in settings or "recurrent_initializer" in settings else 1),
            whole(settings.get("filters")) * math.prod(map(whole, kernel if isinstance(kernel, list) else [kernel])),
            whole(settings.get("input_dim")) * whole(settings.get("output_dim")),
            whole(settings.get("num_heads", settings.get("num_query_heads"))) * whole(settings.get("key_dim")),
        ):
            if count:
                yield str(settings.get("name", one["class_name"])), count


def whole(value: Any) -> int:
    """Return a setting as a whole number; 0 for anything that is none."""
    return max(0, int(value)) if isinstance(value, int | float) and not isinstance(value, bool) else 0
