"""Columns line up."""

from __future__ import annotations

from llmgate.cli.table import format_table


def test_columns_are_as_wide_as_their_widest_cell_and_lines_end_without_blanks():
    assert format_table(("A", "LONG HEAD"), [("wide cell", "x"), ("y", "")]) == "A          LONG HEAD\nwide cell  x\ny"


def test_no_rows_leave_the_head():
    assert format_table(("A", "B"), []) == "A  B"
