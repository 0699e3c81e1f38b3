"""Measures what slipway's way of opening an artifact adds to a bare call of its library; writes results/sessions.json.

    python benchmarks/sessions.py [--model mnist_cnn efficientnet_lite0] [--runs 6] [--seconds 5] [--workspace FOLDER]

For each library, a process opens the artifact in both ways: by its path's ``open``, and as the library's documentation
shows it, with the same settings. Both must give the same answers. Then they are called in turn, in random order, with
one row: for a millisecond each, or once. The figure of a way is the median of its CPU time for a call, and of its wall
time; that of a library is the ratio of both ways, as the median of several processes. One compute thread.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shlex
import statistics
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from pipelines.artifacts.workspace import Workspace
from pipelines.fairness.hardware import this_machine
from pipelines.paths import path_module, version_of
from pipelines.stages.answers import ANSWERS, Answers

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results" / "sessions.json"
TO_REACH = 1.03
BLOCK_S = 0.001  # short, so that other processes disturb few of the blocks
WARM_UP = 50
Arrays = dict[str, np.ndarray]
Call = Callable[[Arrays], Any]
"""Takes the inputs; returns the outputs as the library gives them, with arrays of numpy in it."""


def only(payload: Path, pattern: str) -> Path:
    """Return the one file of a payload that has this ending."""
    (found,) = payload.rglob(pattern)
    return found


def onnxruntime(payload: Path) -> Call:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(only(payload, "*.onnx"), options, providers=["CPUExecutionProvider"])
    return lambda arrays: session.run(None, arrays)


def openvino(payload: Path) -> Call:
    import openvino

    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1}
    compiled = openvino.Core().compile_model(only(payload, "*.xml"), "CPU", settings)
    return lambda arrays: list(compiled(arrays).values())


def litert(payload: Path) -> Call:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(only(payload, "*.tflite")), num_threads=1)
    runner = interpreter.get_signature_runner("serving_default")
    return lambda arrays: runner(**arrays)


def saved_model(payload: Path) -> Call:
    import tensorflow as tf

    loaded = tf.saved_model.load(payload / "1")
    signature = loaded.signatures["serving_default"]

    def call(arrays: Arrays) -> Any:
        found = signature(**{name: tf.constant(array) for name, array in arrays.items()})
        return {name: tensor.numpy() for name, tensor in found.items()}

    call.loaded = loaded  # type: ignore[attr-defined] - the signature does not keep its variables
    return call


def in_torch(load: Callable[[Path], Any], pattern: str) -> Callable[[Path], Call]:
    """Return the bare way of a library whose function takes PyTorch's tensors and returns one."""

    def bare(payload: Path) -> Call:
        import torch

        program = load(only(payload, pattern))

        def call(arrays: Arrays) -> Any:
            with torch.inference_mode():
                return program(*map(torch.from_numpy, arrays.values())).numpy()

        return call

    return bare


def exported(file: Path) -> Any:
    import torch

    return torch.export.load(file).module()


def compiled(file: Path) -> Any:
    import torch

    return torch.compile(exported(file), fullgraph=True, dynamic=True)


def archived(file: Path) -> Any:
    with zipfile.ZipFile(file) as archive, TemporaryDirectory() as folder:
        (program,) = (name for name in archive.namelist() if name.endswith(".pt2"))
        return exported(Path(archive.extract(program, folder)))


def compiled_ahead(file: Path) -> Any:
    import torch

    return torch._inductor.aoti_load_package(file)


def scripted(file: Path) -> Any:
    import torch

    return torch.jit.load(file)


def executorch(payload: Path) -> Call:
    import torch
    from executorch.extension.pybindings import portable_lib
    from executorch.runtime import Runtime

    if portable_lib._threadpool_get_thread_count() != 1:
        portable_lib._unsafe_reset_threadpool(1)  # not after a program was loaded
    program = Runtime.get().load_program(only(payload, "*.pte"))
    method = program.load_method("forward")
    return lambda arrays: [one.numpy() for one in method.execute([*map(torch.from_numpy, arrays.values())])]


BARE: dict[str, tuple[str, Callable[[Path], Call]]] = {
    "onnxruntime:pytorch": ("InferenceSession.run", onnxruntime),
    "openvino:fp32": ("CompiledModel()", openvino),
    "litert:fp32": ("SignatureRunner()", litert),
    "litert-torch:fp32": ("SignatureRunner()", litert),
    "executorch:fp32": ("Method.execute", executorch),
    "torch-export:fp32": ("ExportedProgram.module()", in_torch(exported, "*.pt2")),
    "torchserve:export": ("ExportedProgram.module()", in_torch(archived, "*.mar")),
    "torch-compile:fp32": ("torch.compile()", in_torch(compiled, "*.pt2")),
    "aotinductor:fp32": ("aoti_load_package()", in_torch(compiled_ahead, "*.pt2")),
    "torchscript:traced": ("torch.jit.load()", in_torch(scripted, "*.pt")),
    "tf-serving:fp32": ("tf.saved_model.load().signatures", saved_model),
}
"""An artifact, the library's call as people write it, and the function that opens the artifact so."""


def values(outputs: Any) -> list[np.ndarray]:
    """Return the arrays of an answer, whatever holds them."""
    if isinstance(outputs, np.ndarray):
        return [outputs]
    return list(outputs.values() if isinstance(outputs, dict) else outputs)


def measure(name: str, folder: Path, seconds: float, seed: int) -> dict[str, dict[str, float]]:
    """Return the medians of both ways, in microseconds of CPU and of wall time a call.

    Raises SystemExit where their answers differ.
    """
    draw = random.Random(seed)  # noqa: S311 - an order
    payload = folder / "payload"
    inputs = [
        {key: np.ascontiguousarray(array) for key, array in one.items()} for one in Answers(folder / ANSWERS).inputs(1)
    ]
    path = name.partition(":")[0]
    openers: dict[str, Callable[[], Call]] = {
        "bare": lambda: BARE[name][1](payload),
        "open": lambda: path_module(path).open(payload, 1).predict,
    }
    # The way that comes first has loaded the library, and has the better place in memory: each is first in turn.
    ways = {way: openers[way]() for way in sorted(openers, reverse=bool(seed % 2))}
    for one in inputs[:5]:
        found, expected = (values(ways[way](one)) for way in ("open", "bare"))
        if not all(np.allclose(a, b, 1e-4, 1e-4) for a, b in zip(found, expected, strict=True)):
            raise SystemExit(f"{name}: the bare call gives another answer")
    begin = time.perf_counter()
    for number in range(WARM_UP):
        for call in ways.values():
            call(inputs[number % len(inputs)])
    calls = max(1, round(BLOCK_S * 2 * WARM_UP / (time.perf_counter() - begin)))
    took: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
    end = time.perf_counter() + seconds
    for number in count():
        if time.perf_counter() > end:
            break
        for way in draw.sample(list(ways), 2):
            took[way].append(block(ways[way], inputs, number, calls))
    return {way: {"cpu": _middle(times, 0), "wall": _middle(times, 1)} for way, times in took.items()}


def _middle(times: Sequence[tuple[float, float]], which: int) -> float:
    return statistics.median(one[which] for one in times)


def block(call: Call, inputs: Sequence[Arrays], first: int, calls: int) -> tuple[float, float]:
    """Return the CPU time of one of ``calls`` calls, of all threads of this process, and its wall time, in us."""
    chosen = [inputs[(first + number) % len(inputs)] for number in range(calls)]
    begin, begin_wall = time.process_time(), time.perf_counter()
    for one in chosen:
        call(one)
    used, passed = time.process_time() - begin, time.perf_counter() - begin_wall
    return used * 1e6 / calls, passed * 1e6 / calls


def of_model(model: str, workspace: Path, runs: int, seconds: float) -> list[dict[str, Any]]:
    """Measure every library with one model; one that cannot run here is left out, and said."""
    alone = {**os.environ, "OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
    rows = []
    for name, (bare, _) in BARE.items():
        folder = Workspace(workspace).artifact(model, *name.split(":"))
        if not folder.exists():
            print(f"{name}: not measured, there is no artifact of it here", file=sys.stderr)
            continue
        found = []
        for run in range(runs):
            words = ["--one", name, "--folder", str(folder), "--seconds", str(seconds), "--seed", str(run)]
            done = subprocess.run([sys.executable, __file__, *words], stdout=subprocess.PIPE, env=alone, check=True)
            found.append(json.loads(done.stdout.splitlines()[-1]))
        row: dict[str, Any] = {"name": name, "call": bare}
        for way in ("bare", "open"):
            row[f"{way}_us"] = statistics.median(one[way]["cpu"] for one in found)
        for title, clock in (("ratio", "cpu"), ("wall_ratio", "wall")):
            ratios = sorted(one["open"][clock] / one["bare"][clock] for one in found)
            row[title] = {"median": statistics.median(ratios), "min": ratios[0], "max": ratios[-1]}
        rows.append(row)
        print(f"{model} {name}: {row['ratio']['median']:.3f} x the bare call", file=sys.stderr)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", nargs="+", default=["mnist_cnn", "efficientnet_lite0"])
    parser.add_argument("--runs", type=int, default=6, help="processes for each library, an even number (default: 6)")
    parser.add_argument("--seconds", type=float, default=5.0, help="measured in each process (default: 5)")
    parser.add_argument("--workspace", type=Path, default=ROOT)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, default=0, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.one:
        print(json.dumps(measure(chosen.one, chosen.folder, chosen.seconds, chosen.seed)))
        return
    workspace = chosen.workspace.resolve()
    for model in chosen.model:
        words = ["--workspace", str(workspace), "verify", model, *BARE]
        subprocess.run([sys.executable, "-m", "pipelines", *words], cwd=ROOT, check=True)
    models = {model: of_model(model, workspace, chosen.runs, chosen.seconds) for model in chosen.model}
    shown = ("onnxruntime", "openvino", "ai-edge-litert", "executorch", "torch", "tensorflow")
    written = {
        "command": shlex.join(["python", "benchmarks/sessions.py", *sys.argv[1:]]),
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": asdict(this_machine()),
        "versions": {name: version_of(name) for name in shown},
        "runs": chosen.runs,
        "to_reach": TO_REACH,
        "models": models,
    }
    RESULTS.write_text(json.dumps(written, indent=2) + "\n")


if __name__ == "__main__":
    main()
