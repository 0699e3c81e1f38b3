"""The handler that TorchServe's workers run; a copy of this file is inside every model archive.

It needs torch, numpy, safetensors and Pillow, and of this project ``serving/wire/pictures.py`` and
``serving/wire/compiled.py``, of which the archive has copies, too. What it serves is in the archive's
``model-config.yaml``, section ``slipway`` (see :class:`Settings`).

Requests, by content type over REST, or by the key of the input over gRPC (which has no content type):

============================  =====  ====================================  ===============================
REST content type             gRPC   request                               answer
============================  =====  ====================================  ===============================
``application/json``          json   ``{"inputs": {NAME: nested list}}``   ``{"outputs": {NAME: ...}}``
``application/octet-stream``  data   safetensors file of the inputs        safetensors file of the outputs
``image/png, image/jpeg``     image  one encoded picture                   ``{LABEL: probability}``, top 5
============================  =====  ====================================  ===============================

Without a content type (``curl -T digit.png``) a body that begins as a picture or as a JSON object is one.
Dimension 0 is the batch. The requests that TorchServe gathered into one batch are run together. A bad
one is answered with a 4xx status and ``{"code", "type", "message"}``; its neighbours are not touched.
TorchServe 0.12 has no gRPC status for a single request of a batch: there, the bad one gets OK and the
same JSON; a request that is alone in its batch gets INVALID_ARGUMENT.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import reprlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import safetensors.numpy
import torch


def _module(name: str) -> ModuleType:
    """Import a module of ``serving/wire``, or its copy in an archive, whose name none of a server's own modules has."""
    copy = f"slipway_{name}"
    return importlib.import_module(copy if importlib.util.find_spec(copy) else f"serving.wire.{name}")


pictures, compiled = _module("pictures"), _module("compiled")

Arrays = dict[str, np.ndarray]
Program = Callable[..., Any]

TOP = 5
VERSION_HEADER = "x-model-version"  # in containers, the number of the release
MAX_PIXELS = 25_000_000  # a decoded picture of 75 MB; more is a bomb or a mistake
# Of a JSON body, lists counted twice: 16 pictures of 224x224x3 are 4,021,282. Each takes 40 bytes or more once parsed.
MAX_VALUES = 5_000_000
_BEGINNINGS = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg", b"{": "application/json"}
_BODY_KEYS = {"data": "application/octet-stream", "json": "application/json", "image": "image/png"}


class RequestError(Exception):
    """A request that the client must change; ``status`` is its HTTP code.

    Not 413, which TorchServe takes for a worker without memory: it answers 507, and gateways ask again.
    """

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Tensor:
    name: str
    dtype: str
    shape: tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class Settings:
    """The section ``slipway`` of ``model-config.yaml``.

    ``format`` is ``export``, ``aotinductor`` or ``torchscript``, ``program`` the file's name in the archive.
    ``preprocessing`` is a rule of :mod:`serving.wire.pictures`; None for a model that takes no picture.
    ``max_batch_bytes``: of all bodies of a batch.
    """

    format: str
    program: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    labels: tuple[str, ...]
    preprocessing: Mapping[str, Any] | None
    max_batch_bytes: int = 128 * 2**20

    @classmethod
    def of(cls, section: Mapping[str, Any]) -> Settings:
        tensors = {
            key: tuple(Tensor(entry["name"], entry["dtype"], tuple(entry["shape"])) for entry in section[key])
            for key in ("inputs", "outputs")
        }
        return cls(
            format=section["format"],
            program=section["program"],
            labels=tuple(section["labels"]),
            preprocessing=section["preprocessing"],
            max_batch_bytes=section.get("max_batch_bytes", 128 * 2**20),
            **tensors,
        )


def load_program(file: Path, settings: Settings) -> Program:
    """Return the network: tensors in the signature's order in, a tensor or a sequence of tensors out.

    Raises an error that tells for which processor a compiled one is, if it is another.
    """
    if settings.format == "aotinductor":
        program: Program = compiled.load_package(file)
        return program
    if settings.format == "export":
        # Shapes are checked here, with better messages than the program's own guards have.
        return torch.export.load(file).module(check_guards=False)
    return torch.jit.load(file, map_location="cpu").eval()


def run(program: Program, inputs: Arrays, settings: Settings) -> Arrays:
    """One call of the program. Arrays in and out have the signature's names, dimension 0 the batch."""
    tensors = [torch.from_numpy(np.ascontiguousarray(inputs[tensor.name])) for tensor in settings.inputs]
    with torch.inference_mode():
        result = program(*tensors)
    results = [result] if isinstance(result, torch.Tensor) else list(result)
    return {tensor.name: value.numpy() for tensor, value in zip(settings.outputs, results, strict=True)}


# -- Reading a request, writing its answer -------------------------------------------------------


def read_json(body: Any, settings: Settings) -> Arrays:
    """Return the arrays of ``{"inputs": {NAME: nested list}}``; numbers take the dtype of the signature."""
    is_text = isinstance(body, bytes | bytearray)
    if is_text and body.count(b",") + 2 * (body.count(b"[") + body.count(b"{")) > MAX_VALUES:
        raise RequestError(f"JSON may have {MAX_VALUES} values, a list counts as two. Received: more")
    try:
        # TorchServe's worker has decoded the body already, unless decode_input_request is off.
        document = json.loads(body) if is_text else body
    except (ValueError, RecursionError) as error:  # also what is no UTF-8, or nested too deep
        raise RequestError(f"the body is no JSON: {error}") from error
    inputs = document.get("inputs") if isinstance(document, dict) else None
    if not isinstance(inputs, dict):
        raise RequestError(f'the body must be {{"inputs": {{NAME: nested list}}}}. Received: {_shorten(document)}')
    declared = {tensor.name: tensor.dtype for tensor in settings.inputs}
    arrays = {name: _numbers(name, value, declared.get(name)) for name, value in inputs.items()}
    infinities = sum(np.count_nonzero(np.isinf(array)) for array in arrays.values() if array.dtype.kind == "f")
    if is_text and infinities > body.count(b"Infinity"):
        raise RequestError("a number is larger than any float64")
    return arrays


def _numbers(name: str, value: Any, dtype: str | None) -> np.ndarray:
    if isinstance(value, list) and not _holds_numbers(value):
        raise RequestError(f"input {name!r} is no array of numbers. Received: {_shorten(value)}")
    try:
        array = np.asarray(value)
        if isinstance(value, list) and array.dtype.kind == "O":  # integers of over 64 bits
            array = array.astype("float64")
    except (ValueError, OverflowError) as error:  # rows of unequal length
        raise RequestError(f"input {name!r} is no array of numbers: {error}") from error
    if dtype is None or array.dtype.kind not in "biuf":
        return array
    wanted = np.dtype(dtype)
    if wanted.kind in "iu" and array.dtype.kind in "iu":
        limits = np.iinfo(wanted)
        fits = not array.size or (int(array.min()) >= limits.min and int(array.max()) <= limits.max)
    elif not np.can_cast(array.dtype, wanted, "same_kind"):
        return array
    else:
        fits = True
    with np.errstate(over="ignore"):
        numbers = array.astype(wanted)
    if wanted.kind == "f" and array.dtype.kind == "f":
        fits = not (np.isinf(numbers) & np.isfinite(array)).any()
    if not fits:
        raise RequestError(f"input {name!r} has a number that {dtype} cannot hold")
    return numbers


def _holds_numbers(nested: list[Any]) -> bool:
    """Tell if there are only numbers, in lists: beside one long text numpy makes every value as long as that."""
    level = nested
    while (kinds := set(map(type, level))) == {list}:
        level = list(chain.from_iterable(level))
    return kinds <= {int, float, bool}


def read_tensors(body: Any, settings: Settings) -> Arrays:  # noqa: ARG001 - the signature of Kind.read
    """Return the arrays of a safetensors file."""
    try:
        return safetensors.numpy.load(bytes(body))
    except (safetensors.SafetensorError, KeyError, TypeError, ValueError) as error:  # also a dtype that numpy lacks
        raise RequestError(f"the body is no safetensors file of numpy's types: {error}") from error


def read_picture(body: Any, settings: Settings) -> Arrays:
    """One picture as a batch of one, as the model's preprocessing says."""
    if settings.preprocessing is None:
        raise RequestError("this model takes no picture", 415)
    try:
        row = pictures.to_row(bytes(body), settings.preprocessing, max_pixels=MAX_PIXELS, formats=("PNG", "JPEG"))
    except pictures.Unfit as error:
        raise RequestError(f"the body must be {error}") from error
    except pictures.NotReadable as error:
        raise RequestError(f"the body is no PNG or JPEG picture: {error}") from error
    return {settings.inputs[0].name: row[np.newaxis].astype(settings.inputs[0].dtype)}


def write_json(outputs: Arrays, settings: Settings) -> bytes:  # noqa: ARG001
    return json.dumps({"outputs": {name: array.tolist() for name, array in outputs.items()}}).encode()


def write_tensors(outputs: Arrays, settings: Settings) -> bytes:  # noqa: ARG001
    return safetensors.numpy.save({name: np.ascontiguousarray(array) for name, array in outputs.items()})


def write_labels(outputs: Arrays, settings: Settings) -> bytes:
    """Return the probabilities (softmax of the first output) of the likeliest labels, likeliest first."""
    logits = outputs[settings.outputs[0].name][0].astype("float64")
    likelihoods = np.exp(logits - logits.max())
    probabilities = likelihoods / likelihoods.sum()
    likeliest = np.argsort(-probabilities, kind="stable")[:TOP]
    return json.dumps(
        {
            (settings.labels[index] if settings.labels else str(index)): float(probabilities[index])
            for index in likeliest
        }
    ).encode()


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of request: how its body is read, and how its answer is written."""

    read: Callable[[Any, Settings], Arrays]
    write: Callable[[Arrays, Settings], bytes]
    answer: str


_PICTURE = Kind(read_picture, write_labels, "application/json")
KINDS: dict[str, Kind] = {
    "application/json": Kind(read_json, write_json, "application/json"),
    "application/octet-stream": Kind(read_tensors, write_tensors, "application/octet-stream"),
    "image/png": _PICTURE,
    "image/jpeg": _PICTURE,
}


def kind_and_body(parameters: Mapping[str, Any], content_types: Mapping[str, str]) -> tuple[Kind, Any]:
    """Return the kind of a request, and its body, from TorchServe's parameters and their content types."""
    if len(parameters) != 1:
        raise RequestError(f"a request has one body. Received: {', '.join(sorted(parameters)) or 'none'}")
    ((key, body),) = parameters.items()
    content_type = content_types.get(key, "").split(";")[0].strip().lower() or _BODY_KEYS.get(key) or _guess(body)
    if content_type not in KINDS:
        raise RequestError(
            f"the content type must be one of {', '.join(KINDS)}. Received: {content_type or 'none'}", 415
        )
    return KINDS[content_type], body


def _guess(body: Any) -> str:
    """Guess the content type of a body without one by its first bytes; an empty text if they tell nothing."""
    begins = bytes(body[:64]).lstrip(b" \t\r\n") if isinstance(body, bytes | bytearray) else b""
    return next((kind for first, kind in _BEGINNINGS.items() if begins.startswith(first)), "")


def check(arrays: Arrays, settings: Settings) -> Arrays:
    """``arrays`` if they have the signature's names, dtypes and shapes, and the same number of rows."""
    expected = {tensor.name for tensor in settings.inputs}
    if set(arrays) != expected:
        raise RequestError(
            f"the inputs must be {', '.join(sorted(expected))}. Received: {', '.join(sorted(arrays)) or 'none'}"
        )
    for tensor in settings.inputs:
        array = arrays[tensor.name]
        fits = array.ndim == len(tensor.shape) and all(
            size in (None, received) for size, received in zip(tensor.shape, array.shape, strict=True)
        )
        if array.dtype != np.dtype(tensor.dtype) or not fits or array.shape[0] == 0:
            raise RequestError(
                f"input {tensor.name!r} must be {_describe(tensor.dtype, tensor.shape)} with one row or more. "
                f"Received: {_describe(str(array.dtype), array.shape)}"
            )
    if len({array.shape[0] for array in arrays.values()}) > 1:
        raise RequestError(
            f"the inputs must have the same number of rows. Received: { {n: len(a) for n, a in arrays.items()} }"
        )
    return arrays


def _describe(dtype: str, shape: Sequence[int | None]) -> str:
    return f"{dtype} of shape ({', '.join('N' if size is None else str(size) for size in shape)})"


def _shorten(value: Any) -> str:
    text = reprlib.repr(value)  # which goes neither deep nor far
    return text if len(text) <= 80 else f"{text[:77]}..."


# -- What TorchServe calls ----------------------------------------------------------------------


def answer(
    requests: Sequence[tuple[Mapping[str, Any], Mapping[str, str]]], program: Program, settings: Settings
) -> list[tuple[int, str, bytes]]:
    """Status, content type and body for each request (its parameters, their content types) of a batch."""
    answers: list[tuple[int, str, bytes]] = []
    runs: dict[tuple[tuple[int, ...], ...], list[tuple[int, Kind, Arrays]]] = {}
    room = settings.max_batch_bytes
    for index, (parameters, content_types) in enumerate(requests):
        try:
            kind, body = kind_and_body(parameters, content_types)
            room -= len(body) if isinstance(body, bytes | bytearray) else 0
            if room < 0:
                raise RequestError(f"the bodies of a batch may have {settings.max_batch_bytes} bytes; try again", 503)
            arrays = check(kind.read(body, settings), settings)
        except RequestError as error:
            refusal = {"code": error.status, "type": "RequestError", "message": str(error)}
            answers.append((error.status, "application/json", json.dumps(refusal).encode()))
            continue
        answers.append((200, kind.answer, b""))
        # Rows of unequal shapes, where the signature leaves another dimension free, cannot be one array.
        shapes = tuple(arrays[tensor.name].shape[1:] for tensor in settings.inputs)
        runs.setdefault(shapes, []).append((index, kind, arrays))
    for together in runs.values():
        names = [tensor.name for tensor in settings.inputs]
        joined = {name: np.concatenate([arrays[name] for _, _, arrays in together]) for name in names}
        outputs = run(program, joined, settings)
        start = 0
        for index, kind, arrays in together:
            stop = start + len(arrays[names[0]])
            rows = {name: array[start:stop] for name, array in outputs.items()}
            answers[index] = (200, kind.answer, kind.write(rows, settings))
            start = stop
    return answers


_loaded: dict[str, Any] = {}


def initialize(context: Any) -> None:
    """Load the program of this worker, once, and run it once, so that the first request is not the slow one."""
    settings = Settings.of(context.model_yaml_config["slipway"])
    program = load_program(Path(context.system_properties["model_dir"], settings.program), settings)
    ones = {
        tensor.name: np.ones([1 if size is None else size for size in tensor.shape], tensor.dtype)
        for tensor in settings.inputs
    }
    run(program, ones, settings)
    _loaded.update(program=program, settings=settings)
    # The worker prints two or more lines a request at level INFO, which the frontend parses with
    # regular expressions: a third of the CPU time of a tiny network.
    logging.getLogger().setLevel(logging.WARNING)
    # What is wrong with a request is in its answer; a stack for each one in the log is for nobody.
    logging.getLogger("ts.service").addFilter(lambda record: record.msg != "Prediction error")


def handle(data: list[dict[str, Any]] | None, context: Any) -> list[bytes]:
    """Answer TorchServe, which calls it with None when the worker starts, then with the requests of one batch."""
    if data is None:
        initialize(context)
        return []
    requests = [(parameters, _content_types(parameters, context, index)) for index, parameters in enumerate(data)]
    answers = answer(requests, _loaded["program"], _loaded["settings"])
    if len(answers) == 1 and answers[0][0] != 200:
        from ts.utils.util import PredictionException

        raise PredictionException(json.loads(answers[0][2])["message"], answers[0][0])
    for index, (status, content_type, _) in enumerate(answers):
        context.set_response_status(code=status, idx=index)
        context.set_response_content_type(index, content_type)
        context.set_response_header(index, VERSION_HEADER, str(context.manifest["model"]["modelVersion"]))
    return [body for _, _, body in answers]


def _content_types(parameters: Mapping[str, Any], context: Any, index: int) -> dict[str, str]:
    # A header of the request that has the name of a parameter takes its place in TorchServe's table.
    headers = {key: context.get_request_header(index, key) for key in parameters}
    return {key: header["content-type"] or "" for key, header in headers.items() if isinstance(header, dict)}
