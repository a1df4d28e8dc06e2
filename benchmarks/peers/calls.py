"""What a call costs by a client library, in process: ``... LIBRARY,LIBRARY PORT SECONDS REPETITIONS``; prints JSON.

Imports nothing of llmgate: it runs in environments of their own. One call after another, the client kept.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.metadata
import json
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from benchmarks.payloads import KEY, MODEL, TEXT, request_body

Call = Callable[[], Awaitable[str]]
WARM_UP = 20


def _fields() -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(request_body(model=MODEL, stream=False))
    return fields


def openai(url: str) -> Call:
    client = importlib.import_module("openai").AsyncOpenAI(base_url=url, api_key=KEY, max_retries=0)

    async def call() -> str:
        answer = await client.chat.completions.create(**_fields())
        text: str = answer.choices[0].message.content
        return text

    return call


def litellm(url: str) -> Call:
    library = importlib.import_module("litellm")

    async def call() -> str:
        answer = await library.acompletion(**{**_fields(), "model": f"openai/{MODEL}"}, api_base=url, api_key=KEY)
        text: str = answer.choices[0].message.content
        return text

    return call


def any_llm(url: str) -> Call:
    library = importlib.import_module("any_llm").AnyLLM.create("openai", api_key=KEY, api_base=url)

    async def call() -> str:
        answer = await library.acompletion(**_fields())
        text: str = answer.choices[0].message.content
        return text

    return call


LIBRARIES: Mapping[str, tuple[str, Callable[[str], Call]]] = {
    "openai": ("openai", openai),
    "litellm": ("litellm", litellm),
    "any-llm": ("any-llm-sdk", any_llm),
}


async def measure(name: str, port: int, seconds: float, repetitions: int) -> Mapping[str, Any]:
    package, make = LIBRARIES[name]
    begun = time.perf_counter()
    call = make(f"http://127.0.0.1:{port}/v1")
    ready = time.perf_counter() - begun
    for _ in range(WARM_UP):
        if await call() != TEXT:
            raise AssertionError("a wrong answer")
    rates, spent = [], []
    for _ in range(repetitions):
        done, started, cpu = 0, time.perf_counter(), time.process_time()
        while time.perf_counter() - started < seconds:
            await call()
            done += 1
        rates.append(done / (time.perf_counter() - started))
        spent.append((time.process_time() - cpu) / done)
    return {
        "version": importlib.metadata.version(package),
        "calls_per_second": statistics.median(rates),
        "cpu_us": statistics.median(spent) * 1e6,
        "start_s": ready,
    }


if __name__ == "__main__":
    names, port, seconds, repetitions = sys.argv[1:5]
    print(
        json.dumps(
            {
                f"{name}, 1 at a time": asyncio.run(measure(name, int(port), float(seconds), int(repetitions)))
                for name in names.split(",")
            }
        )
    )
