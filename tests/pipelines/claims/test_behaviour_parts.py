"""The instruments of the claims on behaviour: sizes of code, outcomes of a path, lines in errors, parts."""

from __future__ import annotations

import types
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.base.errors import SlipwayError
from pipelines.claims.experiments.behaviour import numpy_like
from pipelines.claims.experiments.behaviour.code_size import size_of
from pipelines.claims.experiments.behaviour.debugging import line_of, names_line
from pipelines.claims.experiments.behaviour.forms import FORMS, Form, cell, short
from pipelines.claims.experiments.behaviour.parts import run_parts, value_of, warnings_of
from pipelines.claims.experiments.behaviour.twins import shorter

WRITTEN = '''
"""A docstring."""
from __future__ import annotations
import torch
from torch import nn
from models import data

def build(width: int = 3) -> nn.Module:
    """Build it."""
    # a comment
    net: nn.Module = nn.Linear(width, 4, name="first")
    x = data.load()
    x.permute(0).append(torch.nn.functional.relu(x))
    return net

def other():
    return torch.ones(3)
'''
BARE = """
import torch
from torch import nn
from models import data

def build(width=3):
    net = nn.Linear(width, 4)
    x = data.load()
    x.permute(0).append(torch.nn.functional.relu(x))
    return net
"""


def test_what_says_nothing_about_a_framework_is_not_counted() -> None:
    written, bare = size_of(WRITTEN, ["build"]), size_of(BARE)
    assert written == bare
    assert written.names == (".permute", "torch.nn.Linear", "torch.nn.functional.relu")
    assert size_of(WRITTEN).tokens > written.tokens


def test_tokens_and_nodes_are_those_of_python() -> None:
    size = size_of("x = f(1) + 2")
    assert size.tokens == 8  # x = f ( 1 ) + 2
    assert size.nodes == 9  # Module Assign Name BinOp Call Name Constant Add Constant


def test_a_piece_that_is_not_there_raises() -> None:
    with pytest.raises(ValueError, match="missing"):
        size_of(WRITTEN, ["build", "missing"])


def test_the_sign_needs_every_measure() -> None:
    assert shorter((0.8, 0.83)) == "shorter"
    assert shorter((0.8, 0.84)) == "alike"
    assert shorter((1.21, 1.3)) == "longer"
    assert shorter((1.2, 1.3)) == "alike"


@pytest.mark.parametrize("name", FORMS)
def test_the_inputs_of_a_form_tell_ways_apart(name: str) -> None:
    """A path that keeps the way of the example gives a wrong answer for another input, but for elementwise where."""
    form = FORMS[name]
    first, *others = form.inputs()
    gain = form.answer(first).ravel()[0] / first.ravel()[0]
    assert name == "where" or any(not np.allclose(form.answer(x).ravel()[0], gain * x.ravel()[0]) for x in others)
    assert len(first) == 2


def _form() -> Form:
    return Form(lambda x: x * 2, (2, 3), (1.0, 2.0))


def _raise(x: Any) -> Any:
    raise ValueError(f'"/home/someone/net.py", line 3: \x1b[1m{len(x)}\x1b[0m rows')


@pytest.mark.parametrize(
    ("call", "outcome"),
    [
        (lambda x: x * 2, "ok"),
        (lambda x: x + 1, "silently wrong"),
        (lambda x: x[:2] * 2, "silently wrong"),
        (lambda x: x * 2 if len(x) == 2 else _raise(x), "failed"),
        (_raise, "refused"),
    ],
)
def test_outcomes(call: Any, outcome: str) -> None:
    assert cell(_form(), lambda: call)["outcome"] == outcome


def test_a_path_that_cannot_be_made_refuses_and_a_warning_is_noted_and_passed_on() -> None:
    def make() -> Any:
        warnings.warn("traced", UserWarning, stacklevel=1)
        warnings.warn("old", DeprecationWarning, stacklevel=1)
        raise TypeError("no")

    with warnings.catch_warnings(record=True) as met:
        warnings.simplefilter("always")
        found = cell(_form(), make)
    assert found == {"outcome": "refused", "why": "TypeError: no", "warned": "UserWarning"}
    assert [one.category for one in met] == [UserWarning, DeprecationWarning]


def test_a_reason_names_no_folder_and_has_no_colours() -> None:
    with pytest.raises(ValueError, match="rows") as raised:
        _raise([1])
    assert short(raised.value) == 'ValueError: "net.py", line 3: 1 rows'
    assert short(OSError("at /tmp/a-b/c.d/main.cpp:28, see https://x.org/a/b")) == (
        "OSError: at main.cpp:28, see https://x.org/a/b"
    )
    assert len(short(ValueError("x" * 1000))) < 230


def test_a_line_is_named_by_its_whole_number(tmp_path: Path) -> None:
    file = tmp_path / "program.py"
    file.write_text("\n" * 6 + "x = 1  # mark:here\n")
    program = types.ModuleType("program")
    program.__file__ = str(file)
    assert line_of(program, "here") == 7
    assert names_line(f'File "{file}", line 7, in f', program, "here")
    assert names_line(f"{file}:7: error", program, "here")
    assert not names_line(f'File "{file}", line 71, in f', program, "here")
    assert not names_line(f'File "{file}2", line 7, in f', program, "here")
    with pytest.raises(ValueError, match="there"):
        line_of(program, "there")


def test_expressions_are_checked_against_numpy() -> None:
    works = numpy_like.works_in(np, np.array)
    assert set(works.values()) == {"ok"}
    assert len(works) == 49  # the number in the rule of L1
    stub = types.SimpleNamespace(exp=np.exp, sqrt=np.exp)
    works = numpy_like.works_in(stub, np.array)
    assert works["np.exp(x)"] == "ok"
    assert works["np.sqrt(abs(x))"].startswith("another answer")
    assert works["np.stack([x, y])"].startswith("AttributeError")


class FakeBench:
    def __init__(self, found: dict[str, Any]) -> None:
        self.found = found

    def shared(self, name: str) -> dict[str, Any]:  # noqa: ARG002
        return self.found


def test_a_part_that_fails_costs_its_own_claims_only() -> None:
    def broken() -> None:
        warnings.warn("soon gone", FutureWarning, stacklevel=1)
        warnings.warn("not a deprecation", UserWarning, stacklevel=1)
        raise KeyError("lost")

    bench: Any = FakeBench(run_parts({"good": lambda: 3, "bad": broken}, "numpy"))
    assert value_of(bench, "any", "good") == 3
    with pytest.raises(SlipwayError, match="bad in any: KeyError: 'lost'"):
        value_of(bench, "any", "bad")
    assert warnings_of(bench, [("any", "good"), ("any", "bad")]) == (f"numpy {np.__version__}: soon gone",)
