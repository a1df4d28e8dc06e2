"""What ``pipeline.complete()`` costs over the aiohttp call that it makes; both in one process, in turn.

Run as a program, on the server's CPU: ``in_process.py UPSTREAM_PORT SECONDS REPETITIONS``; it prints JSON.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import aiohttp

from benchmarks.configurations import configuration
from benchmarks.payloads import ANSWER, KEY, MODEL, request_body
from llmgate import Pipeline

__all__ = ["CONCURRENCIES", "measure"]

CONCURRENCIES = (1, 16)
WARM_UP = 50
TEXT = json.loads(ANSWER)["choices"][0]["message"]["content"]

Call = Callable[[], Awaitable[str]]


async def measure(upstream_port: int, seconds: float, repetitions: int) -> Mapping[str, Mapping[str, Any]]:
    """Microseconds and calls per second of both, at each concurrency, as medians over the repetitions."""
    pipeline = Pipeline.from_config(configuration(upstream_port), environment={"BENCH_API_KEY": KEY})
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
        pipeline,
    ):
        calls = {"aiohttp": _aiohttp_call(session, upstream_port), "llmgate": _llmgate_call(pipeline)}
        seen: dict[str, list[tuple[float, float]]] = {}
        for call in calls.values():
            await _round(call, 1, time.perf_counter() + 60, WARM_UP)
        for _ in range(repetitions):
            for concurrency in CONCURRENCIES:
                for name, call in calls.items():
                    figures = await _round(call, concurrency, time.perf_counter() + seconds, sys.maxsize)
                    seen.setdefault(f"{name}, {concurrency} at a time", []).append(figures)
    return {
        name: {
            "calls_per_second": statistics.median(rate for rate, _ in rounds),
            "cpu_us": statistics.median(cpu for _, cpu in rounds) * 1e6,
        }
        for name, rounds in seen.items()
    }


def _aiohttp_call(session: aiohttp.ClientSession, port: int) -> Call:
    """What an application would write without a gateway: JSON out, JSON in, the text of the answer."""
    fields = json.loads(request_body(model=MODEL, stream=False))
    url = f"http://127.0.0.1:{port}/v1/chat/completions"
    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}

    async def call() -> str:
        async with session.post(url, data=json.dumps(fields).encode(), headers=headers) as answer:
            text: str = json.loads(await answer.read())["choices"][0]["message"]["content"]
            return text

    return call


def _llmgate_call(pipeline: Pipeline) -> Call:
    fields = json.loads(request_body(model=f"bench/{MODEL}", stream=False))

    async def call() -> str:
        return (await pipeline.complete(**fields)).text

    return call


async def _round(call: Call, concurrency: int, until: float, limit: int) -> tuple[float, float]:
    """Calls per second and CPU seconds per call."""
    done = 0

    async def keep_busy() -> None:
        nonlocal done
        while time.perf_counter() < until and done < limit:
            if await call() != TEXT:
                raise AssertionError("a wrong answer")
            done += 1

    started, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(keep_busy() for _ in range(concurrency)))
    return done / (time.perf_counter() - started), (time.process_time() - cpu) / done


if __name__ == "__main__":
    print(json.dumps(asyncio.run(measure(int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])))))
