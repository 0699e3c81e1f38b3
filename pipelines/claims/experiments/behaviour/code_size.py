"""Measures code: tokens, nodes of the syntax tree, and the names of frameworks that its reader has to know. Pure.

Imports, docstrings, comments, annotations and layers' ``name=`` are left out on all sides: the first four say nothing
about a framework, and names are there only to let both twins share one file of weights.
"""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

FRAMEWORKS = ("torch", "tensorboardX", "keras", "tensorflow")
_LAYOUT = {tokenize.NEWLINE, tokenize.NL, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER, tokenize.COMMENT}
_OF_PYTHON = {name for kind in (list, dict, str, tuple, set, int, float) for name in dir(kind)}


@dataclass(frozen=True, slots=True)
class CodeSize:
    """Counts the parts of a piece of code. ``names`` are distinct names of frameworks, with methods of values."""

    tokens: int
    nodes: int
    names: tuple[str, ...]

    def figures(self) -> dict[str, int]:
        """Return the three counts."""
        return {"tokens": self.tokens, "nodes": self.nodes, "names": len(self.names)}


def size_of(source: str, only: Collection[str] | None = None) -> CodeSize:
    """Measure a module's source: all of it, or the functions and classes of these names. Raises ValueError for none."""
    whole = ast.parse(source)
    imported = _imported(whole)
    body = [node for node in whole.body if only is None or getattr(node, "name", None) in only]
    if only is not None and len(body) != len(set(only)):
        raise ValueError(f"the source does not have all of {sorted(only)}")
    bare = _Bare().visit(ast.Module(body, []))
    text = ast.unparse(ast.fix_missing_locations(bare))
    tree = ast.parse(text)  # nodes as they are of text: the order of visiting leaves no traces
    nodes = sum(not isinstance(node, ast.expr_context) for node in ast.walk(tree))
    tokens = sum(token.type not in _LAYOUT for token in tokenize.generate_tokens(io.StringIO(text).readline))
    return CodeSize(tokens, nodes, tuple(sorted(_names(tree, imported))))


class _Bare(ast.NodeTransformer):
    """Takes away what is not code of the model or of its training."""

    def visit_Import(self, node: ast.Import) -> None:  # noqa: ARG002
        return None

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:  # noqa: ARG002
        return None

    def visit_If(self, node: ast.If) -> ast.AST | None:
        return None if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING" else self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        is_text = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if is_text else self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        self.generic_visit(node)
        return None if node.value is None else ast.Assign([node.target], node.value)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        self.generic_visit(node)
        node.body = node.body or [ast.Pass()]
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        node.keywords = [one for one in node.keywords if one.arg != "name"]
        return node


def _imported(tree: ast.AST) -> dict[str, str]:
    """Map the names that imports bind to what they stand for."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                found[alias.asname or alias.name.partition(".")[0]] = alias.name
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                found[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return found


def _names(tree: ast.AST, imported: Mapping[str, str]) -> set[str]:
    """Collect the frameworks' functions and classes by their full names, and the methods called on other values."""
    found = set()
    inner = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    for node in ast.walk(tree):
        if id(node) in inner or not isinstance(node, ast.Attribute | ast.Name):
            continue
        root, *rest = _dotted(node) or [""]
        full = imported.get(root, "")
        if full.partition(".")[0] in FRAMEWORKS:
            found.add(".".join([full, *rest]))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            root, *rest = _dotted(node.func) or [""]
            own = root in imported or (root == "self" and len(rest) == 1)
            if not own and node.func.attr not in _OF_PYTHON and not node.func.attr.startswith("__"):
                found.add(f".{node.func.attr}")
    return found


def _dotted(node: ast.AST) -> list[str] | None:
    """Return the parts of ``a.b.c``, None for anything else."""
    if isinstance(node, ast.Name):
        return [node.id]
    if isinstance(node, ast.Attribute):
        before = _dotted(node.value)
        return None if before is None else [*before, node.attr]
    return None


def comparison(pytorch: Sequence[CodeSize], tensorflow: Sequence[CodeSize]) -> dict[str, Any]:
    """Sum the parts of both sides: {"pytorch": {...}, "tensorflow": {...}}, with tokens, nodes, and distinct names."""
    return {side: _joined(parts) for side, parts in (("pytorch", pytorch), ("tensorflow", tensorflow))}


def _joined(parts: Sequence[CodeSize]) -> dict[str, Any]:
    names = tuple(sorted({name for part in parts for name in part.names}))
    return {
        **asdict(CodeSize(sum(one.tokens for one in parts), sum(one.nodes for one in parts), names)),
        "names": list(names),
    }
