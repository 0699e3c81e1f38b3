"""Expressions over sizes: those that PyTorch writes pass, everything else does not."""

from __future__ import annotations

import pytest

from models.files.inside.expressions import harmless, harmless_guard, readable

SYMBOL = "Symbol('s27', positive=True, integer=True)"


@pytest.mark.parametrize(
    "text",
    [
        SYMBOL,
        "s0",
        "2*s0 + 1",
        f"Mul(Integer(2), {SYMBOL})",
        f"Add(FloorDiv(Add({SYMBOL}, Integer(-1)), Integer(2)), Integer(1))",
        f"Min(Integer(16), Mul(Integer(16), {SYMBOL}))",
        f"Pow({SYMBOL}, Integer(2))",
        f"Float('0.5', precision=53)*{SYMBOL}",
        f"GreaterThan({SYMBOL}, Integer(0))",
        "And(Eq(s0, 2), Not(Eq(s1, 3)))",
    ],
)
def test_what_pytorch_writes_passes(text: str) -> None:
    assert harmless(text)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "Symbol('s0').__class__",
        "Symbol('s0', positive=print(1))",
        "Symbol('x')",
        "Symbol('s0; import os')",
        "Integer('5')",
        "Float(print(1))",
        "Pow(Integer(9), Pow(9, 9))",
        "Pow(Pow(9, 8), 8)",
        "9**9",
        "Add(*s0)",
        "(lambda: 0)()",
        "[1 for s0 in (1,)]",
        "f'{1}'",
        "'a'",
        "1 if 1 else 2",
        "print",
        "Max()",
        "open('x')",
        "Function('f')(1)",
        "s0.x",
        "s0[0]",
        "(" * 5000,
        "1+" * 10_000 + "1",
        "-" * 15_000 + "1",
        "",
        "\0",
    ],
)
def test_everything_else_does_not(text: str) -> None:
    assert not harmless(text)


def test_guards_compare_sizes_of_inputs() -> None:
    assert harmless_guard("L['ids'].size()[1] == L['mask'].size()[1]")
    assert harmless_guard("(1 + (((-1) + L['x'].size()[3]) // 2)) != 1")
    assert harmless_guard("max(L['x'].size()[0], 3) <= 64 and L['x'].size()[1] != 7")
    assert harmless_guard("L['args'][0].size()[0] == 2")
    assert not harmless_guard("L['x'].size().__class__")
    assert not harmless_guard("L[print('x')].size()[0] == 2")
    assert not harmless_guard("__import__('os')")


def test_an_expression_is_short_for_people() -> None:
    assert readable(f"Mul(Integer(2), {SYMBOL})") == "Mul(2, s27)"
