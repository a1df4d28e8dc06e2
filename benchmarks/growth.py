"""Whether a request costs more where more is configured: ten, a thousand, ten thousand models, keys and routers.

Exchanges in one process, over a transport that answers at once, so that nothing hides what a look-up costs. No file may
say as much (``config.source.MAX_NODES``), so its bound is lifted here. Run as a program it prints JSON:
``growth.py SECONDS REPETITIONS SIZE...``.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import random
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from benchmarks.configurations import PROVIDER, configuration
from benchmarks.guards import Ready
from benchmarks.payloads import KEY, request_body
from llmgate import Pipeline
from llmgate.config import source
from llmgate.formats import get_format, read_request
from llmgate.spec import Credentials

__all__ = ["KINDS", "SIZES", "growth_figures", "of_size"]

SIZES: Final = (10, 1_000, 10_000)
KINDS: Final = ("keys", "models", "routers")
BATCH: Final = 50


def of_size(kind: str, size: int) -> Mapping[str, Any]:
    """A configuration with so many of a kind, of which the load uses the last.

    Args:
        kind: One of ``KINDS``.
        size: How many.
    """
    numbers = range(1, size + 1)
    router = {"load-balance": {"chat": {"strategy": "priority", "providers": [PROVIDER]}}}
    keys = [{"name": f"key-{number}", "secret": f"env:KEY_{number}"} for number in numbers]
    return {
        **configuration(1),
        "loggers": [],
        "auth": [{"use": "static-keys", "keys": keys if kind == "keys" else keys[-1:]}],
        "models": {f"model-{number}": [f"{PROVIDER}/upstream"] for number in (numbers if kind == "models" else [size])},
        "routers": {f"router-{number}": router for number in (numbers if kind == "routers" else [size])},
    }


async def growth_figures(
    seconds: float, repetitions: int, sizes: Sequence[int] = SIZES
) -> Mapping[str, Mapping[str, Any]]:
    """Microseconds of CPU time of a request, for each kind and size, and their ratio to the smallest.

    Args:
        seconds: Length of a repetition.
        repetitions: How many there are.
        sizes: How many of each kind there are, from few to many.
    """
    source.MAX_NODES = 10**9  # type: ignore[misc]  # see above
    seen: dict[tuple[str, int], list[float]] = {}
    async with contextlib.AsyncExitStack() as exits:
        pipelines = []
        for kind in KINDS:
            for size in sizes:
                variables = {"BENCH_API_KEY": KEY, **{f"KEY_{number}": f"{KEY}-{number}" for number in range(size + 1)}}
                pipeline = Pipeline.from_config(of_size(kind, size), environment=variables, transport=Ready())
                pipelines.append((kind, size, await exits.enter_async_context(pipeline)))
        gc.freeze()
        chance = random.Random(20)
        for repetition in range(repetitions + 1):
            chance.shuffle(pipelines)
            for kind, size, pipeline in pipelines:
                cpu = await _cpu(pipeline, size, seconds)
                if repetition:
                    seen.setdefault((kind, size), []).append(cpu)
    return {
        f"{size:,} {kind}": {
            "cpu_us_per_request": statistics.median(seen[kind, size]) * 1e6,
            "of_smallest": statistics.median(
                one / least for one, least in zip(seen[kind, size], seen[kind, sizes[0]], strict=True)
            ),
        }
        for kind in KINDS
        for size in sizes
    }


async def _cpu(pipeline: Pipeline, size: int, seconds: float) -> float:
    """CPU seconds of one request, half of them by a model's own name and half by a router's."""
    wire_format = get_format("openai-chat")
    credentials = Credentials.of(f"{KEY}-{size}")
    named = request_body(model=f"model-{size}", stream=False)
    routed = request_body(model="upstream", stream=False)
    done, begun, until = 0, time.process_time(), time.perf_counter() + seconds
    while time.perf_counter() < until:
        for _ in range(BATCH):
            for body, router in ((named, None), (routed, f"router-{size}")):
                async with pipeline.exchange(credentials=credentials) as exchange:
                    response = await exchange.send(read_request(wire_format, body, router=router))
                    assert response.status == 200
        done += 2 * BATCH
    return (time.process_time() - begun) / done


if __name__ == "__main__":
    counts = [int(size) for size in sys.argv[3:]] or SIZES
    print(json.dumps(asyncio.run(growth_figures(float(sys.argv[1]), int(sys.argv[2]), counts))))
