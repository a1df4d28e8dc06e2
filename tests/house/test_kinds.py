"""A kind of stage is whole: interface, hook, folder, conformance class, documentation."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path

import pytest

from llmgate.spec import KINDS, Stage, hookspecs

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.id)
class TestKind:
    def test_has_an_interface(self, kind):
        assert issubclass(kind.base, Stage)
        assert inspect.getdoc(kind.base)

    def test_has_a_hook(self, kind):
        hook = getattr(hookspecs, kind.hook)
        assert "llmgate_spec" in vars(hook), "marked with hookspec"
        assert kind.base.__name__ in str(hook.__annotations__["return"])

    def test_has_a_folder(self, kind):
        assert (ROOT / "src" / "llmgate" / "stages" / kind.id / "__init__.py").is_file()

    def test_has_a_conformance_class(self, kind):
        module = importlib.import_module(f"llmgate.testing.conformance.{kind.id}")
        classes = [name for name in module.__all__ if name.endswith("Conformance")]
        assert classes, f"{module.__name__} defines no …Conformance class"

    def test_has_a_docs_section(self, kind):
        text = (ROOT / "docs" / "reference" / "stages.md").read_text(encoding="utf-8")
        assert re.search(rf"(?m)^## .*`{kind.base.__name__}`", text)


def test_every_hook_belongs_to_a_kind_or_to_the_command_line():
    hooks = {name for name in vars(hookspecs) if name.startswith("llmgate_")}
    assert hooks == {*(kind.hook for kind in KINDS), "llmgate_register_commands"}


def test_every_folder_belongs_to_a_kind():
    folders = {path.parent.name for path in (ROOT / "src" / "llmgate" / "stages").glob("*/__init__.py")}
    assert folders == {kind.id for kind in KINDS}
