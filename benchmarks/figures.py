"""From samples to figures: medians over the repetitions, ratios to bare in the same repetition, and the bars."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import attrs

from benchmarks.imports import ImportCost
from benchmarks.load import Sample, percentile
from benchmarks.payloads import EVENTS
from benchmarks.targets import BARE, DIRECT, FAILOVER, LLMGATE

__all__ = ["Bar", "bars", "import_figures", "load_figures"]

BARS: Final = {"import": 1.25, "requests": 0.65, "streams": 0.65}
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
    return [*_import_bars(results), *_load_bars(results), *_stream_bars(results), *_format_bars(results)]


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
        for name, what in ((LLMGATE, "throughput"), (FAILOVER, "throughput with failover")):
            if "of_bare" in figures.get(name, {}):
                yield Bar(f"{part}: {what} / bare", figures[name]["of_bare"], BARS[part], upper=False)
        served = [target["of_bare"] for name, target in figures.items() if name != DIRECT and "of_bare" in target]
        if DIRECT in figures and served:
            faster = figures[DIRECT]["of_bare"] / max(served)
            yield Bar(f"{part}: load alone / fastest target", faster, FAST_ENOUGH, upper=False)


def _stream_bars(results: Mapping[str, Any]) -> Iterator[Bar]:
    paced = results.get("paced", {}).get(LLMGATE)
    if paced is not None:
        yield Bar(f"paced: failed of {paced['streams']:,} streams", paced["failed"], 0, upper=True)
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
