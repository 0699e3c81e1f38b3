"""Takes foreign PyTorch networks through TorchScript, torch.export and ONNX, and compares every answer.

Several claims use it: ``run`` gives {network: {route: word and reason}}, and the deprecations that were met.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.claims.experiments.bench import ChildCall, Effort, Workbench
from pipelines.claims.experiments.deployment.foreign import FOREIGN
from pipelines.stages.worker import StageFailed

if TYPE_CHECKING:
    import torch

REQUIRES = ("torch", "onnx", "onnxscript", "onnxruntime", "openvino")
SOURCES = (
    "pipelines.claims.experiments.deployment.foreign",
    "pipelines.claims.experiments.deployment.deprecations",
)
ROUTES = ("jit.trace", "jit.script", "torch.export", "ONNX Runtime", "OpenVINO")
NETWORKS = {Effort.TINY: 2, Effort.QUICK: 5, Effort.FULL: len(FOREIGN)}
ROWS = (1, 2, 3, 6)
"""Batches that are compared. The example has two rows: torch.export takes a size of 1 for a constant."""
EXAMPLE_ROWS = 2
TOLERANCE = 1e-3
"""Largest difference of any output value, over the largest value: what is left of float32 is below a tenth of it."""
OPSET = 20
LONGEST_REASON = 200
PLACE = "Exception from "
"""Lines of OpenVINO that name a place in its source; the reason follows."""

Call = Callable[[Sequence["torch.Tensor"]], Sequence[Any]]


def run(bench: Workbench) -> dict[str, Any]:
    """Take the networks through every route, each network in a process of its own; a crash is the result of one."""
    words: dict[str, dict[str, dict[str, str]]] = {}
    warnings: list[str] = []
    for name in list(FOREIGN)[: NETWORKS[bench.effort]]:
        bench.tell(f"network {name}")
        job = ChildCall(
            f"{__name__}:take", {"name": name, "seed": bench.seed, "folder": str(bench.folder)}, timeout_s=180
        )
        try:
            value = bench.run(job).value
        except StageFailed as error:
            value = {"routes": dict.fromkeys(ROUTES, _failed(error)), "warnings": []}
        words[name] = value["routes"]
        warnings += [line for line in value["warnings"] if line not in warnings]
    return {"networks": words, "warnings": warnings}


def take(name: str, seed: int, folder: str) -> dict[str, Any]:
    """Take one network through every route: ``ok``, ``refused`` (no export), ``failed`` (no answer), silently wrong.

    Returns the words and reasons by route, and the deprecations that were met.
    """
    import onnxruntime
    import openvino
    import torch

    from pipelines.claims.experiments.deployment.deprecations import recorded
    from pipelines.claims.experiments.deployment.foreign import build

    del onnxruntime, openvino  # what is missing is missing here, and not one route's failure
    torch.set_num_threads(1)
    network = build(name, seed)
    inputs = [FOREIGN[name].inputs(rows) for rows in ROWS]
    with torch.no_grad():
        expected = [_listed(network(*one)) for one in inputs]
    place = Path(folder) / name
    place.mkdir(exist_ok=True)
    example = inputs[ROWS.index(EXAMPLE_ROWS)]
    with recorded() as met, torch.no_grad():
        routes = {
            "jit.trace": _try(lambda: torch.jit.trace(network, example), _jit(place / "traced.pt"), inputs, expected),
            "jit.script": _try(lambda: torch.jit.script(network), _jit(place / "scripted.pt"), inputs, expected),
            "torch.export": _try(lambda: _exported(network, example), _program(place / "m.pt2"), inputs, expected),
        }
        onnx = _Once(lambda: _onnx(network, example))
        routes |= {
            "ONNX Runtime": _try(onnx, _onnxruntime, inputs, expected),
            "OpenVINO": _try(onnx, _openvino, inputs, expected),
        }
    return {"routes": routes, "warnings": met}


class _Once:
    """Export once for two runtimes; a refusal is the same for both."""

    def __init__(self, export: Callable[[], Any]) -> None:
        self._export = export
        self._done: Any = None
        self._error: Exception | None = None

    def __call__(self) -> Any:
        if self._done is None and self._error is None:
            try:
                self._done = self._export()
            except Exception as error:  # noqa: BLE001 - raised below, at each call
                self._error = error
        if self._error is not None:
            raise self._error
        return self._done


def _try(
    export: Callable[[], Any],
    load: Callable[[Any], Call],
    inputs: Sequence[Sequence[torch.Tensor]],
    expected: Sequence[Sequence[torch.Tensor]],
) -> dict[str, str]:
    try:
        exported = export()
    except Exception as error:  # noqa: BLE001 - whatever an exporter raises is its refusal
        return {"word": "refused", "why": _first_line(error)}
    try:
        call = load(exported)
        received = [call(one) for one in inputs]
    except Exception as error:  # noqa: BLE001 - whatever a runtime raises is its failure
        return _failed(error)
    worst = max(_apart(one, other) for one, other in zip(expected, received, strict=True))
    if worst <= TOLERANCE:
        return {"word": "ok", "why": f"largest difference {worst:.1e}"}
    return {"word": "silently wrong", "why": f"no error, and answers differ by {worst:.3g} of the largest value"}


def _apart(expected: Sequence[torch.Tensor], received: Sequence[Any]) -> float:
    """Return the largest difference over the largest value; infinity for other shapes or another number of outputs."""
    import numpy as np

    if len(expected) != len(received):
        return float("inf")
    worst = 0.0
    for one, other in zip(expected, received, strict=True):
        right, got = one.numpy(), np.asarray(other)
        if right.shape != got.shape or not np.isfinite(got).all():
            return float("inf")
        worst = max(worst, float(np.abs(right - got).max() / max(np.abs(right).max(), 1e-6)))
    return worst


def _listed(outputs: Any) -> list[Any]:
    return list(outputs) if isinstance(outputs, tuple | list) else [outputs]


def _jit(file: Path) -> Callable[[Any], Call]:
    def load(module: Any) -> Call:
        import torch

        torch.jit.save(module, str(file))
        loaded = torch.jit.load(str(file))
        return lambda one: [value.numpy() for value in _listed(loaded(*one))]

    return load


def _dynamic(example: Sequence[torch.Tensor]) -> tuple[dict[int, Any], ...]:
    import torch

    batch = torch.export.Dim("batch", min=1)
    return tuple({0: batch} for _ in example)


def _exported(network: Any, example: tuple[torch.Tensor, ...]) -> Any:
    import torch

    return torch.export.export(network, example, dynamic_shapes=_dynamic(example))


def _program(file: Path) -> Callable[[Any], Call]:
    def load(program: Any) -> Call:
        import torch

        torch.export.save(program, str(file))
        loaded = torch.export.load(str(file)).module()
        return lambda one: [value.numpy() for value in _listed(loaded(*one))]

    return load


def _onnx(network: Any, example: tuple[torch.Tensor, ...]) -> bytes:
    import torch

    program = torch.onnx.export(
        network, example, dynamo=True, dynamic_shapes=_dynamic(example), opset_version=OPSET, verbose=False
    )
    return program.model_proto.SerializeToString()


def _onnxruntime(model: bytes) -> Call:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_inputs()]
    return lambda one: session.run(None, dict(zip(names, (value.numpy() for value in one), strict=True)))


def _openvino(model: bytes) -> Call:
    import openvino

    core = openvino.Core()
    exact = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    compiled = core.compile_model(core.read_model(model), "CPU", exact)

    def call(one: Sequence[torch.Tensor]) -> Sequence[Any]:
        found = compiled([value.numpy() for value in one])
        return [found[place] for place in range(len(compiled.outputs))]

    return call


def _failed(error: BaseException) -> dict[str, str]:
    return {"word": "failed", "why": _first_line(error)}


def _first_line(error: BaseException) -> str:
    """Return the first line of the error that all others were raised from."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line for line in str(error).splitlines() if line.strip() and not line.startswith(PLACE)]
    line = lines[0] if lines else ""
    return f"{type(error).__name__}: {line}"[:LONGEST_REASON]
