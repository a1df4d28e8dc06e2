from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from llmgate.formats import get_format, read_request
from llmgate.pipeline import live as module
from llmgate.pipeline.attempt import build_try
from llmgate.pipeline.live import CannedStream, LiveStream
from llmgate.spec import (
    Attempt,
    ChatChoice,
    ChatResponse,
    Deployment,
    FinishReason,
    GatewayResponse,
    Message,
    Outcome,
    ProviderError,
    ProviderProtocolError,
    ProviderRateLimitError,
    Refusal,
    Role,
    Secret,
    Text,
    ToolCall,
    Usage,
)
from llmgate.testing.transport import Piece, stream_answer
from scripted import DONE, MESSAGES, ROLE, USAGE, OpenBench, delta, event

FORMAT = get_format("openai-chat")


async def opened(b: Any, *, decode: bool = False) -> LiveStream:
    """The next scripted stream, from the provider alpha."""
    body = json.dumps({"model": "m", "messages": MESSAGES, "stream": True}).encode()
    provider = next(one for one in b.pipeline.snapshot.runtimes if one.name == "alpha")
    runtime = b.pipeline.snapshot.runtimes[provider]
    attempt = Attempt(0, Deployment("alpha/m", provider, "m"), started=0.0)
    tried = build_try(runtime, read_request(FORMAT, body), attempt, Secret("k"), now=0.0)
    return LiveStream(tried, await runtime.transport.open_stream(tried.request), decode=decode)


def error_event(**fields: Any) -> bytes:
    return b"data: " + json.dumps({"error": {"message": "no more", **fields}}).encode() + b"\n\n"


async def test_what_comes_before_the_first_content_is_held_back(bench: OpenBench) -> None:
    async with bench(stream_answer(b": hello\n\n", ROLE, delta("a"), delta("b"), DONE)) as b:
        live = await opened(b)
        await live.read_up_to_content()
        assert b"".join(live.held_bytes) == b": hello\n\n" + ROLE + delta("a")
        assert live.outcome.content
        assert not live.outcome.complete
        assert await live.read_bytes() == delta("b")


async def test_decoded_it_holds_back_the_same_events(bench: OpenBench) -> None:
    async with bench(stream_answer(ROLE, delta("a"), DONE)) as b:
        live = await opened(b, decode=True)
        await live.read_up_to_content()
        assert "".join(chunk.text for chunk in live.held_chunks) == "a"
        assert b"".join(chunk.raw for chunk in live.held_chunks) == ROLE + delta("a")


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"type": "overloaded_error"}, 503),
        ({"type": "rate_limit_error"}, 429),
        ({"type": "insufficient_quota"}, 429),
        ({"type": "invalid_request_error"}, 400),
        ({"code": "rate_limit_exceeded", "type": "requests"}, 429),
        ({"type": "timeout_error"}, 504),
        ({"type": "never heard of it"}, 502),
        ({}, 502),
    ],
)
async def test_an_error_event_is_the_error_answer_that_it_would_have_been(
    bench: OpenBench, fields: dict[str, str], status: int
) -> None:
    async with bench(stream_answer(ROLE, error_event(**fields))) as b:
        with pytest.raises(ProviderError, match="no more") as caught:
            await (await opened(b)).read_up_to_content()
        assert caught.value.http_status == status
        assert isinstance(caught.value, ProviderRateLimitError) is (status == 429)


async def test_what_came_before_an_error_event_goes_out_first(bench: OpenBench) -> None:
    async with bench(stream_answer(delta("a") + error_event(type="server_error"))) as b:
        live = await opened(b, decode=True)
        (chunk,) = await live.read_chunks()
        assert chunk.text == "a"
        with pytest.raises(ProviderError, match="no more"):
            await live.read_chunks()


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param((ROLE, delta("a")), id="between two events"),
        pytest.param((ROLE, delta("a")[:-20]), id="inside an event"),
        pytest.param((ROLE, delta("a"), delta(finish="stop"), USAGE), id="before the terminal marker"),
        pytest.param((), id="before the first event"),
    ],
)
async def test_a_stream_that_ends_without_its_terminal_marker_is_broken(
    bench: OpenBench, pieces: tuple[Piece, ...]
) -> None:
    async with bench(stream_answer(*pieces)) as b:
        live = await opened(b)
        with pytest.raises(ProviderProtocolError) as caught:
            for _ in range(10):
                await live.read_bytes()
        assert caught.value.code == "incomplete_stream"
        assert caught.value.retryable
        assert "alpha" in caught.value.message


async def test_the_blank_line_behind_the_terminal_marker_may_be_missing(bench: OpenBench) -> None:
    async with bench(stream_answer(ROLE, delta("a"), b"data: [DONE]\n")) as b:
        live = await opened(b)
        while not live.outcome.complete:
            await live.read_bytes()
        assert live.outcome.error is None


class TestDrain:
    async def test_reads_the_body_to_its_end_so_that_the_connection_is_kept(self, bench: OpenBench) -> None:
        async with bench(stream_answer(delta("a"), DONE, b": bye\n\n")) as b:
            live = await opened(b)
            while not live.outcome.complete:
                await live.read_bytes()
            await live.drain()
            await live.aclose()
            assert b.transport.streams[0].finished

    async def test_does_not_wait_for_a_body_that_goes_on(
        self, bench: OpenBench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "DRAIN_SECONDS", 0.01)
        async with bench(stream_answer(delta("a"), DONE, asyncio.Event())) as b:
            live = await opened(b)
            while not live.outcome.complete:
                await live.read_bytes()
            await live.drain()
            await live.aclose()
            assert b.transport.streams[0].closed
            assert not b.transport.streams[0].finished

    async def test_takes_no_offence_at_a_connection_that_breaks_after_the_answer(self, bench: OpenBench) -> None:
        lost = ProviderProtocolError("broken", provider_name="alpha")
        async with bench(stream_answer(delta("a"), DONE, lost)) as b:
            live = await opened(b)
            while not live.outcome.complete:
                await live.read_bytes()
            await live.drain()


def canned(*choices: ChatChoice, include_usage: bool = False) -> CannedStream:
    chat = ChatResponse("id-1", "m", choices, Usage(3, 2), created=1)
    response = GatewayResponse("openai-chat", b"", Outcome(content=True, complete=True), decode=lambda _: chat)
    return CannedStream(response, include_usage=include_usage)


class TestCannedStream:
    def test_says_everything_that_the_whole_answer_says(self) -> None:
        parts = (Text("hel"), Text("lo"), ToolCall(id="c1", name="f", arguments="{}"), Refusal("no"))
        stream = canned(ChatChoice(0, Message(Role.ASSISTANT, parts), FinishReason.TOOL_CALLS))
        first, last, end = stream.held_chunks
        (choice,) = first.choices
        assert (first.id, first.model, first.created) == ("id-1", "m", 1)
        assert (first.text, choice.refusal, choice.role) == ("hello", "no", "assistant")
        assert [(call.index, call.id, call.name) for call in choice.tool_calls] == [(0, "c1", "f")]
        assert last.choices[0].finish_reason is FinishReason.TOOL_CALLS
        assert end.final

    def test_keeps_several_answers_apart(self) -> None:
        stream = canned(*(ChatChoice(n, Message(Role.ASSISTANT, (Text(str(n)),)), FinishReason.STOP) for n in (0, 1)))
        assert [choice.index for chunk in stream.held_chunks for choice in chunk.choices] == [0, 1, 0, 1]

    @pytest.mark.parametrize("asked", [True, False])
    def test_tells_usage_to_who_asked(self, asked: bool) -> None:
        choice = ChatChoice(0, Message(Role.ASSISTANT, (Text("a"),)), FinishReason.STOP)
        told = [chunk.usage for chunk in canned(choice, include_usage=asked).held_chunks if chunk.usage]
        assert told == ([Usage(3, 2)] if asked else [])

    def test_becomes_a_whole_stream_in_the_wire_format(self) -> None:
        stream = canned(ChatChoice(0, Message(Role.ASSISTANT, (Text("a"),)), FinishReason.STOP), include_usage=True)
        encoder = FORMAT.stream_encoder(include_usage=True)
        data = b"".join(encoder.encode(chunk) for chunk in stream.held_chunks)
        assert data.endswith(DONE)
        assert data.count(b"data: ") == 4
        assert json.loads(data.split(b"\n\n")[-3].removeprefix(b"data: "))["usage"]["total_tokens"] == 5


async def test_events_of_one_piece_are_one_read(bench: OpenBench) -> None:
    whole = delta("a") + event(choices=[], system_fingerprint="x") + delta("b")
    async with bench(stream_answer(whole, DONE)) as b:
        assert await (await opened(b)).read_bytes() == whole
