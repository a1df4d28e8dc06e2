from __future__ import annotations

import asyncio
import json
from pathlib import Path

import attrs
import pytest

from llmgate.catalogue import provider_rows
from llmgate.formats import get_format
from llmgate.spec import (
    FinishReason,
    InvalidRequestError,
    ProviderConnectionError,
    ProviderProtocolError,
    ProviderRequest,
    ProviderTimeoutError,
    Timeouts,
    Usage,
)
from llmgate.stages.providers.echo import EchoAdapter, EchoConfig, EchoOptions, EchoTransport
from llmgate.testing.clock import FakeClock
from llmgate.testing.conformance.providers import ProviderConformance

FORMAT = get_format("openai-chat")


class TestEcho(ProviderConformance):
    stage_class = EchoAdapter
    golden = Path(__file__).parents[2] / "golden" / "echo"
    row = provider_rows()["echo"]
    model = "echo"
    keyless = True

    async def test_brings_a_transport_of_its_own(self, context):
        transport = self.make_stage().make_transport(context)
        call = self.make_call()
        response = await transport.send(self.make_stage().build_request(call))
        assert self.make_stage().parse_response(call, response).chat.text == "Hello, world!"


def request(model: str = "echo", content: object = "one two  three", *, timeouts: Timeouts | None = None, **fields):
    body = {"model": model, "messages": [{"role": "user", "content": content}], **fields}
    return ProviderRequest(
        "POST",
        "echo://embedded/chat/completions",
        {},
        json.dumps(body).encode(),
        provider_name="echo",
        timeouts=timeouts or Timeouts(),
    )


def transport(clock: FakeClock | None = None, **config: object) -> EchoTransport:
    return EchoTransport(EchoConfig(**config), clock or FakeClock())


async def chunks(asked: ProviderRequest, **config: object):
    stream = await transport(**config).open_stream(asked)
    reader = FORMAT.stream_reader()
    found = [chunk async for piece in stream for chunk in reader.decode(piece)]
    reader.finish()
    return found, reader.outcome


async def test_answers_with_the_last_user_message_and_counts_words():
    response = await transport().send(request())
    answer = FORMAT.decode_response(response.body)
    assert response.status == 200
    assert answer.text == "one two  three"
    assert answer.model == "echo"
    assert answer.finish_reason is FinishReason.STOP
    assert answer.usage == Usage(input_tokens=3, output_tokens=3)
    assert answer.created == int(FakeClock().now())


@pytest.mark.parametrize("text", ["", " ", "word", "  lead and trail \n", "日本語 👩‍👩‍👧 é", "a\n\nb\tc"])
async def test_the_words_of_a_stream_are_the_text(text):
    found, outcome = await chunks(request(content=text, stream=True))
    assert "".join(chunk.text for chunk in found) == text
    assert outcome.finish_reason is FinishReason.STOP
    assert outcome.complete


async def test_streams_word_by_word():
    found, _ = await chunks(request(stream=True))
    assert [chunk.text for chunk in found if chunk.text] == ["one", " two", "  three"]


@pytest.mark.parametrize("asked", [True, False])
async def test_usage_comes_when_asked_for(asked):
    options = {"stream_options": {"include_usage": True}} if asked else {}
    found, outcome = await chunks(request(stream=True, **options))
    assert outcome.usage == (Usage(input_tokens=3, output_tokens=3) if asked else None)
    assert sum(chunk.usage is not None for chunk in found) == asked


async def test_a_limit_cuts_the_answer():
    answer = FORMAT.decode_response((await transport().send(request(max_completion_tokens=2))).body)
    assert answer.text == "one two"
    assert answer.finish_reason is FinishReason.LENGTH
    assert answer.usage.output_tokens == 2


async def test_fails_when_told_to():
    response = await transport().send(request("echo?fail=429&retry-after=3"))
    assert response.status == 429
    assert response.headers["retry-after"] == "3"
    assert FORMAT.decode_error(429, {}, response.body).code == "told_to_fail"
    stream = await transport(fail=503).open_stream(request(stream=True))
    assert stream.status == 503
    assert b"told to fail with 503" in await stream.read()
    assert (await transport(fail=503).send(request("echo?fail=500"))).status == 500


@pytest.mark.parametrize(
    "model",
    ["echo?fail=200", "echo?fail=x", "echo?delay=-1", "echo?delay=nan", "echo?delay=1e9", "echo?no=1", "echo?cut",
     "echo?words=1000001", "echo?delay=", "echo?fail=" + "9" * 5000],
)  # fmt: skip
async def test_refuses_options_that_are_wrong(model):
    response = await transport().send(request(model))
    assert response.status == 400
    assert FORMAT.decode_error(400, {}, response.body).param == "model"
    with pytest.raises(InvalidRequestError):
        EchoOptions.of(model, EchoConfig())


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"n": 2}, "n"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"messages": "x"}, "messages"),
    ],
)
async def test_refuses_what_it_cannot_do(fields, param):
    response = await transport().send(request(**fields))
    assert response.status == 400
    assert FORMAT.decode_error(400, {}, response.body).param == param


@pytest.mark.parametrize("config", [{"delay": -1}, {"delay": 1e9}, {"word_delay": 61}, {"fail": 200}])
def test_the_config_is_bounded(config):
    with pytest.raises(ValueError, match="must be between"):
        EchoConfig(**config)


async def test_a_cut_breaks_the_connection_after_so_many_words():
    stream = await transport().open_stream(request("echo?cut=2", stream=True))
    seen = b""
    with pytest.raises(ProviderConnectionError):
        async for piece in stream:
            seen += piece
    assert b" two" in seen
    assert b"three" not in seen
    with pytest.raises(ProviderConnectionError):
        await transport().send(request("echo?cut=2"))


async def test_an_end_without_the_terminal_marker():
    with pytest.raises(ProviderProtocolError):
        await chunks(request("echo?end=1", stream=True))


async def test_an_error_event_in_the_stream():
    stream = await transport().open_stream(request("echo?error=1", stream=True))
    reader = FORMAT.stream_reader()
    async for piece in stream:
        reader.relay(piece)
    assert reader.outcome.content
    assert reader.outcome.error.message == "the echo provider was told to fail with 500"


async def test_writes_as_many_words_as_it_is_told():
    found, _ = await chunks(request("echo?words=300", stream=True))
    assert sum(bool(chunk.text) for chunk in found) == 300


async def test_waits_before_the_head_and_between_words():
    clock = FakeClock()
    opening = asyncio.create_task(transport(clock, delay=2, word_delay=1).open_stream(request(stream=True)))
    await clock.advance(0)
    await clock.advance(1.9)
    assert not opening.done()
    await clock.advance(0.2)
    stream = await opening
    assert b"assistant" in await anext(stream)
    assert b"one" in await anext(stream)
    second = asyncio.create_task(anext(stream))
    await clock.advance(0)
    await clock.advance(0.9)
    assert not second.done()
    await clock.advance(0.2)
    assert b"two" in await second


async def test_honours_the_timeouts():
    clock = FakeClock()
    short = Timeouts(first_byte=3, idle=2)
    asked = asyncio.create_task(transport(clock).send(request("echo?delay=10", timeouts=short)))
    await clock.advance(0)
    await clock.advance(3)
    with pytest.raises(ProviderTimeoutError):
        await asked
    stream = await transport(clock).open_stream(request("echo?word-delay=5", stream=True, timeouts=short))
    reading = asyncio.create_task(stream.read())
    await clock.advance(0)
    await clock.advance(2)
    with pytest.raises(ProviderTimeoutError):
        await reading


async def test_a_closed_stream_ends_and_a_cancelled_one_stops():
    stream = await transport().open_stream(request(stream=True))
    await anext(stream)
    await stream.aclose()
    await stream.aclose()
    assert [piece async for piece in stream] == []
    clock = FakeClock()
    waiting = asyncio.create_task(transport(clock).send(request("echo?delay=5")))
    await clock.advance(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_a_closed_transport_answers_no_more():
    closed = transport()
    await closed.aclose()
    await closed.aclose()
    with pytest.raises(ProviderConnectionError):
        await closed.send(request())


async def test_other_tasks_run_beside_a_long_stream():
    stream = await transport().open_stream(request("echo?words=1000", stream=True))
    turns = 0

    async def count():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    await stream.read()
    counting.cancel()
    assert turns >= 10


def test_options_take_over_the_config():
    options = EchoOptions.of("echo?word-delay=0.5&cut=3", EchoConfig(delay=1, fail=500))
    assert options == EchoOptions(delay=1, word_delay=0.5, fail=500, cut=3)
    assert attrs.asdict(EchoOptions.of("echo", EchoConfig()))["cut"] is None
