"""Progress where there is no terminal: lines, and no long silence."""

from __future__ import annotations

import re
import time

import pytest

from pipelines.base.progress import Steps


def test_a_long_step_is_not_silent(capsys: pytest.CaptureFixture[str]) -> None:
    said = ""
    with Steps(silence_s=0.05) as steps, steps.step("train [a model]") as step:
        deadline = time.monotonic() + 30
        while said.count("so far") < 2:
            assert time.monotonic() < deadline
            said += capsys.readouterr().err
        step.say("epoch 3")
        while "epoch 3: " not in said:
            assert time.monotonic() < deadline
            said += capsys.readouterr().err
    said += capsys.readouterr().err
    assert said.startswith("  train [a model] ...\n    train [a model]: 0 s so far\n")
    assert re.search(r"    epoch 3\n    train \[a model\]: epoch 3: \d+ s so far\n", said)
    assert re.search(r"✓ train \[a model\]  \d+\.\d s\n$", said)


def test_a_short_step_is_one_line_before_and_one_after(capsys: pytest.CaptureFixture[str]) -> None:
    with Steps() as steps, steps.step("train") as step:
        step.end("cached")
    assert capsys.readouterr().err == "  train ...\n✓ train  cached\n"
