"""What a second worker gains, of llmgate and of the bare pass-through.

Only with four CPUs or more has each worker one for itself, and the load and the upstream others. With fewer all share
what there is; then the two gains can be compared with each other, and say little by themselves.
"""

from __future__ import annotations

import os
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from benchmarks.configurations import LLMGATE, PROVIDER, configuration
from benchmarks.load import closed_loop
from benchmarks.loops import run
from benchmarks.processes import Cpus, Process
from benchmarks.targets import BARE, Target, bare, gateway

__all__ = ["ENOUGH_CPUS", "worker_figures"]

ENOUGH_CPUS: Final = 4
CONCURRENCY: Final = 64
WARM_UP: Final = 0.3


def worker_figures(provider: Process, seconds: float, repetitions: int) -> Mapping[str, Any]:
    """Requests a second with one worker and with two, and the gain in the same repetition."""
    cpus = _layout()
    rates: dict[tuple[str, int], list[float]] = {}
    with ExitStack() as exits:
        targets = []
        for workers in (1, 2):
            root = Path(exits.enter_context(tempfile.TemporaryDirectory(prefix="llmgate-bench-")))
            passing = exits.enter_context(bare(provider, cpus[0], root, workers=workers))
            serving = exits.enter_context(
                gateway(configuration(provider.port), cpus[0], root, arguments=["--workers", str(workers)])
            )
            targets += [
                (BARE, workers, Target(BARE, passing)),
                (LLMGATE, workers, Target(LLMGATE, serving, f"{PROVIDER}/")),
            ]
        exits.enter_context(Cpus.pinned(cpus[1]))
        for repetition in range(repetitions + 1):
            for name, workers, target in targets:
                rate = _rate(target, seconds if repetition else WARM_UP)
                if repetition:
                    rates.setdefault((name, workers), []).append(rate)
    return {
        name: {
            "one_worker": statistics.median(rates[name, 1]),
            "two_workers": statistics.median(rates[name, 2]),
            "gain": statistics.median(two / one for one, two in zip(rates[name, 1], rates[name, 2], strict=True)),
        }
        for name in (BARE, LLMGATE)
    }


def _layout() -> tuple[Sequence[int] | None, Sequence[int] | None]:
    """CPUs of the servers, and those of the load."""
    if not hasattr(os, "sched_getaffinity"):
        return None, None
    usable = sorted(os.sched_getaffinity(0))
    return (usable[:2], usable[2:4]) if len(usable) >= ENOUGH_CPUS else (usable, usable)


def _rate(target: Target, seconds: float) -> float:
    return run(
        closed_loop(
            target.process.port,
            target.request(stream=False),
            target.expects(stream=False),
            seconds=seconds,
            concurrency=CONCURRENCY,
        )
    ).rate
