"""A hundred reloads under load: nobody notices but by the new configuration."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from end_to_end.gateways import gateway
from end_to_end.loopback import MESSAGES, loopback, settings_for
from llmgate import ConfigError
from llmgate.testing.upstream import FakeUpstream

RELOADS = 100
SIGNALS = int(os.environ.get("LLMGATE_RELOADS", "10"))
"""Reloads of a served configuration; a release is tried with a hundred."""
PAUSE = 0.6
"""Seconds between two of them: a hundred a minute."""


def edition(upstream: FakeUpstream, number: int) -> dict[str, Any]:
    """A configuration that differs from the last one in what its requests are translated to, and in its stages."""
    settings = settings_for(upstream)
    chat = {"strategy": "model-weighted", "models": [{"model": f"one/edition-{number}", "weight": 1}]}
    settings["routers"]["main"] = {"load-balance": {"chat": chat}, "retries": {"max-retries": number % 3}}
    settings["timeouts"] = {"total": f"{60 + number}s"}
    settings["interceptors"] = [{"use": "request-rules", "max-concurrent-attempts": 1000 + number}]
    return settings


async def test_a_hundred_reloads_fail_no_request() -> None:
    async with FakeUpstream() as one, loopback(edition(one, 0)) as gateway:
        over = asyncio.Event()
        statuses: list[int] = []
        models: set[str] = set()

        async def caller(*, stream: bool) -> None:
            while not over.is_set():
                reply = await gateway.post({"model": "m", "messages": MESSAGES, "stream": stream})
                statuses.append(reply.status)
                assert reply.whole
                models.add(reply.headers["llmgate-model"])
                if stream:
                    assert reply.events[-1] == b"data: [DONE]"
                else:
                    assert json.loads(reply.body)["choices"]

        callers = [asyncio.create_task(caller(stream=number % 2 == 0)) for number in range(8)]
        for number in range(1, RELOADS + 1):
            await gateway.pipeline.reload(edition(one, number))
            if number % 10 == 0:
                with pytest.raises(ConfigError, match="unknown key 'routrs'"):
                    await gateway.pipeline.reload({**edition(one, number), "routrs": {}})
            await asyncio.sleep(0)
        over.set()
        await asyncio.gather(*callers)
        reply = await gateway.post({"model": "m", "messages": MESSAGES})
        assert reply.headers["llmgate-model"] == f"edition-{RELOADS}"
    assert set(statuses) == {200}
    assert len(models) > 3, "requests came in between"


def written(number: int) -> str:
    return f"""
providers: {{echo: {{}}}}
loggers: []
server: {{local-share: true}}
timeouts: {{total: {60 + number}s}}
routers:
  main:
    load-balance:
      chat: {{strategy: model-weighted, models: [{{model: echo/edition-{number}, weight: 1}}]}}
interceptors:
  - {{use: request-rules, max-concurrent-attempts: {1000 + number}}}
"""


@pytest.mark.slow
@pytest.mark.timeout(120 + SIGNALS)
async def test_a_server_that_is_reloaded_a_hundred_times_a_minute_fails_no_request(tmp_path: Path) -> None:
    """By signal, with two workers, while requests and streams come over connections that stay open."""
    file = tmp_path / "llmgate.yaml"
    file.write_text(written(0))
    found: Counter[int | str] = Counter()
    editions: set[str] = set()
    over = asyncio.Event()
    with gateway(tmp_path, "--workers", "2") as server:

        async def caller(client: aiohttp.ClientSession, *, stream: bool) -> None:
            body = {"model": "m", "messages": MESSAGES, "stream": stream}
            while not over.is_set():
                try:
                    async with client.post(f"{server.url}/router/main/chat/completions", json=body) as reply:
                        data = await reply.read()
                except aiohttp.ClientError as failure:
                    found[repr(failure)] += 1
                    continue
                whole = data.endswith(b"data: [DONE]\n\n") if stream else b'"choices"' in data
                found[reply.status if whole else f"cut: {data[-80:]!r}"] += 1
                editions.add(reply.headers.get("llmgate-model", ""))
                await asyncio.sleep(0.005)

        async with aiohttp.ClientSession() as client:
            callers = [asyncio.create_task(caller(client, stream=number % 2 == 0)) for number in range(8)]
            begun = time.monotonic()
            for number in range(1, SIGNALS + 1):
                file.write_text(written(number))
                server.signal(signal.SIGHUP)
                await asyncio.sleep(max(0.0, begun + number * PAUSE - time.monotonic()))
            deadline = time.monotonic() + 30
            while f"edition-{SIGNALS}" not in editions and time.monotonic() < deadline:
                await asyncio.sleep(0.1)
            over.set()
            await asyncio.gather(*callers)
    assert set(found) == {200}, found
    assert f"edition-{SIGNALS}" in editions
    assert len(editions) > SIGNALS / 2, "requests came in between"
