"""Tables for people, JSON for programs, and the generated part of ``docs/explanation/performance.md``."""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import json
import os
import platform
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.charts import keep
from benchmarks.figures import Bar
from benchmarks.processes import ROOT, Cpus

__all__ = ["PAGE", "RESULTS", "markdown", "provenance", "with_figures", "write"]

RESULTS: Final = ROOT / "benchmarks" / "results.json"
PAGE: Final = ROOT / "docs" / "explanation" / "performance.md"

BEGIN: Final = "<!-- figures: written by `python -m benchmarks`; run it instead of editing them -->"
END: Final = "<!-- end of figures -->"

TITLES: Final = {
    "import": "Import, fresh interpreters",
    "requests": "Requests over HTTP, 16 at a time",
    "streams": "Streams over HTTP, 16 at a time, 53 events each",
    "rates": "Requests at a steady rate",
    "paced": "Paced streams, all at once",
    "slow-readers": "Clients that stop reading in mid-stream",
    "growth": "Growth: models, keys and routers",
    "workers": "A second worker",
    "in-process": "In process",
    "conversations": "Translation of a request: 50 messages, 20 tools",
    "events": "One event of a stream",
}
COLUMNS: Final[Mapping[str, tuple[str, str]]] = {
    "ms": ("ms", "{:.2f}"),
    "us": ("µs", "{:.1f}"),
    "ratio": ("ratio", "{:.2f}"),
    "of_json": ("of json", "{:.2f}"),
    "streams": ("streams", "{:,}"),
    "failed": ("failed", "{:,}"),
    "requests_per_second": ("requests/s", "{:,.0f}"),
    "events_per_second": ("events/s", "{:,.0f}"),
    "calls_per_second": ("calls/s", "{:,.0f}"),
    "one_worker": ("requests/s, one worker", "{:,.0f}"),
    "two_workers": ("two workers", "{:,.0f}"),
    "gain": ("gain", "{:.2f}"),
    "of_bare": ("of bare", "{:.2f}"),
    "of_bare_fast": ("of bare, uvicorn", "{:.2f}"),
    "cpu_us_per_request": ("CPU µs/request", "{:,.0f}"),
    "cpu_us_per_event": ("CPU µs/event", "{:.1f}"),
    "cpu_us": ("CPU µs/call", "{:,.0f}"),
    "of_smallest": ("of the smallest", "{:.2f}"),
    "cpu_of_bare": ("CPU of bare", "{:.2f}"),
    "first_byte_p50_ms": ("first byte p50 ms", "{:.2f}"),
    "p50_ms": ("p50 ms", "{:.2f}"),
    "p99_ms": ("p99 ms", "{:.2f}"),
    "delay_p50_ms": ("delay p50 ms", "{:.2f}"),
    "delay_p99_ms": ("p99 ms", "{:.2f}"),
    "added_p50_ms": ("added p50 ms", "{:.2f}"),
    "added_p99_ms": ("p99 ms", "{:.2f}"),
    "gap_p50_ms": ("gap p50 ms", "{:.1f}"),
    "gap_p99_ms": ("p99 ms", "{:.1f}"),
    "memory_mb": ("MB", "{:.0f}"),
    "memory_of_bare": ("MB of bare", "{:.2f}"),
    "start_s": ("start s", "{:.2f}"),
    "kb_per_stream": ("kB/stream", "{:.0f}"),
}
PACKAGES: Final = ("llmgate", "aiohttp", "hypercorn", "h11", "starlette", "uvicorn", "httptools", "uvloop", "orjson")


def provenance(cpus: Cpus, *, seconds: float, repetitions: int) -> dict[str, Any]:
    """What the figures depend on; neither a name nor a path of the machine."""
    return {
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "cpu": _cpu_model(),
        "cpus": os.cpu_count(),
        "pinned": cpus.server is not None,
        "system": platform.system(),
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
        "seconds": seconds,
        "repetitions": repetitions,
    }


def _cpu_model() -> str:
    try:
        found = re.search(r"(?m)^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    except OSError:
        found = None
    return found[1].strip() if found else platform.processor() or platform.machine()


def markdown(results: Mapping[str, Any], bars: Sequence[Bar]) -> str:
    """The figures as Markdown, which is good to read in a terminal too."""
    return "\n".join(_lines(results, bars)).rstrip() + "\n"


def _lines(results: Mapping[str, Any], bars: Sequence[Bar]) -> Iterator[str]:
    made = results["made"]
    packages = ", ".join(f"{name} {version}" for name, version in made["packages"].items())
    pinned = "server on one CPU, load and upstream on another" if made["pinned"] else "not pinned to CPUs"
    yield f"{made['date']}, {made['cpu']} ({made['cpus']} CPUs), {made['system']}, Python {made['python']}; {packages}."
    yield f"Medians of {made['repetitions']} interleaved repetitions of {made['seconds']:g} s each; {pinned}."
    yield ""
    for part, title in TITLES.items():
        if part in results:
            yield f"### {title}"
            yield ""
            yield from _table(results[part])
            yield ""
    if bars:
        yield "### Bars"
        yield ""
        yield from _aligned([["", "measured", "bar", ""], *map(_bar_row, bars)])


def _bar_row(bar: Bar) -> list[str]:
    return [
        bar.what,
        f"{bar.value:.2f}",
        f"{'≤' if bar.upper else '≥'} {bar.bound:g}",
        "kept" if bar.kept else "MISSED",
    ]


def _table(figures: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    keys = [key for key in COLUMNS if any(key in row for row in figures.values())]
    rows = [["", *(COLUMNS[key][0] for key in keys)]]
    for name, row in figures.items():
        rows.append([name, *(COLUMNS[key][1].format(row[key]) if key in row else "" for key in keys)])
    return _aligned(rows)


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for number, row in enumerate(rows):
        first, *rest = (cell.ljust(width) if not at else cell.rjust(width) for at, (cell, width) in _cells(row, widths))
        yield f"| {' | '.join([first, *rest])} |"
        if number == 0:
            yield f"|{'-' * (widths[0] + 2)}|{'|'.join('-' * (width + 1) + ':' for width in widths[1:])}|"


def _cells(row: Sequence[str], widths: Sequence[int]) -> Iterator[tuple[int, tuple[str, int]]]:
    return enumerate(zip(row, widths, strict=True))


def with_figures(page: str, figures: str, *, begin: str = BEGIN, end: str = END) -> str:
    """The page with its generated part replaced.

    Raises:
        ValueError: the page has lost the marks around that part.
    """
    head, begun, rest = page.partition(begin)
    _, ended, tail = rest.partition(end)
    if not begun or not ended:
        raise ValueError(f"the page lacks {begin!r} or {end!r}")
    return f"{head}{begin}\n\n{figures}\n{end}{tail}"


def write(results: Mapping[str, Any], bars: Sequence[Bar]) -> None:
    """Keep a run: as JSON, and in the page of the documentation, with its charts beside it."""
    RESULTS.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    charts = keep(results, PAGE.parent)
    pictures = "".join(f"![{chart.title}]({chart.name}.svg)\n\n" for chart in charts)
    figures = pictures + markdown(results, bars)
    PAGE.write_text(with_figures(PAGE.read_text(encoding="utf-8"), figures), encoding="utf-8")
