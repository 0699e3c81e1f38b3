"""From a text to its vector, in process and over the wire."""

from __future__ import annotations

import json
import signal
from typing import Any

import numpy as np
import pytest

from models.minilm import SPEC

NAME = SPEC.name
EATING, BREAD, BABY = "A man is eating food.", "A man is eating a piece of bread.", "The girl is carrying a baby."
PAIRS = ["--pair", EATING, BREAD, "--pair", EATING, BABY]
COSINES = [0.755337, -0.104959]
"""By another implementation: tests/models/minilm."""


def predict(cli: Any, path: str, *words: str) -> list[dict[str, Any]]:
    return cli.json("predict", path, "--model", NAME, *words)


def test_pairs_are_compared_by_cosine(cli: Any) -> None:
    answers = predict(cli, "onnxruntime", *PAIRS)
    assert [answer["input"] for answer in answers] == [f"{EATING} ~ {BREAD}", f"{EATING} ~ {BABY}"]
    assert [answer["cosine"] for answer in answers] == pytest.approx(COSINES, abs=1e-5)
    done = cli("predict", "onnxruntime", "--model", NAME, *PAIRS)
    assert done.stdout == f"{EATING} ~ {BREAD}: cosine 0.7553\n{EATING} ~ {BABY}: cosine -0.1050\n"


def test_texts_are_read_from_the_command_a_file_and_standard_input(cli: Any, tmp_path: Any) -> None:
    (tmp_path / "texts.txt").write_text(f"{EATING}\n\n{BABY}\n")
    by_file = predict(cli, "onnxruntime", str(tmp_path / "texts.txt"))
    by_option = predict(cli, "onnxruntime", "--text", EATING, "--text", BABY)
    piped = cli("predict", "onnxruntime", "-", "--model", NAME, "--json", input=EATING)
    vectors = [np.array(answer["output"]) for answer in (*by_file, *by_option, *json.loads(piped.stdout))]
    assert [vector.shape for vector in vectors] == [(384,)] * 5
    assert all(np.linalg.norm(vector) == pytest.approx(1, abs=1e-5) for vector in vectors)
    for one, other in ((0, 2), (1, 3), (0, 4)):  # padded in the file, alone elsewhere
        assert np.abs(vectors[one] - vectors[other]).max() < 1e-5
    assert vectors[0] @ vectors[1] == pytest.approx(COSINES[1], abs=1e-5)


@pytest.mark.parametrize("path", ["onnxruntime", "tf-serving", "torch-export"])
def test_servers_answer_texts_of_any_length(cli: Any, path: str) -> None:
    process = cli.start("serve", path, "--model", NAME, "--json")
    try:
        facts = json.loads(process.stdout.readline())
        for protocol, url in facts["endpoints"].items():
            there = ("--url", url, "--protocol", protocol, "--text", "far " * 400)
            answers = predict(cli, path, *there, *PAIRS)
            assert np.linalg.norm(answers[0]["output"]) == pytest.approx(1, abs=1e-5)
            assert [answer["cosine"] for answer in answers[1:]] == pytest.approx(COSINES, abs=1e-4), protocol
    finally:
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors


@pytest.mark.parametrize(
    ("model", "words", "says"),
    [
        ("mnist_cnn", ["--text", "seven"], "mnist_cnn takes no texts. Received: 'seven'"),
        ("efficientnet_lite0", ["--pair", "a", "b"], "efficientnet_lite0 takes no texts. Received: ('a', 'b')"),
        (NAME, ["empty.txt"], "expected 1 to 1000 lines of text. Received: 0"),
        (NAME, ["latin.txt"], "expected a text file in UTF-8, or an .npz file"),
    ],
)
def test_bad_texts(cli: Any, tmp_path: Any, model: str, words: list[str], says: str) -> None:
    (tmp_path / "empty.txt").write_text(" \n")
    (tmp_path / "latin.txt").write_bytes("né".encode("latin-1"))
    files = [str(tmp_path / word) if word.endswith(".txt") else word for word in words]
    done = cli("predict", "onnxruntime", *files, "--model", model)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr
