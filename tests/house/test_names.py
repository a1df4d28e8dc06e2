"""Public names are declared and sorted; no drawer is called utils."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "llmgate"
DRAWERS = {"common", "core", "helper", "helpers", "manager", "managers", "misc", "util", "utils"}


def module_name(path: Path) -> str:
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = sorted(module_name(path) for path in SOURCE.rglob("*.py") if path.name != "__main__.py")


def isort_style(names: list[str]) -> list[str]:
    """Constants, then classes, then the rest: the order that ruff keeps (RUF022)."""

    def kind(name: str) -> int:
        if re.fullmatch(r"_?[A-Z][A-Z0-9_]*", name) and len(name.strip("_")) > 1:
            return 0
        return 1 if name.lstrip("_")[:1].isupper() else 2

    return sorted(names, key=lambda name: (kind(name), name))


def public_definitions(tree: ast.Module) -> set[str]:
    """Functions and classes that a module defines at its top level without an underscore."""
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    return {node.name for node in tree.body if isinstance(node, kinds) and not node.name.startswith("_")}


@pytest.mark.parametrize("name", MODULES)
def test_all_is_complete_true_and_sorted(name):
    path = SOURCE.parent / Path(*name.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    tree = ast.parse(file.read_text(encoding="utf-8"))
    if not any(not isinstance(node, ast.Expr | ast.ImportFrom) for node in tree.body):
        return  # only a docstring
    module = importlib.import_module(name)
    declared = getattr(module, "__all__", None)
    assert declared is not None, f"{name} has no __all__"
    assert list(declared) == isort_style(list(declared)), "sort __all__ as ruff does"
    assert len(set(declared)) == len(declared)
    assert [entry for entry in declared if not hasattr(module, entry)] == []
    if name != "llmgate.testing.plugin":  # pytest finds its fixtures and hooks by their names
        left_out = {found for found in public_definitions(tree) if not found.startswith("llmgate_")} - set(declared)
        assert not left_out, "public definitions that __all__ leaves out (hooks are found by their prefix)"


def test_nothing_is_called_utils():
    paths = [path for top in ("src", "plugins", "benchmarks") for path in (ROOT / top).rglob("*.py")]
    faults = [path.relative_to(ROOT).as_posix() for path in paths if {path.stem, path.parent.name} & DRAWERS]
    assert paths
    assert not faults, f"give it a noun of its own, or put it beside its only user: {faults}"
