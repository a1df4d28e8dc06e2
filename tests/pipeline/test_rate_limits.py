"""What is left of a provider's limits reaches the caller in the words of his own format."""

from __future__ import annotations

from typing import Any

import pytest

from llmgate.formats import get_format, read_request
from llmgate.spec import ProviderRateLimitError
from llmgate.testing.transport import json_answer, stream_answer
from scripted import OpenBench, delta, failure

LEFT = {"x-ratelimit-remaining-tokens": "7", "x-ratelimit-reset-tokens": "6m0s", "x-internal": "1"}
SHOWN = {"anthropic-ratelimit-tokens-remaining": "7", "anthropic-ratelimit-tokens-reset": "2023-11-14T22:19:20Z"}
ALPHA: dict[str, Any] = {"providers": {"alpha": {"base-url": "https://alpha.test/v1"}}, "routers": {}}
ANSWER = {
    "id": "c",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
}


def asked(wire_format: str, *, stream: bool = False) -> Any:
    rest = b',"stream":true}' if stream else b"}"
    body = b'{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"hi"}]' + rest
    return read_request(get_format(wire_format), body)


@pytest.mark.parametrize(
    ("wire_format", "shown"),
    [("anthropic-messages", SHOWN), ("openai-chat", {name: LEFT[name] for name in LEFT if "rate" in name})],
)
async def test_of_a_whole_answer(bench: OpenBench, wire_format: str, shown: Any) -> None:
    async with bench(json_answer(ANSWER, headers=LEFT), **ALPHA) as b, b.pipeline.exchange() as exchange:
        response = await exchange.send(asked(wire_format))
        assert response.headers == shown


async def test_of_a_stream(bench: OpenBench) -> None:
    events = [delta("hi"), delta(finish="stop"), b"data: [DONE]\n\n"]
    async with bench(stream_answer(*events, headers=LEFT), **ALPHA) as b, b.pipeline.exchange() as exchange:
        stream = await exchange.stream(asked("anthropic-messages", stream=True))
        assert stream.headers == SHOWN
        assert b"".join([piece async for piece in stream]).endswith(b'{"type":"message_stop"}\n\n')


async def test_of_a_refusal(bench: OpenBench) -> None:
    async with bench(failure(429, "slow down", **LEFT), **ALPHA) as b, b.pipeline.exchange() as exchange:
        with pytest.raises(ProviderRateLimitError) as refused:
            await exchange.send(asked("anthropic-messages"))
        assert refused.value.headers == SHOWN
        assert refused.value.body is None


async def test_a_format_without_such_headers_is_shown_none(bench: OpenBench) -> None:
    async with bench(json_answer(ANSWER, headers=LEFT), **ALPHA) as b, b.pipeline.exchange() as exchange:
        body = b'{"contents":[{"role":"user","parts":[{"text":"hi"}]}]}'
        response = await exchange.send(read_request(get_format("gemini-generate-content"), body, model="m"))
        assert response.headers == {}
