"""Attacks on PyTorch, where nobody looks for them; and what is refused, with the frameworks as witnesses."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hostile_files import HOSTILE
from model_files import Honest

from models.files import RefusedFile
from models.files.kinds import read

RUNS = """
import os, sys, torch
for path in sys.argv[1:]:
    sys.path.insert(0, os.path.dirname(path))  # one of them imports a module that lies there
    try:
        torch.export.load(path).module()(torch.zeros(2, 6, dtype=torch.int64), torch.ones(2, 6))
    except Exception as error:
        print(path, error, file=sys.stderr)
"""
ATTACKS = (
    *("pt2_expression", "pt2_guard", "pt2_sample_inputs", "pt2_pickled_weight", "pt2_opaque_object", "pt2_structure"),
)


def test_the_attacks_on_pytorch_are_real(honest: Honest, tmp_path: Path) -> None:
    """Each of them runs its code if the file is simply loaded and called; here in a process that dies afterwards."""
    files = {}
    for name in ATTACKS:
        folder = tmp_path / name
        folder.mkdir()
        files[name] = HOSTILE[name][1](folder, honest, folder / "canary")
        with pytest.raises(RefusedFile):
            read(files[name])
    assert list(tmp_path.glob("*/canary")) == []
    command = [sys.executable, "-c", RUNS, *map(str, files.values())]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert [name for name in ATTACKS if not (tmp_path / name / "canary").exists()] == [], done.stderr


def test_code_is_let_through_if_the_user_says_so(honest: Honest, tmp_path: Path) -> None:
    path = HOSTILE["pt2_guard"][1](tmp_path, honest, tmp_path / "canary")
    facts = read(path, allow_code=True)
    assert len(facts.code) == 1
    assert facts.code[0].startswith("a guard is Python code")


def test_harm_is_not_let_through(honest: Honest, tmp_path: Path) -> None:
    path = HOSTILE["zip_bomb"][1](tmp_path, honest, tmp_path / "canary")
    with pytest.raises(RefusedFile, match="a decompression bomb"):
        read(path, allow_code=True)


def test_messages_are_one_line_without_orders_to_a_terminal(tmp_path: Path) -> None:
    with pytest.raises(RefusedFile) as caught:
        read(tmp_path / "a\n\x1b[31mb")
    assert str(caught.value).isprintable()


def test_an_asset_of_a_saved_model_is_no_foreign_file(tmp_path: Path) -> None:
    import tensorflow as tf

    (tmp_path / "words.txt").write_text("a\nb\n")
    whole, line = tf.lookup.TextFileIndex.WHOLE_LINE, tf.lookup.TextFileIndex.LINE_NUMBER

    class Words(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            fill = tf.lookup.TextFileInitializer(str(tmp_path / "words.txt"), tf.string, whole, tf.int64, line)
            self.table = tf.lookup.StaticHashTable(fill, -1)

        @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, name="word")])
        def call(self, word: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"number": self.table.lookup(word)}

    module = Words()
    tf.saved_model.save(module, tmp_path / "words", signatures=module.call)
    facts = read(tmp_path / "words")
    assert [(one.name, one.dtype) for one in facts.inputs] == [("word", "str")]
