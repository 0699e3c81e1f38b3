"""Reads a ``.keras`` file: an archive with the configuration, and the weights in an HDF5 file."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from models.files import FileFacts, RefusedFile
from models.files.archives import opened_zip
from models.files.contents import sha256_of
from models.files.inside.hdf5 import arrays_in
from models.files.inside.jsons import MOST_BYTES, mapping, parsed
from models.files.inside.keras_config import (
    TRAINING,
    TRAINING_FUNCTIONS,
    demanded,
    layers_named,
    outside,
    trained_inside,
)
from models.files.inside.keras_signature import inputs_of, outputs_of
from models.files.shapes import fixed_batch, values_of

CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
MEMBERS, ASSETS = (CONFIG, METADATA, WEIGHTS), "assets/"
PACKED = 2
"""Layers in int4 keep two numbers in one element."""


def read(path: Path) -> FileFacts:
    """Read the signature, the layers and the sizes of a model. Raises RefusedFile."""
    with opened_zip(path) as archive:
        if strange := [name for name in archive.members if name not in MEMBERS and not name.startswith(ASSETS)]:
            raise RefusedFile(f"it holds {strange[0]!r}, which Keras does not write")
        config = mapping(parsed(archive.read(CONFIG, MOST_BYTES), CONFIG), CONFIG)
        metadata = mapping(parsed(archive.read(METADATA, MOST_BYTES), METADATA), METADATA)
        arrays = arrays_in(archive.view(WEIGHTS), WEIGHTS)
    within = (found for part in trained_inside(config) for found in outside(part, TRAINING, TRAINING_FUNCTIONS))
    code = tuple(dict.fromkeys((*outside(config), *within)))
    # Training's own state is no part of the network.
    kept = [array for array in arrays if not array.path.startswith("optimizer")]
    have, most = sum(array.count for array in kept), max((array.count for array in kept), default=0)
    needs = list(demanded(config))
    for layer, count in needs:
        if count > PACKED * most:
            raise RefusedFile(
                f"the layer {layer!r} needs {count:,} numbers at least, and no array in {WEIGHTS} has more than "
                f"{most:,}: its configuration and its weights are not of one model"
            )
    if sum(count for _, count in needs) > PACKED * have:
        raise RefusedFile(f"its layers need more numbers than the {have:,} in {WEIGHTS}: they are not of one model")
    inputs, outputs = inputs_of(config), outputs_of(config)
    training = [*outside(config.get("compile_config") or {}, TRAINING)]
    return FileFacts(
        kind="keras",
        sha256=sha256_of(path),
        size_bytes=path.stat().st_size,
        inputs=tuple(inputs),
        outputs=tuple(outputs),
        batch=fixed_batch(inputs),
        guessed=tuple(one.name for one in inputs if one.values == values_of(one.dtype)),
        operators=Counter(layers_named(config)),
        versions={"keras": str(metadata.get("keras_version", "unknown"))},
        parameters=have,
        parameter_bytes=sum(array.count * array.itemsize for array in kept),
        code=code,
        warnings=("how it was trained is not Keras's own (a loss, metric or optimizer): left out",) if training else (),
    )
