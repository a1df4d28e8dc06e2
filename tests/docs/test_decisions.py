"""Decision records are numbered in order, short, and each says what was decided, why, and what it costs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RECORDS = sorted((ROOT / "docs" / "decisions").glob("0*.md"))


def test_the_numbers_have_no_gap_and_no_repeat():
    assert [int(path.name[:4]) for path in RECORDS] == list(range(1, len(RECORDS) + 1))
    assert len(RECORDS) > 20


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
class TestRecord:
    def test_its_title_has_its_number(self, path):
        assert path.read_text(encoding="utf-8").startswith(f"# {int(path.name[:4])}. ")

    def test_it_says_what_why_and_at_what_cost(self, path):
        text = path.read_text(encoding="utf-8")
        parts = [text.index(f"\n**{part}.** ") for part in ("Decision", "Why", "Cost")]
        assert parts == sorted(parts)

    def test_it_is_half_a_page(self, path):
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 30

    def test_the_files_that_it_names_exist(self, path):
        names = re.findall(
            r"`((?:src|tests|docs|pipeline|host|config|stages)/[\w/.-]+)`", path.read_text(encoding="utf-8")
        )
        assert [
            name for name in names if not any((base / name).exists() for base in (ROOT, ROOT / "src/llmgate"))
        ] == []
