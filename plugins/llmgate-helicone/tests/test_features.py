"""``helicone.features: observability`` alone has every request told to the Helicone that keys come from."""

from __future__ import annotations

import json
from typing import Any

import pytest
from llmgate_helicone.logger import HeliconeRecords

import llmgate
from llmgate.testing import AnsweringTransport
from llmgate.testing.transport import json_answer

CREDENTIAL = "sk-helicone-canary-0123456789"


@pytest.mark.parametrize("wish", [{"features": "observability"}, {"features": "all"}, {"observability": True}])
async def test_requests_are_told_where_keys_come_from(wish: dict[str, Any]) -> None:
    config = {
        "providers": {"echo": {}},
        "auth": [{"use": "static-keys", "keys": [{"name": "ann", "secret": "env:ANNS_KEY"}]}],
        "helicone": {**wish, "base-url": "https://helicone.internal/jawn"},
    }
    environment = {"HELICONE_CONTROL_PLANE_API_KEY": CREDENTIAL, "ANNS_KEY": "sk-ann-0123456789"}
    transport = AnsweringTransport(lambda _: json_answer({}))
    pipeline = llmgate.Pipeline.from_config(config, environment=environment, transport=transport)
    async with pipeline:
        assert [type(stage) for _, stage in pipeline.snapshot.loggers] == [HeliconeRecords]
        answer = await pipeline.complete(model="echo/echo", messages=[{"role": "user", "content": "Where is it?"}])
    (told,) = transport.requests
    assert told.url == "https://helicone.internal/jawn/v1/trace/custom/v1/log"
    assert dict(told.headers)["authorization"] == f"Bearer {CREDENTIAL}"
    body = json.loads(told.body)
    assert body["providerRequest"]["meta"]["Helicone-Request-Id"] == answer.exchange.id
    assert b"Where is it?" not in told.body, "content is told only where records keep it"
