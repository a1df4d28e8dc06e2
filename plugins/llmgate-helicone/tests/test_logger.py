"""What Helicone is told of an exchange, and what happens when it does not listen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import pytest
from llmgate_helicone.config import HeliconeConfig
from llmgate_helicone.exchange import log_request
from llmgate_helicone.logger import HeliconeRecords

from llmgate.spec import Content, DeliveryError, ProviderRequest, ProviderResponse, RecordContent, SecretRef, Usage
from llmgate.testing import AnsweringTransport, FakeClock
from llmgate.testing.conformance import LoggerConformance
from llmgate.testing.samples import sample_record


def test_all_that_the_caller_has_said_is_told() -> None:
    record = sample_record(
        started_at=1_700_000_000.9996,
        duration=1.5,
        first_content=0.25,
        user="ann",
        session_id="s1",
        session_path="/a/b",
        session_name="Trip",
        prompt_id="p",
        properties={"app": "web"},
        router="main",
        team="blue",
        cache="miss",
        cost_nano=1_500_000,
        usage=Usage(input_tokens=10, output_tokens=4, cache_read=6, reasoning=2),
    )
    told = log_request(record)
    assert told["providerRequest"]["url"] == "custom-model-nopath"
    assert told["providerRequest"]["json"] == {"model": record.request_model}
    assert told["providerRequest"]["meta"] == {
        "Helicone-Request-Id": record.id,
        "Helicone-User-Id": "ann",
        "Helicone-Session-Id": "s1",
        "Helicone-Session-Path": "/a/b",
        "Helicone-Session-Name": "Trip",
        "Helicone-Prompt-Id": "p",
        "Helicone-Property-app": "web",
        "Helicone-Property-llmgate-router": "main",
        "Helicone-Property-llmgate-provider": record.provider_name,
        "Helicone-Property-llmgate-outcome": "ok",
        "Helicone-Property-llmgate-cost-usd": "0.001500000",
        "Helicone-Property-llmgate-team": "blue",
        "Helicone-Property-llmgate-cache": "miss",
    }
    assert told["providerResponse"]["json"]["usage"] == {
        "prompt_tokens": 10,
        "completion_tokens": 4,
        "total_tokens": 14,
        "prompt_tokens_details": {"cached_tokens": 6},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }
    assert told["timing"] == {
        "startTime": {"seconds": 1_700_000_001, "milliseconds": 0},
        "endTime": {"seconds": 1_700_000_002, "milliseconds": 500},
        "timeToFirstToken": 250,
    }


def test_what_is_unknown_is_not_nought() -> None:
    told = log_request(sample_record(usage=Usage(output_tokens=3), cost_nano=None, first_content=None))
    assert told["providerResponse"]["json"]["usage"] == {"completion_tokens": 3}
    assert "Helicone-Property-llmgate-cost-usd" not in told["providerRequest"]["meta"]
    assert "timeToFirstToken" not in told["timing"]


@pytest.mark.parametrize(
    ("text", "truncated", "expected"),
    [
        ('{"messages": [1], "usage": {"mine": 1}}', False, {"messages": [1], "usage": {"mine": 1}}),
        ('{"messages": [1', True, {"text": '{"messages": [1', "truncated": True}),
        ("[1]", False, {"text": "[1]", "truncated": False}),
        ("[" * 100_000, False, {"text": "[" * 100_000, "truncated": False}),
        (None, False, {}),
    ],
)
def test_content_is_told_where_it_is_kept(text: str | None, truncated: bool, expected: dict[str, Any]) -> None:
    side = Content(size=9, text=text, truncated=truncated)
    told = log_request(sample_record(content=RecordContent(side, side), usage=None, response_model=None))
    assert told["providerRequest"]["json"] == {**expected, "model": "gpt-4o-mini"}
    assert told["providerResponse"]["json"] == expected


def test_a_failure_is_told_as_one() -> None:
    record = sample_record(
        outcome="error",
        status=502,
        error_code="provider_unreachable",
        error_message="gone",
        usage=None,
        response_model=None,
        request_model=None,
    )
    told = log_request(record)
    assert told["providerResponse"]["status"] == 502
    assert told["providerResponse"]["json"] == {"error": {"code": "provider_unreachable", "message": "gone"}}
    assert told["providerRequest"]["json"] == {"model": "unknown"}


async def opened(tmp_path: Path, answer: Any, **fields: Any) -> tuple[HeliconeRecords, AnsweringTransport]:
    kit = LoggerConformance()
    kit.secrets = {"env:HELICONE_API_KEY": "sk-canary"}  # type: ignore[misc] - of this kit alone
    transport = AnsweringTransport(answer)
    stage = HeliconeRecords(HeliconeConfig(**fields))
    await stage.open(attrs.evolve(kit.make_context(tmp_path, FakeClock()), transport=transport))
    return stage, transport


async def test_while_helicone_does_not_listen_nothing_is_lost(tmp_path: Path) -> None:
    down = True

    def answer(_: ProviderRequest) -> ProviderResponse:
        return ProviderResponse(500 if down else 200, {}, b"")

    stage, transport = await opened(tmp_path, answer, url="https://helicone.test/worker/")
    for _ in range(3):
        await stage.record(sample_record())
    with pytest.raises(DeliveryError, match="Helicone answers 500"):
        await stage.flush()
    down = False
    await stage.flush()
    assert len(transport.requests) == 6
    assert {request.url for request in transport.requests} == {"https://helicone.test/worker/custom/v1/log"}


async def test_one_that_it_will_not_have_holds_up_no_other(tmp_path: Path) -> None:
    poison = sample_record()
    taken: set[str] = set()

    def answer(request: ProviderRequest) -> ProviderResponse:
        told = json.loads(request.body or b"")["providerRequest"]["meta"]["Helicone-Request-Id"]
        if told == poison.id:
            return ProviderResponse(400, {}, b"")
        taken.add(told)
        return ProviderResponse(200, {}, b"")

    stage, _ = await opened(tmp_path, answer)
    records = [sample_record(), poison, sample_record()]
    for record in records:
        await stage.record(record)
    await stage.flush()
    assert taken == {records[0].id, records[2].id}
    assert stage.refused == 1


async def test_a_key_that_is_gone_loses_no_record(tmp_path: Path) -> None:
    stage, transport = await opened(
        tmp_path, lambda _: ProviderResponse(200, {}, b""), api_key=SecretRef("env", "GONE")
    )
    await stage.record(sample_record())
    with pytest.raises(DeliveryError, match="env:GONE"):
        await stage.flush()
    assert transport.requests == []
