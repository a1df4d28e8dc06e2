"""From samples to figures: medians over the repetitions, ratios to bare in the same repetition, and the bars."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import attrs

from benchmarks.imports import ImportCost
from benchmarks.load import Sample, percentile
from benchmarks.payloads import EVENTS
from benchmarks.targets import BARE, DIRECT, LLMGATE

__all__ = ["Bar", "bars", "import_figures", "load_figures"]

BARS: Final = {"import": 1.25, "requests": 0.65, "streams": 0.65}
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
    if BARE in rounds[0]:
        figures["of_bare"] = statistics.median(round_[name].rate / round_[BARE].rate for round_ in rounds)
        if cpu and name != DIRECT:
            figures["cpu_of_bare"] = statistics.median(
                (round_[name].cpu_per_request or 0) / (round_[BARE].cpu_per_request or 1) for round_ in rounds
            )
    return figures


def _median(samples: Sequence[Sample], figure: Callable[[Sample], float]) -> float:
    return statistics.median(figure(sample) for sample in samples)


def bars(results: Mapping[str, Any]) -> Sequence[Bar]:
    """The bars for which there are figures; among them that the load generator was not what was measured."""
    found = []
    if "import" in results:
        figures = results["import"]
        found.append(
            Bar("import llmgate / asyncio + attrs + pluggy", figures["llmgate"]["ratio"], BARS["import"], upper=True)
        )
        heavy = sum(len(figures[name]["loads"]) for name in ("llmgate", "Pipeline"))
        found.append(Bar("heavy modules loaded by importing llmgate", heavy, 0, upper=True))
    for part in ("requests", "streams"):
        figures = results.get(part, {})
        if LLMGATE in figures and BARE in figures:
            found.append(Bar(f"{part}: throughput / bare", figures[LLMGATE]["of_bare"], BARS[part], upper=False))
        served = [target["of_bare"] for name, target in figures.items() if name != DIRECT and "of_bare" in target]
        if DIRECT in figures and served:
            faster = figures[DIRECT]["of_bare"] / max(served)
            found.append(Bar(f"{part}: load alone / fastest target", faster, FAST_ENOUGH, upper=False))
    return found
