"""The reference page is what the rows say."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from llmgate.catalogue import provider_rows
from llmgate.catalogue.reference import providers_page

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "providers.md"
REMEDY = (
    "write docs/reference/providers.md anew: python -c 'import sys; "
    "from llmgate.catalogue.reference import providers_page; sys.stdout.write(providers_page())'"
)


def test_the_page_is_written_from_the_rows() -> None:
    assert PAGE.read_text(encoding="utf-8") == providers_page(), REMEDY


def test_the_page_names_every_provider_its_source_and_its_first_variable() -> None:
    page = providers_page()
    for row in provider_rows().values():
        assert f"| `{row.name}` |" in page
        assert row.source in page
        if row.key_variables:
            assert f"`{row.key_variables[0]}`" in page


def test_no_cell_breaks_its_table() -> None:
    lines = [line for line in providers_page().splitlines() if line.startswith("|")]
    assert lines
    for before, line in pairwise(lines):
        if before.startswith("|---"):
            assert line.count("|") == before.count("|")
    for row in provider_rows().values():
        assert "|" not in row.source
