"""A key that is exchanged, and whose predecessor is refused at once, in the middle of a burst: no request fails."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from llmgate import Pipeline
from llmgate.testing.upstream import FakeUpstream

HELLO = [{"role": "user", "content": "Hello"}]
ANSWER = {
    "id": "1",
    "object": "chat.completion",
    "model": "gpt-4o",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello!"}, "finish_reason": "stop"}],
}


class Vendor:
    """Takes one key at a time."""

    def __init__(self, upstream: FakeUpstream, valid: str) -> None:
        self.valid = valid
        self.refused = 0
        upstream.script(self._behave, times=10_000)

    async def _behave(self, request: Any, connection: Any) -> None:
        await asyncio.sleep(0.02)  # so that many requests are on their way when the key changes
        known = request.headers["authorization"] == f"Bearer {self.valid}"
        self.refused += not known
        data = json.dumps(ANSWER if known else {"error": {"message": "wrong key", "code": "invalid_api_key"}}).encode()
        head = {"content-type": "application/json", "content-length": str(len(data))}
        await connection.write_head(200 if known else 401, head)
        await connection.write(data)


@pytest.mark.parametrize("store", ["file", "env"])
@pytest.mark.parametrize("several", [False, True], ids=["alone", "with a second provider"])
async def test_no_request_fails_when_a_key_is_exchanged(tmp_path: Path, store: str, several: bool) -> None:
    dotenv = tmp_path / ".env"

    def write(key: str) -> None:
        """Not at one stroke, as an editor would."""
        (tmp_path / "key").write_text("")
        (tmp_path / "key").write_text(key)
        dotenv.write_text("")
        dotenv.write_text(f"KEY={key}\n")

    write("key-1")
    async with FakeUpstream() as upstream:
        vendor = Vendor(upstream, "key-1")
        config = {
            "providers": {
                "mine": {
                    "base-url": f"{upstream.url}/v1",
                    "secret": "env:KEY" if store == "env" else f"file:{tmp_path / 'key'}",
                },
            },
        }
        if several:
            config["providers"]["other"] = {"base-url": "http://127.0.0.1:1/v1", "secret": "env:OTHER"}
        environment = {"OTHER": "x"}
        async with Pipeline.from_config(config, environment=environment, dotenv=dotenv) as pipeline:

            async def ask() -> None:
                await pipeline.complete(model="mine/gpt-4o", messages=HELLO)

            burst = []
            for number in range(240):
                if number == 120:
                    write("key-2")
                    vendor.valid = "key-2"
                burst.append(asyncio.create_task(ask()))
                if number % 60 == 59:
                    await asyncio.sleep(0.01)
            failed = [one for one in await asyncio.gather(*burst, return_exceptions=True) if one is not None]
            assert failed == []
            assert vendor.refused > 20, "the test itself: many were on their way with the old key"
            for _ in range(5):
                await ask()
