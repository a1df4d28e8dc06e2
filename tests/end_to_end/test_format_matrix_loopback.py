"""A part of the matrix of formats over real sockets: every pair once, a thought, a text and two calls in one stream."""

from __future__ import annotations

import json

import attrs

from end_to_end.dialects.dialect import Call, Dialect, Said, Wish
from end_to_end.dialects.table import DIALECTS
from end_to_end.loopback import loopback
from llmgate.testing.upstream import FakeUpstream

SAID = Said(
    text="Hello é\r\n world",
    reasoning="Let me see.",
    calls=[Call("call_1", "weather", {"city": "Zürich"}), Call("call_2", "now", {})],
    finish="tools",
)
TOOLS = {"weather": {"type": "object", "properties": {"city": {"type": "string"}}}, "now": {"type": "object"}}


async def one(client: Dialect, provider: Dialect, *, split: int) -> None:
    """One streamed and one whole answer through a gateway of its own."""
    about = f"{client.name} over {provider.name}, pieces of {split} bytes"
    async with FakeUpstream() as upstream:
        upstream.stream(
            provider.events(SAID),
            split=split,
            end="eof",
            headers={"content-type": provider.media_type, **provider.head},
        )
        upstream.answer(body=provider.whole(SAID), headers={"content-type": "application/json", **provider.head})
        providers = {"one": {"base-url": upstream.url, "format": provider.name}}
        async with loopback({"providers": providers}) as gateway:
            for stream in (True, False):
                model = f"one/{provider.model}"
                wish = Wish(tools=TOOLS, model=model, stream=stream)
                reply = await gateway.post(client.write(wish), client.path(model, stream=stream))
                assert (reply.status, reply.whole) == (200, True), f"{about}: {reply.status} {reply.body!r}"
                heard = client.hear_stream(reply.body) if stream else client.hear(reply.body)
                # Where a format has no place for proofs of thought, the ids of calls carry them.
                calls = [attrs.evolve(one, id=one.id.partition("__proof__")[0]) for one in heard.calls]
                assert attrs.evolve(heard, calls=calls) == SAID, f"{about}, {stream=}: {heard}"
            records = await gateway.recorded(2)
            assert [(record.usage.input_tokens, record.usage.output_tokens) for record in records] == [(11, 7)] * 2
        asked = [provider.asked(request.path, json.loads(request.body)) for request in upstream.requests]
        assert [wish.stream for wish in asked] == [True, False], about
        assert attrs.evolve(asked[0], stream=False) == asked[1], about


async def test_every_pair_over_real_sockets() -> None:
    for number, client in enumerate(DIALECTS):
        for place, provider in enumerate(DIALECTS):
            await one(client, provider, split=7 + number + place)
