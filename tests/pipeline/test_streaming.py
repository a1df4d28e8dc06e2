from __future__ import annotations

import json
from typing import Any

import attrs
import pytest

from llmgate.formats import get_format, read_request
from llmgate.spec import (
    Aspect,
    ChatChoice,
    ChatResponse,
    FinishReason,
    GatewayChunk,
    GatewayResponse,
    Interceptor,
    Message,
    Outcome,
    ProviderConnectionError,
    ProviderError,
    ProviderProtocolError,
    Role,
    Text,
    Usage,
    hookimpl,
)
from llmgate.testing.transport import stream_answer
from scripted import DONE, MESSAGES, ROLE, USAGE, OpenBench, completion, delta, event, failure, streamed

FORMAT = get_format("openai-chat")
LOST = ProviderConnectionError("lost", provider_name="alpha", retryable=True)
ERROR_EVENT = b'data: {"error": {"message": "overloaded", "type": "overloaded_error"}}\n\n'


def chat(model: str = "m", **fields: Any) -> Any:
    body = json.dumps({"model": model, "messages": MESSAGES, "stream": True, **fields}).encode()
    return read_request(FORMAT, body, router="main")


async def frames(b: Any, **fields: Any) -> bytes:
    async with b.pipeline.exchange() as x:
        return b"".join([frame async for frame in await x.stream(chat(**fields))])


def intercepting(interceptor: type[Interceptor[Any]]) -> dict[str, Any]:
    class Plugin:
        @hookimpl
        def llmgate_register_interceptors(self) -> Any:
            return interceptor

    return {"plugins": (Plugin(),), "interceptors": [{"use": interceptor.name}]}


async def test_a_stream_is_relayed_byte_by_byte(bench: OpenBench) -> None:
    events = [b": a comment\n\n", ROLE, delta("h\u00e9"), b"data: " + b'{"x" : 1, "choices": []}\r\n\r\n', DONE]
    async with bench(stream_answer(*events)) as b:
        assert await frames(b, stream_options={"include_usage": True}) == b"".join(events)


async def test_usage_is_asked_for_and_the_event_withheld_from_a_client_who_did_not_ask(bench: OpenBench) -> None:
    async with bench(streamed("a"), streamed("a")) as b:
        silent = await frames(b)
        assert b.bodies[0]["stream_options"] == {"include_usage": True}
        assert USAGE not in silent
        assert silent.endswith(DONE)
        assert USAGE in await frames(b, stream_options={"include_usage": True})
        records = await b.records()
        assert [record.usage for record in records] == [Usage(3, 2), Usage(3, 2)]


@pytest.mark.parametrize(
    "first",
    [
        pytest.param(LOST, id="refused"),
        pytest.param(failure(503), id="503"),
        pytest.param(stream_answer(LOST), id="reset before the first event"),
        pytest.param(stream_answer(ROLE, LOST), id="reset before content"),
        pytest.param(stream_answer(ROLE), id="ends before content"),
        pytest.param(stream_answer(), id="empty"),
        pytest.param(stream_answer(ERROR_EVENT), id="error event first"),
        pytest.param(stream_answer(ROLE, ERROR_EVENT), id="error event before content"),
        pytest.param(stream_answer(b"data: {not json\n\n"), id="garbage"),
        pytest.param(completion("whole"), id="a whole answer"),
        pytest.param(stream_answer(b"<html>", headers={"content-type": "text/html"}), id="html"),
    ],
)
async def test_before_the_first_content_failover_is_invisible(bench: OpenBench, first: Any) -> None:
    async with bench(first, streamed("from beta")) as b:
        out = await frames(b)
        assert b"from beta" in out
        assert out.count(b'"role"') == 1
        assert b"error" not in out
        (record,) = await b.records()
        assert record.outcome == "ok"
        assert len(record.attempts) == 2


@pytest.mark.parametrize(
    ("ending", "kind"),
    [
        pytest.param([LOST], ProviderConnectionError, id="reset"),
        pytest.param([], ProviderProtocolError, id="ends without its terminal marker"),
        pytest.param([b"data: {half"], ProviderProtocolError, id="ends inside an event"),
        pytest.param([ERROR_EVENT], ProviderError, id="error event"),
        pytest.param([ERROR_EVENT, DONE], ProviderError, id="error event, then the terminal marker"),
    ],
)
async def test_after_the_first_content_a_failure_is_raised_and_never_shown_as_an_end(
    bench: OpenBench, ending: list[Any], kind: type[Exception]
) -> None:
    async with bench(stream_answer(ROLE, delta("one "), delta("two"), *ending)) as b:
        got = b""
        with pytest.raises(kind):
            async with b.pipeline.exchange() as x:
                async for frame in await x.stream(chat()):
                    got += frame
        assert got == ROLE + delta("one ") + delta("two")
        assert len(b.urls) == 1
        (record,) = await b.records()
        assert record.outcome == "incomplete"
        assert record.attempts[0].error_code is not None


async def test_content_that_came_in_one_piece_with_the_error_still_reaches_the_client(bench: OpenBench) -> None:
    async with bench(stream_answer(ROLE + delta("one") + ERROR_EVENT)) as b:
        got = b""
        with pytest.raises(ProviderError, match="overloaded"):
            async with b.pipeline.exchange() as x:
                async for frame in await x.stream(chat()):
                    got += frame
        assert got == ROLE + delta("one")


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
async def test_the_answer_is_the_same_however_the_bytes_are_split(bench: OpenBench, size: int) -> None:
    whole = b"".join([ROLE, delta("h\u00e9\u2028llo"), delta(finish="stop"), USAGE, DONE])
    pieces = [whole[at : at + size] for at in range(0, len(whole), size)]
    async with bench(stream_answer(*pieces)) as b:
        assert await frames(b, stream_options={"include_usage": True}) == whole


async def test_an_answer_without_any_content_is_an_answer(bench: OpenBench) -> None:
    async with bench(stream_answer(ROLE, delta(finish="length"), DONE)) as b:
        assert (await frames(b)).endswith(DONE)
        (record,) = await b.records()
        assert (record.outcome, record.finish_reason) == ("ok", "length")


async def test_the_record_is_sealed_before_the_terminal_bytes_go_out(bench: OpenBench) -> None:
    async with bench(streamed("a")) as b, b.pipeline.exchange() as x:
        async for frame in await x.stream(chat()):
            if frame.endswith(DONE):
                assert x.exchange.attempts[0].finished is not None
                assert x.exchange.outcome.usage == Usage(3, 2)


async def test_chunks_pass_an_interceptor_that_reads_them_and_unchanged_ones_keep_their_bytes(
    bench: OpenBench,
) -> None:
    class Shouting(Interceptor[Any]):
        name = "shouting"
        reads = writes = frozenset({Aspect.STREAM})

        def on_chunk(self, exchange: Any, chunk: GatewayChunk) -> GatewayChunk:
            if chunk.text != "quiet":
                return chunk
            (choice,) = chunk.choices
            return attrs.evolve(chunk, choices=(attrs.evolve(choice, parts=(Text("QUIET"),)),))

    odd = b'data: {"choices": [ {"index":0, "delta":{"content":"odd"}} ], "kept" : true}\n\n'
    async with bench(
        stream_answer(ROLE, delta("quiet"), odd, delta(finish="stop"), DONE), **intercepting(Shouting)
    ) as b:
        out = await frames(b)
        assert b'"QUIET"' in out
        assert b'"quiet"' not in out
        assert odd in out
        assert out.endswith(DONE)


async def test_an_answer_given_by_an_interceptor_is_streamed_to_who_asked_for_a_stream(bench: OpenBench) -> None:
    answer = ChatResponse(
        "cached-1", "m", [ChatChoice(0, Message(Role.ASSISTANT, [Text("from the cache")]), FinishReason.STOP)]
    )

    class Answering(Interceptor[Any]):
        name = "answering"

        async def before_request(self, exchange: Any, request: Any) -> GatewayResponse:
            body = FORMAT.encode_response(answer)
            return GatewayResponse(
                "openai-chat", body, Outcome(finish_reason=FinishReason.STOP), FORMAT.decode_response
            )

    async with bench(**intercepting(Answering)) as b:
        out = await frames(b)
        assert b"from the cache" in out
        assert out.endswith(DONE)
        assert b.urls == []
        (record,) = await b.records()
        assert record.outcome == "ok"


async def test_rate_limit_headers_of_the_provider_go_down_and_others_do_not(bench: OpenBench) -> None:
    headers = {"x-ratelimit-remaining-requests": "9", "set-cookie": "a=b", "server": "x", "openai-organization": "org"}
    async with bench(stream_answer(ROLE, delta("a"), DONE, headers=headers)) as b, b.pipeline.exchange() as x:
        stream = await x.stream(chat())
        assert dict(stream.headers) == {"x-ratelimit-remaining-requests": "9"}
        assert stream.media_type == "text/event-stream"
        assert [frame async for frame in stream]


async def test_tool_call_deltas_are_content(bench: OpenBench) -> None:
    call = [{"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": ""}}]
    async with bench(stream_answer(ROLE, delta(tool_calls=call), LOST), streamed("never")) as b:
        with pytest.raises(ProviderConnectionError):
            await frames(b)
        assert len(b.urls) == 1


async def test_a_usage_event_with_no_choices_is_not_content(bench: OpenBench) -> None:
    async with bench(stream_answer(event(choices=[], prompt_filter_results=[]), LOST), streamed("b")) as b:
        assert b'"b"' in await frames(b)
