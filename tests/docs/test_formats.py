"""The table of carried fields is what the formats declare."""

from __future__ import annotations

from pathlib import Path

import attrs

from llmgate.formats import get_format
from llmgate.spec import ChatRequest

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "formats.md"
FORMATS = ("openai-chat", "anthropic-messages", "ollama-chat", "cohere-chat")


def test_every_field_stands_in_the_table_as_the_formats_call_it():
    text = PAGE.read_text(encoding="utf-8")
    names = [field.name for field in attrs.fields(ChatRequest) if not field.name.startswith("extra")]
    for name in names:
        cells = [f"`{get_format(one).fields[name]}`" if name in get_format(one).fields else "" for one in FORMATS]
        row = " | ".join([f"| `{name}`", *cells]).rstrip() + " |"
        assert row.replace("  ", " ") in text, row
