"""``slipway predict``: prints label and probability, in process or from a running server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pipelines.commands.base import command, emit, running_servers


@command(
    "predict",
    "predict litert digit.png",
    "predict onnxruntime --from-test-set 3",
    "predict tf-serving digit.png --url grpc://127.0.0.1:8500",
    "predict onnxruntime digit.png --url http://127.0.0.1:8080 --protocol open-inference-rest-binary",
    "predict torchserve - --url http://127.0.0.1:8080 --token-file key.txt < digit.npy",
    "predict litert cat.jpg --model efficientnet_lite0 --top 5",
    "predict openvino --model minilm --pair 'A man is eating.' 'Somebody has a meal.'",
)
@click.argument("path", metavar="PATH[:VARIANT]")
@click.argument("inputs", nargs=-1, metavar="[FILE|-]...")
@click.option("--model", default="mnist_cnn", envvar="SLIPWAY_MODEL", show_default=True)
@click.option(
    "--from-test-set",
    "rows",
    type=click.IntRange(0),
    multiple=True,
    metavar="N",
    help="Row N of the test data; may be repeated.",
)
@click.option("--text", "texts", multiple=True, help="A text, for a model that takes texts; may be repeated.")
@click.option(
    "--pair",
    "pairs",
    nargs=2,
    multiple=True,
    metavar="TEXT TEXT",
    help="Two texts to compare by cosine; may be repeated.",
)
@click.option(
    "--url", help="A running server: http://HOST:PORT or grpc://HOST:PORT. Without it and --at, predict in process."
)
@click.option(
    "--token-file", type=click.Path(dir_okay=False, path_type=Path), help="A file with the server's bearer token."
)
@click.option("--protocol", help="The protocol to use, if the address has several. `slipway list` names them.")
@running_servers
@click.option("--resize", is_flag=True, help="Resize a picture of another size.")
@click.option("--top", type=click.IntRange(1), default=1, show_default=True, help="Number of labels to print.")
def predict_command(workspace: Any, path: str, model: str, as_json: bool, **options: Any) -> None:
    """Print label and probability for pictures, arrays, texts or rows of the test data.

    An .npy file holds the input of a model that has one, an .npz file those of a model that has several. Each line of a
    text file is one input.
    """
    from pipelines.run.predictions import predict_all

    answers = predict_all(workspace, model, path, **options)

    def text() -> None:
        for answer in answers:
            labels = "  ".join(f"{item['label']} {item['probability']:.2%}" for item in answer["labels"])
            best = labels or answer.get("answer") or f"cosine {answer['cosine']:.4f}"
            truth = f"  (truth: {answer['truth']})" if answer["truth"] is not None else ""
            click.echo(f"{answer['input']}: {best}{truth}")
            if answer["warning"]:
                click.echo(f"slipway: warning: {answer['input']}: {answer['warning']}", err=True)

    emit(answers, as_json, text)
