"""Finds every error code that the source can give an error: what a user may meet."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

__all__ = ["codes_in", "written_codes"]

SOURCE = Path(__file__).parents[2] / "src" / "llmgate"
DOUBLES = SOURCE / "testing"
"""What stands there plays providers and clients in tests; no user meets its codes."""


def written_codes() -> Mapping[str, str]:
    """Every code in the source, with a file that writes it."""
    found: dict[str, str] = {}
    for path in sorted(SOURCE.rglob("*.py")):
        if not path.is_relative_to(DOUBLES):
            for code in codes_in(path.read_text(encoding="utf-8")):
                found.setdefault(code, path.relative_to(SOURCE).as_posix())
    return found


def codes_in(source: str) -> Iterator[str]:
    """The codes that a module writes.

    They stand behind ``code=``, ``"code":`` and ``default_code =``, in the place of a parameter called ``code`` of a
    function of the same module, and in what a function called ``_code`` returns.
    """
    tree = ast.parse(source)
    places = {
        node.name: names.index("code")
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and "code" in (names := [one.arg for one in node.args.args])
    }
    for node in ast.walk(tree):
        if (isinstance(node, ast.keyword) and node.arg == "code") or (
            isinstance(node, ast.Assign | ast.AnnAssign) and _target(node) == "default_code" and node.value
        ):
            yield from _texts(node.value)
        elif isinstance(node, ast.Dict):
            yield from (
                text
                for key, value in zip(node.keys, node.values, strict=True)
                if isinstance(key, ast.Constant) and key.value == "code"
                for text in _texts(value)
            )
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in places:
            yield from (text for one in node.args[places[node.func.id] :][:1] for text in _texts(one))
        elif isinstance(node, ast.FunctionDef) and node.name == "_code":
            yield from (text for one in ast.walk(node) if isinstance(one, ast.Return) for text in _texts(one.value))


def _target(node: ast.Assign | ast.AnnAssign) -> str:
    target = node.targets[0] if isinstance(node, ast.Assign) else node.target
    return target.id if isinstance(target, ast.Name) else ""


def _texts(node: ast.expr | None) -> Iterator[str]:
    """The string that an expression is, or each of those that it chooses from."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from _texts(node.body)
        yield from _texts(node.orelse)
    elif isinstance(node, ast.BoolOp):
        for value in node.values:
            yield from _texts(value)
