"""A hundred reloads under load: nobody notices but by the new configuration."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from end_to_end.loopback import MESSAGES, loopback, settings_for
from llmgate import ConfigError
from llmgate.testing.upstream import FakeUpstream

RELOADS = 100


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
