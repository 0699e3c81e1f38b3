"""Checks the expressions over sizes in a program of torch.export, which PyTorch evaluates when it loads it."""

from __future__ import annotations

import ast
import re

MOST_LENGTH = 20_000
MOST_NUMBER = 2**63
MOST_POWER = 8
SYMBOL = re.compile(r"_?(s|u|f|zf|zuf|zs)\d+")
SIZE_OF_INPUT = re.compile(r"L(\['\w{1,200}'\]|\[\d{1,4}\]){1,8}\.(size|stride)\(\)\[\d{1,3}\]")
NUMBER = re.compile(r"-?\d{1,40}(\.\d{0,40})?(e[+-]?\d{1,2})?")
CALLS = re.compile(
    "Symbol|Integer|Float|Rational|Add|Mul|Pow|Max|Min|Mod|PythonMod|FloorDiv|CleanDiv|CeilDiv|ModularIndexing|Where"
    "|IntTrueDiv|FloatTrueDiv|ToFloat|TruncToInt|TruncToFloat|FloorToInt|CeilToInt|RoundToInt|Identity|Abs|floor"
    "|ceiling|PowByNatural|Eq|Ne|Lt|Le|Gt|Ge|Equality|Unequality|LessThan|GreaterThan|StrictLessThan"
    "|StrictGreaterThan|And|Or|Not|max|min"
)
POWERS = ("Pow", "PowByNatural")
ASSUMED = ("positive", "integer", "nonnegative", "nonzero", "real", "finite", "zero")
_OPERATORS = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod)
_COMPARISONS = (ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE)


def harmless(text: str) -> bool:
    """Tell if an expression is one over numbers and sizes, such as ``Add(Symbol('s0', integer=True), Integer(1))``.

    >>> harmless("Mul(Integer(2), Symbol('s77', positive=True, integer=True))")
    True
    >>> harmless("__import__('os').system('true')")
    False
    """
    if len(text) > MOST_LENGTH:
        return False
    try:
        return _harmless(ast.parse(text, mode="eval").body)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False


def harmless_guard(text: str) -> bool:
    """Tell if a guard, which PyTorch runs as Python at the first call, only compares sizes of the inputs.

    >>> harmless_guard("L['ids'].size()[1] == L['mask'].size()[1]")
    True
    """
    return harmless(re.sub(SIZE_OF_INPUT, "s0", text))


def readable(text: str) -> str:
    """Shorten a harmless expression for people: ``Mul(Integer(2), Symbol('s77', ...))`` becomes ``Mul(2, s77)``."""
    short = re.sub(r"Symbol\('(\w+)'[^)]*\)", r"\1", text)
    return re.sub(r"Integer\((-?\d+)\)", r"\1", short)


def _harmless(node: ast.expr) -> bool:
    match node:
        case ast.Name(id=name):
            return bool(SYMBOL.fullmatch(name))
        case ast.Constant(value=bool()):
            return True
        case ast.Constant(value=int() | float() as value):
            return abs(value) <= MOST_NUMBER
        case ast.UnaryOp(op=ast.USub() | ast.UAdd() | ast.Not(), operand=operand):
            return _harmless(operand)
        case ast.BoolOp(values=values):
            return all(map(_harmless, values))
        case ast.BinOp(left=left, op=operator, right=right):
            return isinstance(operator, _OPERATORS) and _harmless(left) and _harmless(right)
        case ast.Compare(left=left, ops=operators, comparators=others):
            return all(isinstance(one, _COMPARISONS) for one in operators) and all(map(_harmless, [left, *others]))
        case ast.Call(func=ast.Name(id="Symbol"), args=[ast.Constant(value=str() as name)], keywords=assumed):
            known = all(one.arg in ASSUMED and isinstance(one.value, ast.Constant) for one in assumed)
            return known and bool(SYMBOL.fullmatch(name))
        case ast.Call(func=ast.Name(id="Float"), args=[ast.Constant(value=str() as number)], keywords=settings):
            return bool(NUMBER.fullmatch(number)) and all(
                one.arg == "precision" and _small(one.value) for one in settings
            )
        case ast.Call(func=ast.Name(id=name), args=[base, power], keywords=[]) if name in POWERS:
            # A power of a power takes longer than anybody waits.
            nested = any(isinstance(one, ast.Name) and one.id in POWERS for one in ast.walk(base))
            return _small(power, MOST_POWER) and not nested and _harmless(base)
        case ast.Call(func=ast.Name(id=name), args=[_, *_] as args, keywords=[]):
            return bool(CALLS.fullmatch(name)) and name not in POWERS and all(map(_harmless, args))
    return False


def _small(node: ast.expr, most: int = 4096) -> bool:
    """Tell if a node is a small whole number, as it is or as ``Integer(2)``."""
    match node:
        case ast.Constant(value=int() as value):
            return abs(value) <= most
        case ast.UnaryOp(op=ast.USub(), operand=operand) | ast.Call(func=ast.Name(id="Integer"), args=[operand]):
            return _small(operand, most)
    return False
