"""Tests sit where the source sits: src/llmgate/a/b.py has tests/a/test_b.py."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "llmgate"
TESTS = ROOT / "tests"

WITHOUT_A_TEST_OF_THEIR_OWN: dict[str, str] = {}
"""Files without a test file of their own, each with where it is tested instead. This list only shrinks."""


def has_code(path: Path) -> bool:
    """Whether a file does anything beside importing, declaring shapes and naming constants."""
    functions = ast.FunctionDef | ast.AsyncFunctionDef
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return any(
        isinstance(node, functions) and any(does(statement) for statement in node.body) for node in ast.walk(tree)
    )


def does(statement: ast.stmt) -> bool:
    """Whether a statement is more than a docstring, an ellipsis, or the return of an argument or a constant."""
    match statement:
        case ast.Pass() | ast.Expr(value=ast.Constant()) | ast.Return(value=None | ast.Constant() | ast.Name()):
            return False
    return True


def own_tests(relative: Path) -> list[Path]:
    """Where the tests of a source file may stand, the usual place first.

    A package's ``__init__`` is tested under the package's name; a package deep in the tree may have one test file.
    """
    usual = TESTS / relative.parent / f"test_{relative.stem.strip('_')}.py"
    package = relative.parent.name
    if relative == Path("__init__.py"):
        return [TESTS / "test_llmgate.py"]
    if relative.name == "__init__.py":
        return [
            TESTS / relative.parent / f"test_{package}.py",
            TESTS / relative.parent.parent / f"test_{package}.py",
            usual,
        ]
    return [usual, TESTS / relative.parent.parent / f"test_{package}.py"] if len(relative.parts) > 2 else [usual]


def missing() -> set[str]:
    files = (path.relative_to(SOURCE) for path in SOURCE.rglob("*.py") if has_code(path))
    return {relative.as_posix() for relative in files if not any(test.exists() for test in own_tests(relative))}


def test_every_source_file_with_code_has_its_test_file():
    unexplained = sorted(missing() - WITHOUT_A_TEST_OF_THEIR_OWN.keys())
    wanted = [own_tests(Path(name))[0].relative_to(ROOT).as_posix() for name in unexplained]
    assert not unexplained, f"write {', '.join(wanted)}"


def test_the_exceptions_are_still_exceptions():
    stale = WITHOUT_A_TEST_OF_THEIR_OWN.keys() - missing()
    assert not stale, f"take these off the list: {sorted(stale)}"
