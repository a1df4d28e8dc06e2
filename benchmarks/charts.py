"""Bars as SVG, drawn by hand: a chart for each figure that is worth a look, beside the tables that have them all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from xml.sax.saxutils import escape

import attrs

__all__ = ["CHARTS", "Chart", "draw", "drawn", "keep"]

LABELS: Final = 230
BARS: Final = 400
NUMBERS: Final = 70
ROW: Final = 24
TOP: Final = 34


@attrs.frozen
class Chart:
    """What a chart shows.

    Args:
        name: Of the file, without its ending.
        title: What stands above.
        part: Which table it is drawn from.
        figure: Which column of it.
        form: How a figure is written.
    """

    name: str
    title: str
    part: str
    figure: str
    form: str = "{:,.0f}"


CHARTS: Final = (
    Chart("performance-requests", "CPU µs of the server for a request", "requests", "cpu_us_per_request"),
    Chart("performance-streams", "CPU µs of the server for an event", "streams", "cpu_us_per_event", "{:.1f}"),
    Chart("performance-memory", "Proportional memory of the server, MB", "requests", "memory_mb"),
)


def drawn(results: Mapping[str, Any]) -> Iterator[tuple[Chart, str]]:
    """Every chart for which there are figures, and what is in its file."""
    for chart in CHARTS:
        rows = {name: row[chart.figure] for name, row in results.get(chart.part, {}).items() if row.get(chart.figure)}
        if rows:
            yield chart, draw(chart, rows)


def draw(chart: Chart, rows: Mapping[str, float]) -> str:
    """One bar for each row, as long as its figure is great; colours that are read on light and dark pages."""
    most = max(rows.values())
    height = TOP + ROW * len(rows) + 6
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LABELS + BARS + NUMBERS} {height}" role="img">',
        '<g font-family="sans-serif" font-size="13" fill="#777">',
        f"<title>{escape(chart.title)}</title>",
        f'<text x="0" y="18" font-weight="bold">{escape(chart.title)}</text>',
    ]
    for number, (name, value) in enumerate(rows.items()):
        top, width = TOP + ROW * number, max(1.0, BARS * value / most)
        colour = "#3b82c4" if name.startswith("llmgate") else "#a0a0a0"
        lines += [
            f'<text x="{LABELS - 8}" y="{top + 15}" text-anchor="end">{escape(name)}</text>',
            f'<rect x="{LABELS}" y="{top + 3}" width="{width:.1f}" height="{ROW - 8}" fill="{colour}"/>',
            f'<text x="{LABELS + width + 6:.1f}" y="{top + 15}">{chart.form.format(value)}</text>',
        ]
    return "\n".join([*lines, "</g></svg>", ""])


def keep(results: Mapping[str, Any], directory: Path) -> list[Chart]:
    """Write every chart for which there are figures into a directory."""
    charts = []
    for chart, text in drawn(results):
        (directory / f"{chart.name}.svg").write_text(text, encoding="utf-8")
        charts.append(chart)
    return charts
