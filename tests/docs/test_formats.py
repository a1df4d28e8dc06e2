"""Every format that conversations are translated into is described."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmgate.formats import FORMATS, get_format
from llmgate.spec import Operation

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "formats.md"
CHAT = [name for name in FORMATS if get_format(name).operation is Operation.CHAT]


@pytest.mark.parametrize("name", CHAT)
def test_what_is_lost_on_the_way_into_a_format_is_told(name):
    headings = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("## ")]
    assert any(f"`{name}`" in line and not line.startswith(f"## From `{name}`") for line in headings), headings
