"""A user's own file becomes a model like any other: taken, packaged, proved equal, run, asked by its name."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from documents import ROOT, documented
from model_files import Honest, first_file
from web_client import Visitor

from pipelines.artifacts.named import spec_named
from pipelines.artifacts.workspace import Workspace
from pipelines.base.errors import SlipwayError, UserError
from pipelines.base.files import scratch
from pipelines.run.own import take as taking
from pipelines.run.own.take import OwnFile, is_file, name_for, take
from pipelines.run.prepare import Context

ROWS = 64


def statuses(rows: list[dict[str, Any]]) -> dict[str, str]:
    return {f"{row['path']}:{row['variant']}": row["status"] for row in rows}


def with_slipway() -> dict[str, str]:
    """The environment with this environment's programs on PATH."""
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def own(cli: Any, line: str, files: dict[str, Path], *more: str) -> dict[str, Any]:
    """Run a command of the documentation with these files in the place of its own, briefly; return the report."""
    words = [str(files.get(word, word)) for word in documented(line)[1:]]
    report: dict[str, Any] = cli.json(*words, "--duration", "0.5", "--budget", "0", *more)
    return report


def test_a_keras_file_is_served_calibrated_and_known_by_its_name(cli: Any, honest: Honest, tmp_path: Path) -> None:
    (tensor,) = cli.json("inspect", str(honest.pictures))["inputs"]
    rows = np.random.default_rng(3).uniform(0, 255, (ROWS, 12, 12, 1)).astype(np.float32)
    np.savez(tmp_path / "samples.npz", allow_pickle=False, **{tensor["name"]: rows})
    (tmp_path / "labels.txt").write_text("\n".join(f"digit {number}" for number in range(10)))
    line = "slipway run pictures.keras tf-serving:fp32 onnxruntime:int8 --inputs samples.npz --labels labels.txt"
    files = {name: tmp_path / name for name in ("samples.npz", "labels.txt")}
    spec = tmp_path / "spec.toml"  # a network that was never trained keeps little in int8
    spec.write_text("[floors.int8]\nmin_sqnr_db = 15\nmin_agreement = 0.5\n")
    report = own(cli, line, {"pictures.keras": honest.pictures, **files}, "--spec", str(spec))
    assert statuses(report["artifacts"]) == {"tf-serving:fp32": "ok", "onnxruntime:int8": "ok"}
    assert {row["status"] for row in report["rows"]} == {"ok"}
    assert (report["training"]["own_file"], report["training"]["source"]) == (True, "pictures.keras")
    (certificate,) = (row["certificate"] for row in report["artifacts"] if row["path"] == "tf-serving")
    assert certificate["reference"].startswith("tensorflow, the file pictures.keras, sha256 ")
    assert certificate["top1"] == 1.0
    assert "pictures" in [model["name"] for model in cli.json("list")["models"]]
    (answer,) = cli.json("predict", "onnxruntime:int8", "--model", "pictures", "--from-test-set", "0")
    assert answer["labels"][0]["label"].startswith("digit ")
    process = cli.start("web", "pictures", "--serve", "onnxruntime:int8", "--json")
    try:
        found = Visitor(json.loads(process.stdout.readline())["address"]).ask({"row": 0})
        assert found["reference"][0]["status"] == "ok", found["reference"]  # computed in a cage
        assert {one["status"] for one in found["answer"]} == {"ok"}
    finally:
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said


def test_the_lines_of_the_page_make_a_file_that_is_taken(
    context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    class Words(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = torch.nn.Embedding(50, 4)

        def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            return (self.table(ids) * mask.unsqueeze(-1)).sum(1)

    block, *_ = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs" / "your-model.md").read_text(), re.M | re.S)
    monkeypatch.chdir(tmp_path)
    exec(block, {"torch": torch, "model": Words()})  # noqa: S102 - the page's own lines
    assert take(context, OwnFile(Path("program.pt2"))) == "program"
    spec = spec_named(context.workspace, "program")
    assert ([tensor.name for tensor in spec.inputs], spec.max_batch) == (["ids", "mask"], 64)


def test_a_saved_model_is_called_by_its_signature(cli: Any, honest: Honest) -> None:
    words = ("package", str(honest.saved_model), "tf-serving:fp32", "openvino:fp32", "torchscript:traced")
    rows = cli.json(*words, "--name", "own-saved")["artifacts"]
    assert statuses(rows) == {"tf-serving:fp32": "ok", "openvino:fp32": "ok", "torchscript:traced": "skipped"}
    why = rows[-1]["reason"]
    assert (
        why == "torchscript:traced is made from the form torch. Received: own-saved, which has keras, saved_model, onnx"
    )


def test_a_saved_model_is_served_as_it_is_where_it_cannot_be_exported_again(cli: Any, tmp_path: Path) -> None:
    old = first_file(tmp_path, resources=False)
    (row,) = cli.json("package", str(old), "tf-serving:fp32", "--name", "old-variables")["artifacts"]
    assert (row["status"], row["form"]) == ("ok", "saved_model")
    assert [one["form"] for one in row["tries"]] == ["keras"]
    assert "uninitialized" in row["tries"][0]["reason"]


def test_texts_are_served_as_they_are(cli: Any, honest: Honest, tmp_path: Path) -> None:
    spec = tmp_path / "spec.toml"
    (tensor,) = cli.json("inspect", str(honest.texts))["inputs"]
    spec.write_text(f'[inputs.{tensor["name"]}]\nvalues = ["a b", "c", "an ä that nobody knows"]\n')
    words = ("run", str(honest.texts), "tf-serving:fp32", "litert:fp32", "--name", "texts", "--spec", str(spec))
    report = cli.json(*words, "--duration", "0.5", "--budget", "0")
    assert statuses(report["artifacts"]) == {"tf-serving:fp32": "ok", "litert:fp32": "skipped"}
    assert "litert:fp32 takes numbers" in report["artifacts"][1]["reason"]
    served = [row for row in report["rows"] if row["where"] == "served"]
    assert {row["protocol"] for row in served} == {"tf-serving-rest", "tf-serving-grpc"}
    for row in served:
        assert row["status"] == "ok"
        assert {one["match_share"] for one in row["scenarios"]} == {1.0}
    ask = ("predict", "tf-serving", "--model", "texts", "--text")
    (one,), (same,), (other,) = (cli.json(*ask, text) for text in ("a b", "A  B!", "c c"))
    assert one["output"] == same["output"] != other["output"]  # the layer lowers, strips and splits


def test_another_way_is_tried_where_the_first_fails(cli: Any, honest: Honest) -> None:
    words = ("package", str(honest.keras), "openvino:fp32", "--name", "own-words")
    (row,) = cli.json(*words)["artifacts"]
    assert (row["status"], row["form"]) == ("ok", "saved_model"), row
    (tried,) = row["tries"]
    assert tried["form"] == "torch"
    assert tried["reason"].startswith("parity: ")  # PyTorch unrolls the layer's loop, and answers other lengths wrong
    (again,) = cli.json(*words)["artifacts"]
    assert (again["cached"], again["form"], again["tries"]) == (True, "saved_model", row["tries"])
    said = cli(*words)
    assert "openvino fp32 is made from saved_model: from torch, " in said.stdout


def test_a_program_of_torch_export_is_exported_again(cli: Any, honest: Honest, tmp_path: Path) -> None:
    spec = tmp_path / "spec.toml"
    spec.write_text("max_batch = 32\n[lengths]\ndim_1 = [3, 16]\n[inputs.mask]\nmask = true\n")
    line = "slipway run program.pt2 torch-export onnxruntime:pytorch --spec spec.toml --name words"
    report = own(cli, line, {"program.pt2": honest.pt2, "spec.toml": spec})
    assert set(statuses(report["artifacts"]).values()) == {"ok"}
    manifest = json.loads((Path(report["artifacts"][0]["folder"]) / "manifest.json").read_text())
    assert [tensor["name"] for tensor in manifest["signature"]["inputs"]] == ["ids", "mask"]
    assert [tensor["shape"] for tensor in manifest["signature"]["outputs"]] == [["batch", 4], ["batch", 8]]


def test_an_onnx_file_is_taken_with_the_weights_beside_it(cli: Any, honest: Honest) -> None:
    line = "slipway run model.onnx onnxruntime:pytorch openvino:fp32"
    report = own(cli, line, {"model.onnx": honest.external})
    assert set(statuses(report["artifacts"]).values()) == {"ok"}
    name = report["model"]
    rows = cli.json("package", name, "onnxruntime:int8", "tf-serving:fp32")["artifacts"]
    assert statuses(rows) == {"onnxruntime:int8": "skipped", "tf-serving:fp32": "skipped"}
    assert "slipway run FILE --inputs samples.npz" in rows[0]["reason"]
    assert "made from the form keras" in rows[1]["reason"]
    folder = Path(report["artifacts"][0]["folder"])
    script = [str(folder / "reproduce.sh"), str(honest.external)]
    done = subprocess.run(script, env=with_slipway(), capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stderr
    assert "the same as " in done.stdout


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return Context(Workspace(tmp_path / "workspace"), tmp_path / "logs")


def fixed(file: Path, nodes: list[Any], constants: list[Any], rows: int | str = 1) -> Path:
    """Write an .onnx file that says that it takes one row, or ``rows``, of four numbers."""
    import onnx
    from onnx import TensorProto, helper

    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [rows, size]) for name, size in (("x", 4), ("y", 2))
    ]
    graph = helper.make_graph(nodes, "fixed", values[:1], values[1:], constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), file)
    return file


def test_a_file_of_one_row_is_freed_if_it_answers_the_same(context: Context, tmp_path: Path) -> None:
    from onnx import helper, numpy_helper

    weights = numpy_helper.from_array(np.random.default_rng(1).normal(size=(4, 2)).astype(np.float32), "weights")
    shape = numpy_helper.from_array(np.asarray([1, 4]), "shape")
    good = fixed(tmp_path / "good.onnx", [helper.make_node("MatMul", ["x", "weights"], ["y"])], [weights])
    reshape = [helper.make_node("Reshape", ["x", "shape"], ["z"]), helper.make_node("MatMul", ["z", "weights"], ["y"])]
    mixed = [
        helper.make_node("ReduceMax", ["x"], ["most"], keepdims=1),  # of all rows
        helper.make_node("Sub", ["x", "most"], ["z"]),
        helper.make_node("MatMul", ["z", "weights"], ["y"]),
    ]
    assert take(context, OwnFile(good)) == "good"
    assert spec_named(context.workspace, "good").inputs[0].shape == ("batch", 4)
    with pytest.raises(UserError, match="takes 1 row a call, and no other number"):
        take(context, OwnFile(fixed(tmp_path / "one.onnx", reshape, [weights, shape])))
    with pytest.raises(UserError, match="takes 1 row a call, and answers otherwise with 3"):
        take(context, OwnFile(fixed(tmp_path / "mixed.onnx", mixed, [weights])))
    with pytest.raises(UserError, match="y: its answer to a row is another one without the 2 rows beside it"):
        take(context, OwnFile(fixed(tmp_path / "free.onnx", mixed, [weights], "batch")))


def test_a_program_of_one_row_takes_any_number(cli: Any, context: Context, tmp_path: Path) -> None:
    import torch

    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = torch.nn.Conv2d(3, 4, 3), torch.nn.Linear(4, 5)

        def forward(self, picture: torch.Tensor, scale: torch.Tensor) -> dict[str, torch.Tensor]:
            hidden = torch.relu(self.first(picture)).amax((2, 3)).view(1, 4)  # as a program that has the number in it
            scores = self.last(hidden) * scale
            return {"scores": scores, "rest": hidden}

    torch.manual_seed(1)
    example = (torch.rand(1, 3, 8, 8), torch.rand(1, 5))
    torch.export.save(torch.export.export(Network().eval(), example), tmp_path / "one-row.pt2")
    rows = cli.json("package", str(tmp_path / "one-row.pt2"), "torch-export", "onnxruntime:pytorch")["artifacts"]
    assert statuses(rows) == {"torch-export:fp32": "ok", "onnxruntime:pytorch": "ok"}
    spec = spec_named(Workspace(cli.workspace), "one-row")
    assert [tensor.shape for tensor in (*spec.inputs, *spec.outputs)] == [
        *(("batch", 3, 8, 8), ("batch", 5), ("batch", 5), ("batch", 4))
    ]
    pair = (torch.rand(2, 3, 8, 8), torch.rand(2, 5))

    class Pairs(torch.nn.Module):
        def forward(self, picture: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
            return picture.mean((1, 2, 3)).unsqueeze(1) + scale

    torch.export.save(torch.export.export(Pairs(), pair), tmp_path / "two-rows.pt2")
    with pytest.raises(UserError, match="takes 2 rows a call"):
        take(context, OwnFile(tmp_path / "two-rows.pt2"))


def test_a_keras_file_of_two_rows_takes_any_number(context: Context, tmp_path: Path) -> None:
    import keras

    given = keras.Input((6,), batch_size=2)
    keras.Model(given, keras.layers.Dense(3)(given)).save(tmp_path / "two-rows.keras")
    assert take(context, OwnFile(tmp_path / "two-rows.keras")) == "two-rows"
    assert spec_named(context.workspace, "two-rows").outputs[0].shape == ("batch", 3)


def test_a_name_is_the_files_or_the_users_and_never_another_models() -> None:
    assert name_for(OwnFile(Path("My Model (2).onnx"))) == "my-model-2"
    assert name_for(OwnFile(Path("x.onnx"), "flowers")) == "flowers"
    for word, says in (
        ("mnist_cnn", "a model of slipway's own"),
        ("onnxruntime", "the name of a path"),
        ("X", "small"),
    ):
        with pytest.raises(UserError, match=says):
            name_for(OwnFile(Path("x.onnx"), word))
    for bad in ("mnist_cnn", "onnxruntime", "../x", "", "Ä"):
        with pytest.raises(UserError, match="--name"):
            name_for(OwnFile(Path("x.onnx"), bad or None) if bad else OwnFile(Path("....onnx")))


def test_a_word_is_a_file_if_it_looks_like_one(tmp_path: Path) -> None:
    assert [is_file(word) for word in ("model.onnx", "./model", "MODEL.ONNX", "mnist_cnn", "own-model")] == [
        *(True, True, True, False, False)
    ]
    with contextlib.chdir(tmp_path):
        (tmp_path / "weights.h5").touch()
        assert is_file("weights.h5")  # to be refused with what to give instead


def test_another_file_does_not_take_a_name_that_nobody_gave_it(
    context: Context, honest: Honest, tmp_path: Path
) -> None:
    assert take(context, OwnFile(honest.onnx)) == "two"
    before = context.workspace.trained("two").resolve()
    with pytest.raises(UserError, match="two is another file's name already"):
        take(context, OwnFile(honest.pt2))
    assert context.workspace.trained("two").resolve() == before
    assert take(context, OwnFile(honest.external, name="two")) == "two"
    assert context.workspace.trained("two").resolve() != before


def test_a_lambda_runs_only_where_it_is_allowed(context: Context, tmp_path: Path) -> None:
    import keras

    inner = keras.Sequential([keras.Input((4,)), keras.layers.Lambda(lambda x: x * 2.0)])
    inner.save(tmp_path / "own.keras")
    with pytest.raises(UserError, match="--allow-code"):
        take(context, OwnFile(tmp_path / "own.keras"))
    assert take(context, OwnFile(tmp_path / "own.keras", allow_code=True)) == "own"


def test_options_of_files_belong_to_files(cli: Any, tmp_path: Path) -> None:
    done = cli("run", "mnist_cnn", "--labels", str(tmp_path), "--allow-code")
    assert done.returncode == 2
    assert "--labels, --allow-code: only for a file of your own. Received: the model mnist_cnn" in done.stderr


def test_a_file_that_changes_while_it_is_taken_is_refused(
    context: Context, honest: Honest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "two.onnx"
    shutil.copyfile(honest.onnx, file)

    def read(path: Path, **options: Any) -> Any:
        found = real(path, **options)
        with path.open("ab") as changed:
            changed.write(b"\0")
        return found

    real = taking.read_user_file
    monkeypatch.setattr(taking, "read_user_file", read)
    with pytest.raises(UserError, match="was changed while it was taken"):
        take(context, OwnFile(file))
    assert not context.workspace.trained("two").exists()
    assert not [one for one in context.workspace.store.iterdir() if one.is_dir()]


def test_a_model_whose_own_runtime_refuses_its_inputs_says_so(context: Context, honest: Honest, tmp_path: Path) -> None:
    spec = tmp_path / "spec.toml"
    spec.write_text("[inputs.ids]\nlow = 100\nhigh = 200\n")  # the table has 50 rows
    with pytest.raises(SlipwayError, match="its own runtime does not answer random inputs") as caught:
        take(context, OwnFile(honest.onnx, spec=spec))
    assert "Say" in str(caught.value) or "say" in str(caught.value)
    assert not context.workspace.trained("two").exists()


def test_what_was_taken_is_found_again_without_the_file(context: Context, honest: Honest) -> None:
    with scratch("own") as folder:
        file = folder / "two.onnx"
        shutil.copyfile(honest.onnx, file)
        first = take(context, OwnFile(file))
        place = context.workspace.trained(first).resolve()
        assert take(context, OwnFile(file)) == first
    assert context.workspace.trained(first).resolve() == place
    (place / "model.onnx").write_bytes(b"damaged")
    from pipelines.run.prepare import ensure_trained

    with pytest.raises(UserError, match="Take the file again"):
        ensure_trained(context, first)
