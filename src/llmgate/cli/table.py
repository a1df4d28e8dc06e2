"""Columns of text, aligned."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["format_table"]


def format_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The rows below their head, each column as wide as its widest cell; no blanks at line ends."""
    lines = [head, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )
