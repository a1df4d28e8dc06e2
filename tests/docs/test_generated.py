"""Generated pages are what docs/generate.py writes now; nobody edits them by hand."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


def generate():
    specification = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["cli.md", "configuration.md", "format_fields.md", "providers.md"])
def test_a_generated_page_is_current(name):
    pages = generate().pages()
    path = DOCS / "reference" / name
    assert path.read_text(encoding="utf-8") == pages[path], "run `make generated`"


def test_every_generated_page_is_compared_and_says_that_it_is_generated():
    pages = generate().pages()
    assert {path.name for path in pages} == {"cli.md", "configuration.md", "format_fields.md", "providers.md"}
    assert all(text.startswith("<!-- written by ") for text in pages.values())
