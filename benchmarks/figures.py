"""From samples to figures: medians over the repetitions, ratios to bare in the same repetition, and the bars."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import attrs

from benchmarks.configurations import (
    EVERYTHING,
    FAILOVER,
    FAST,
    FAST_EVERYTHING,
    FAST_TRANSLATED,
    LLMGATE,
    RECORDED,
    TRANSLATED,
    UNRECORDED,
)
from benchmarks.imports import ImportCost
from benchmarks.load import Sample, percentile
from benchmarks.payloads import EVENTS
from benchmarks.targets import BARE, BARE_FAST, DIRECT, NGINX
from benchmarks.workers import ENOUGH_CPUS

__all__ = ["Bar", "bars", "import_figures", "load_figures"]

BARS: Final = {"import": 1.25, "requests": 0.65, "streams": 0.8}
FAILOVER_BAR: Final = 0.65
FAST_ONES: Final = frozenset({BARE_FAST, FAST, FAST_EVERYTHING, FAST_TRANSLATED})
"""What runs on uvicorn, and is compared with the bare pass-through on it as well."""
AIMS: Final[Sequence[tuple[str, str, str, str, float, bool]]] = (
    ("requests", LLMGATE, "cpu_of_bare", "CPU of bare", 1.15, True),
    ("requests", EVERYTHING, "cpu_of_bare", "CPU of bare, everything on", 1.5, True),
    ("requests", EVERYTHING, "memory_of_bare", "memory of bare, everything on", 2.0, True),
    ("requests", RECORDED, "of_unrecorded", "throughput with full recording of that with none", 0.85, False),
    ("streams", FAST, "of_bare_fast", "events/s of bare on uvicorn, llmgate[fast]", 0.8, False),
    ("streams", TRANSLATED, "of_bare", "translated, events/s of bare", 0.2, False),
    ("streams", FAST_TRANSLATED, "of_bare_fast", "translated, llmgate[fast], events/s of bare on uvicorn", 0.35, False),
)
"""What is aimed at: part, target, figure, in words, bound, and whether that is an upper one."""
ADDED_OF_BARE: Final = 1.5
ADDED_MS: Final = 8.0
STREAM_KB: Final = 100
IN_PROCESS: Final = 2.0
GROWTH: Final = 1.15
GAIN: Final = 0.9
SLOW_READER_KB: Final = 256
CONVERSATION_MS: Final = 2
RELAYED_EVENT_US: Final = 30
TRANSLATED_EVENT_US: Final = 60
FAST_ENOUGH: Final = 2.0
"""How many times faster than the fastest target the load and the upstream alone must be."""


@attrs.frozen
class Bar:
    """A figure that must not be missed.

    Args:
        what: In words.
        value: What was measured.
        bound: The worst that is good enough.
        upper: Whether the bound is an upper one.
    """

    what: str
    value: float
    bound: float
    upper: bool

    @property
    def kept(self) -> bool:
        """Whether the figure is good enough."""
        return self.value <= self.bound if self.upper else self.value >= self.bound


def import_figures(costs: Mapping[str, ImportCost]) -> dict[str, Any]:
    """Milliseconds of each statement, and its ratio to the first."""
    base = next(iter(costs.values())).seconds
    return {
        name: {"ms": cost.seconds * 1e3, "ratio": cost.seconds / base, "loads": list(cost.loaded)}
        for name, cost in costs.items()
    }


def load_figures(rounds: Sequence[Mapping[str, Sample]], *, streams: bool) -> dict[str, Any]:
    """Figures of each target.

    Args:
        rounds: A sample of each target, one mapping for each repetition.
        streams: Whether the answers were streams, so that events count.
    """
    return {name: _target(name, rounds, streams=streams) for name in rounds[0]}


def _target(name: str, rounds: Sequence[Mapping[str, Sample]], *, streams: bool) -> dict[str, Any]:
    samples = [round_[name] for round_ in rounds]
    measures = EVENTS if streams else 1
    figures: dict[str, Any] = {
        "events_per_second" if streams else "requests_per_second": _median(samples, lambda s: s.rate * measures),
        "p50_ms": _median(samples, lambda s: percentile(s.latencies, 50) * 1e3),
        "p99_ms": _median(samples, lambda s: percentile(s.latencies, 99) * 1e3),
    }
    if streams:
        figures["first_byte_p50_ms"] = _median(samples, lambda s: percentile(s.first_bytes, 50) * 1e3)
    cpu = [sample.cpu_per_request for sample in samples if sample.cpu_per_request is not None]
    if cpu and name != DIRECT:
        figures["cpu_us_per_request"] = statistics.median(cpu) * 1e6
        if streams:
            figures["cpu_us_per_event"] = statistics.median(cpu) * 1e6 / EVENTS
    if name != DIRECT and all(sample.memory for sample in samples):
        figures["memory_mb"] = _median(samples, lambda s: (s.memory or 0) / 1e6)
    if name == RECORDED and UNRECORDED in rounds[0]:
        figures["of_unrecorded"] = statistics.median(round_[name].rate / round_[UNRECORDED].rate for round_ in rounds)
    if BARE_FAST in rounds[0] and name in FAST_ONES:
        figures["of_bare_fast"] = statistics.median(round_[name].rate / round_[BARE_FAST].rate for round_ in rounds)
    if BARE in rounds[0]:
        figures["of_bare"] = statistics.median(round_[name].rate / round_[BARE].rate for round_ in rounds)
        if "memory_mb" in figures:
            bare = [round_[BARE] for round_ in rounds]
            figures["memory_of_bare"] = figures["memory_mb"] / _median(bare, lambda s: (s.memory or 0) / 1e6)
        if cpu and name != DIRECT:
            figures["cpu_of_bare"] = statistics.median(
                (round_[name].cpu_per_request or 0) / (round_[BARE].cpu_per_request or 1) for round_ in rounds
            )
    return figures


def _median(samples: Sequence[Sample], figure: Callable[[Sample], float]) -> float:
    return statistics.median(figure(sample) for sample in samples)


def bars(results: Mapping[str, Any]) -> Sequence[Bar]:
    """The bars for which there are figures; among them that the load generator was not what was measured."""
    kinds = (_import_bars, _load_bars, _aimed_bars, _rate_bars, _stream_bars, _scale_bars, _format_bars)
    return [bar for kind in kinds for bar in kind(results)]


def _import_bars(results: Mapping[str, Any]) -> Iterator[Bar]:
    if "import" not in results:
        return
    figures = results["import"]
    yield Bar("import llmgate / asyncio + attrs + pluggy", figures["llmgate"]["ratio"], BARS["import"], upper=True)
    heavy = sum(len(figures[name]["loads"]) for name in ("llmgate", "Pipeline"))
    yield Bar("heavy modules loaded by importing llmgate", heavy, 0, upper=True)


def _load_bars(results: Mapping[str, Any]) -> Iterator[Bar]:
    for part in ("requests", "streams"):
        figures = results.get(part, {})
        throughputs = ((LLMGATE, "throughput", BARS[part]), (FAILOVER, "throughput with failover", FAILOVER_BAR))
        for name, what, bound in throughputs:
            if "of_bare" in figures.get(name, {}):
                yield Bar(f"{part}: {what} / bare", figures[name]["of_bare"], bound, upper=False)
        # nginx is as fast as the load and the upstream: of it only the CPU time says something
        passed = [target for name, target in figures.items() if name not in (DIRECT, NGINX)]
        served = [target["of_bare"] for target in passed if "of_bare" in target]
        if DIRECT in figures and served:
            faster = figures[DIRECT]["of_bare"] / max(served)
            yield Bar(f"{part}: load alone / fastest target", faster, FAST_ENOUGH, upper=False)


def _aimed_bars(results: Mapping[str, Any]) -> Iterator[Bar]:
    for part, name, figure, what, bound, upper in AIMS:
        found = results.get(part, {}).get(name, {}).get(figure)
        if found is not None:
            yield Bar(f"{part}: {what}", found, bound, upper=upper)


def _rate_bars(results: Mapping[str, Any]) -> Iterator[Bar]:
    rates = results.get("rates", {})
    bare, mine = rates.get(f"{BARE}, 200/s", {}), rates.get(f"{EVERYTHING}, 200/s", {})
    if "added_p50_ms" in bare and "added_p50_ms" in mine:
        ratio = mine["added_p50_ms"] / bare["added_p50_ms"]
        yield Bar("rates: p50 added at 200/s / bare's, everything on", ratio, ADDED_OF_BARE, upper=True)
    busy = rates.get(f"{EVERYTHING}, 1000/s", {})
    if "added_p50_ms" in busy:
        yield Bar("rates: p50 added at 1,000/s, everything on, ms", busy["added_p50_ms"], ADDED_MS, upper=True)


def _scale_bars(results: Mapping[str, Any]) -> Iterator[Bar]:
    grown = [row["of_smallest"] for row in results.get("growth", {}).values()]
    if grown:
        yield Bar("growth: CPU of a request, most of the smallest", max(grown), GROWTH, upper=True)
    gains = {name: row["gain"] for name, row in results.get("workers", {}).items()}
    if gains and results["made"]["cpus"] >= ENOUGH_CPUS:
        yield Bar("workers: gain of a second / bare's own", gains[LLMGATE] / gains[BARE], GAIN, upper=False)
    calls = results.get("in-process", {})
    for row in ("1 at a time", "16 at a time"):
        if {f"aiohttp, {row}", f"llmgate, {row}"} <= calls.keys():
            ratio = calls[f"llmgate, {row}"]["cpu_us"] / calls[f"aiohttp, {row}"]["cpu_us"]
            yield Bar(f"in process: CPU of a call / aiohttp's, {row}", ratio, IN_PROCESS, upper=True)


def _stream_bars(results: Mapping[str, Any]) -> Iterator[Bar]:
    paced = results.get("paced", {}).get(LLMGATE)
    if paced is not None:
        yield Bar(f"paced: failed of {paced['streams']:,} streams", paced["failed"], 0, upper=True)
        if "kb_per_stream" in paced:
            yield Bar("paced: kB a stream", paced["kb_per_stream"], STREAM_KB, upper=True)
    slow = results.get("slow-readers", {}).get(LLMGATE)
    if slow is not None:
        yield Bar("slow readers: kB a stream", slow["kb_per_stream"], SLOW_READER_KB, upper=True)


def _format_bars(results: Mapping[str, Any]) -> Iterator[Bar]:
    if "conversations" in results:
        slowest = max(row["ms"] for row in results["conversations"].values())
        yield Bar("translation of a conversation, slowest, ms", slowest, CONVERSATION_MS, upper=True)
    if "events" in results:
        relayed = [row["us"] for name, row in results["events"].items() if " to " not in name]
        translated = [row["us"] for name, row in results["events"].items() if " to " in name]
        yield Bar("relayed event, slowest format, µs", max(relayed), RELAYED_EVENT_US, upper=True)
        yield Bar("translated event, slowest pair, µs", max(translated), TRANSLATED_EVENT_US, upper=True)
