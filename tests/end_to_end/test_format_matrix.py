"""Every format that a client may speak, over every format that a provider may speak: the meaning arrives, both ways.

What the client means is compared with what the provider understands, and what the provider says with what the client
hears, each in its own format. Both sides are played by ``dialects``, which share no code with the formats under test.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any

import attrs
import pytest
import pytest_asyncio

from end_to_end.dialects.dialect import Call, Dialect, Said, Wish
from end_to_end.dialects.gate import Gate, Reply, gate
from end_to_end.dialects.table import DIALECTS
from llmgate.formats import FORMATS, get_format
from llmgate.spec import Operation, ProviderResponse
from llmgate.testing.transport import ScriptedAnswer

pytestmark = pytest.mark.asyncio(loop_scope="module")

CITY = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
NOTHING = {"type": "object", "properties": {}, "additionalProperties": False}
TOOLS = {"weather": CITY, "now": NOTHING}
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
ODD = 'Grüße\r\n日本 👩‍👩‍👧 \u2028 "data: [DONE]" \\n\n\nend'
LONG = "long words " * 190_651  # 2 MiB

ZURICH = Call("call_z", "weather", {"city": "Zürich\r\n"})
OSLO = Call("call_o", "weather", {"city": "Oslo"})
NOW = Call("call_n", "now", {})


@attrs.frozen
class Case:
    """What is asked and what is answered.

    Args:
        wish: What is asked.
        said: What is answered.
        pieces: How a stream cuts the arguments of calls.
        stream_only: Whether it is about streams alone.
    """

    wish: Wish
    said: Said
    pieces: Any = "plain"
    stream_only: bool = False


PARALLEL = Case(
    Wish(
        tools=TOOLS,
        calls=[attrs.evolve(ZURICH, id="call_a"), attrs.evolve(NOW, id="call_b")],
        results={"call_a": "sunny", "call_b": "noon"},
    ),
    Said(text="I will look.", calls=[ZURICH, OSLO], finish="tools"),
)
CASES: Mapping[str, Case] = {
    "text": Case(Wish(system="Be brief."), Said(text="Hello wide world")),
    "odd_text": Case(Wish(text=ODD, system=ODD), Said(text=ODD)),
    "nothing": Case(Wish(), Said()),
    "length": Case(Wish(), Said(text="Hello wide", finish="length")),
    "tools": Case(Wish(tools=TOOLS), Said(calls=[ZURICH], finish="tools")),
    "tool_results": Case(
        Wish(tools=TOOLS, calls=[attrs.evolve(OSLO, id="call_a")], results={"call_a": "rain\r\n☔"}), Said(text="Rain.")
    ),
    "no_arguments": Case(Wish(tools=TOOLS), Said(calls=[NOW], finish="tools")),
    "parallel_tools": PARALLEL,
    "interleaved_tools": attrs.evolve(PARALLEL, pieces="interleaved", stream_only=True),
    "late_arguments": attrs.evolve(PARALLEL, pieces="late", stream_only=True),
    "image": Case(Wish(image=("image/png", PNG)), Said(text="A dot.")),
    "thinking": Case(Wish(thinking=True), Said(text="It is 391.", reasoning="17 times 23, \r\nso 🤔")),
    "structured_output": Case(Wish(schema=CITY), Said(text='{"city": "Oslo"}')),
    "forced_tool": Case(Wish(tools=TOOLS, forced=True), Said(calls=[OSLO], finish="tools")),
    "stop_and_temperature": Case(Wish(stops=["END", "\n\nOne"], temperature=0.5), Said(text="Hello")),
    "two_answers": Case(Wish(count=2), Said(text="Hello")),
    "cached_input": Case(Wish(), Said(text="Hello", usage=(1100, 7), cached=1000)),
    "filtered": Case(Wish(), Said(text="How to", finish="filter")),
}
WORDS = {"forced": "tool_choice", "stops": "stop_sequences", "count": "choice_count"}
"""The canonical names of the members of ``Wish`` that some formats have no word for."""
REFUSED = ("count",)
"""Those without which the answer would be another one; the others are left out, and named in the answer."""

PAIRS = [
    pytest.param(client, provider, id=f"{client.name}-over-{provider.name}")
    for client in DIALECTS
    for provider in DIALECTS
]
WITHOUT_IDS = ("gemini-generate-content", "ollama-chat")
"""Formats in which some servers give calls no id."""
pairs = pytest.mark.parametrize(("client", "provider"), PAIRS)


def cells(*, stream: bool) -> pytest.MarkDecorator:
    """Every pair with every case that its client has the words for."""
    return pytest.mark.parametrize(
        ("name", "client", "provider"),
        [
            pytest.param(name, client, provider, id=f"{name}-{client.name}-over-{provider.name}")
            for name, case in CASES.items()
            for client in DIALECTS
            for provider in DIALECTS
            if (stream or not case.stream_only) and not any(getattr(case.wish, one) for one in asked_lacks(client))
        ],
    )


def asked_lacks(dialect: Dialect) -> list[str]:
    """What cannot be asked for in a format."""
    return [one for one in dialect.lacks if hasattr(Wish(), one)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def open_gate() -> AsyncIterator[Gate]:
    async with gate() as one:
        yield one


@pytest.fixture
def bare(open_gate: Gate) -> Iterable[Gate]:
    yield open_gate
    assert open_gate.forget() == 0, "the provider was not asked"


def requested(client: Dialect, provider: Dialect, wish: Wish) -> dict[str, Any]:
    """The client's request, and beside it whether it is for a stream, which some formats say by the address."""
    wish = attrs.evolve(wish, model=f"{provider.provider}/{provider.model}")
    return {**client.write(wish), "_stream": wish.stream}


def whole(provider: Dialect, said: Said) -> ProviderResponse:
    return ProviderResponse(200, {"content-type": "application/json", **provider.head}, provider.whole(said))


def streamed(provider: Dialect, *pieces: bytes) -> ScriptedAnswer:
    return ScriptedAnswer(200, {"content-type": provider.media_type, **provider.head}, pieces)


def same(got: Any, wanted: Any, about: str) -> None:
    """Say which member of two values differs."""
    differing = {
        field.name: (one, other)
        for field in attrs.fields(type(wanted))
        if (one := getattr(got, field.name)) != (other := getattr(wanted, field.name))
    }
    assert not differing, f"{about}: {differing}"


def understood(gate: Gate, client: Dialect, provider: Dialect, reply: Reply, wish: Wish, about: str) -> None:
    """What the client meant has reached the provider, and what the provider has no word for is named in the answer."""
    url, body = gate.received
    lost = [one for one in asked_lacks(provider) if getattr(wish, one)]
    wanted = attrs.evolve(wish, model=provider.model, usage=True, **{one: getattr(Wish(), one) for one in lost})
    asked = attrs.evolve(provider.asked(url, body), told=False)  # a matter between the gateway and the provider
    same(asked, wanted, f"{about}, asked")
    named = reply.headers.get("llmgate-dropped-params", "")
    words = get_format(client.name).fields
    assert named == ", ".join(words[WORDS[one]] for one in lost), f"{about}, named as lost: {named!r}"


def heard(client: Dialect, reply: Reply, *, stream: bool) -> Said:
    """What the client hears of an answer that is none of an error."""
    assert reply.status == 200, f"{reply.status} {reply.body[:500]!r}"
    assert reply.headers["content-type"].startswith(client.media_type if stream else "application/json")
    return client.hear_stream(reply.body) if stream else client.hear(reply.body)


def refused(gate: Gate, client: Dialect, provider: Dialect, reply: Reply, wish: Wish, about: str) -> bool:
    """Whether the provider has no word for something that cannot be left out; then the client must have been told."""
    lost = [one for one in asked_lacks(provider) if getattr(wish, one) and one in REFUSED]
    if not lost:
        assert gate.forget() == 0, f"{about}: the provider was not asked: {reply.body!r}"
        return False
    assert reply.status == 400, f"{about}: {reply.status} {reply.body!r}"
    assert client.hear_fault(reply.headers, reply.body), about
    assert gate.forget() == 1, f"{about}: the provider was asked all the same"
    return True


def hearable(client: Dialect, provider: Dialect, said: Said) -> Said:
    """What of an answer a provider can say and a client can hear."""
    lost = {one for dialect in (client, provider) for one in dialect.lacks if hasattr(said, one)}
    return attrs.evolve(said, **{one: getattr(Said(), one) for one in lost})


def with_plain_ids(client: Dialect, said: Said) -> Said:
    """What was heard, with the ids that the provider gave: some formats carry proofs of thought in those of calls."""
    if client.name not in ("cohere-chat", "ollama-chat"):
        return said
    return attrs.evolve(said, calls=[attrs.evolve(one, id=one.id.partition("__proof__")[0]) for one in said.calls])


@cells(stream=False)
async def test_a_whole_answer(bare: Gate, name: str, client: Dialect, provider: Dialect) -> None:
    case, about = CASES[name], f"{client.name} over {provider.name}, {name}, whole"
    reply = await bare.ask(client, provider, requested(client, provider, case.wish), whole(provider, case.said))
    if refused(bare, client, provider, reply, case.wish, about):
        return
    understood(bare, client, provider, reply, case.wish, about)
    same(heard(client, reply, stream=False), hearable(client, provider, case.said), f"{about}, heard")


@cells(stream=True)
async def test_a_stream(bare: Gate, name: str, client: Dialect, provider: Dialect) -> None:
    case, about = CASES[name], f"{client.name} over {provider.name}, {name}, stream"
    wish = attrs.evolve(case.wish, stream=True)
    answer = streamed(provider, *provider.events(case.said, case.pieces))
    reply = await bare.ask(client, provider, requested(client, provider, wish), answer)
    if refused(bare, client, provider, reply, wish, about):
        return
    understood(bare, client, provider, reply, wish, about)
    same(heard(client, reply, stream=True), hearable(client, provider, case.said), f"{about}, heard")


@pairs
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_text_that_ends_the_answer(bare: Gate, client: Dialect, provider: Dialect, stream: bool) -> None:
    """Who can say so is told that one of his texts ended the answer, and which, as far as the provider says it."""
    about = f"{client.name} over {provider.name}, ended by a text, {stream=}"
    of_both = [one for one in provider.tells_stops if one in client.tells_stops]
    known = {*provider.tells_stops} & {"word", "text"}
    stop = "END" if "text" in provider.tells_stops else None
    said = Said(text="Hello", finish="stopped" if known else "stop", stop=stop)
    wish = Wish(stops=["END", "\n\nOne"], told=True, stream=stream)
    if asked_lacks(client):
        wish = attrs.evolve(wish, **{one: getattr(Wish(), one) for one in asked_lacks(client)})
    answer = streamed(provider, *provider.events(said)) if stream else whole(provider, said)
    reply = await bare.ask(client, provider, requested(client, provider, wish), answer)
    told = "text" in of_both or bool(known and "word" in client.tells_stops)
    wanted = attrs.evolve(said, finish="stopped" if told else "stop", stop=stop if "text" in of_both else None)
    same(heard(client, reply, stream=stream), wanted, about)
    url, body = bare.received
    must_be_asked = provider.name == "bedrock-converse" and "stops" not in client.lacks
    assert provider.asked(url, body).told is must_be_asked, about


@pairs
@pytest.mark.parametrize("crlf", [False, True], ids=["lf", "crlf"])
async def test_a_stream_that_comes_byte_by_byte(bare: Gate, client: Dialect, provider: Dialect, crlf: bool) -> None:
    about = f"{client.name} over {provider.name}, byte by byte, {crlf=}"
    said = Said(text="é\r\n👩‍👩‍👧", reasoning="\u2028ß", calls=[ZURICH], finish="tools")
    data = b"".join(provider.events(said))
    data = provider.with_crlf(data) if crlf else data
    pieces = [data[i : i + 1] for i in range(len(data))]
    wish = Wish(tools=TOOLS, stream=True)
    reply = await bare.ask(client, provider, requested(client, provider, wish), streamed(provider, *pieces))
    same(with_plain_ids(client, heard(client, reply, stream=True)), said, about)


@pairs
async def test_an_event_of_two_megabytes(bare: Gate, client: Dialect, provider: Dialect) -> None:
    said = Said(text="", calls=[Call("call_l", "weather", {"city": LONG})], finish="tools")
    wish = Wish(tools=TOOLS, stream=True)
    answer = streamed(provider, *provider.events(said, "late"))
    reply = await bare.ask(client, provider, requested(client, provider, wish), answer)
    got = heard(client, reply, stream=True)
    about = f"{client.name} over {provider.name}, an event of 2 MB"
    assert [len(call.arguments["city"]) for call in got.calls] == [len(LONG)], about
    assert got.calls == said.calls, about


@pairs
async def test_usage_is_for_those_who_want_it(bare: Gate, client: Dialect, provider: Dialect) -> None:
    """Only chat completions have a word for it; elsewhere usage is part of every stream."""
    said = CASES["text"].said
    wish = Wish(stream=True, usage=False)
    answer = streamed(provider, *provider.events(said))
    reply = await bare.ask(client, provider, requested(client, provider, wish), answer)
    expected = attrs.evolve(said, usage=None) if client.name == "openai-chat" else said
    same(heard(client, reply, stream=True), expected, f"{client.name} over {provider.name}, usage not asked for")
    if provider.name == "openai-chat":
        assert bare.received[1]["stream_options"] == {"include_usage": True}, "the gateway itself wants to know"


@pairs
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("status", [400, 429, 503])
async def test_an_error_before_the_content(
    bare: Gate, client: Dialect, provider: Dialect, status: int, stream: bool
) -> None:
    about = f"{client.name} over {provider.name}, {status} before the content, {stream=}"
    fault = provider.fault(status, "not today, é")
    answer = ProviderResponse(status, {"content-type": "application/json", **fault.headers}, fault.body)
    reply = await bare.ask(client, provider, requested(client, provider, Wish(stream=stream)), answer)
    assert reply.status == client.statuses.get(status, status), f"{about}: {reply.status} {reply.body!r}"
    assert reply.headers["content-type"].startswith("application/json"), about
    assert client.hear_fault(reply.headers, reply.body).endswith("not today, é"), about


@pairs
async def test_an_error_as_the_first_event(bare: Gate, client: Dialect, provider: Dialect) -> None:
    """The provider has said 200; the client has been told nothing yet, so that it gets a status of its own."""
    about = f"{client.name} over {provider.name}, an error as the first event"
    wish = Wish(stream=True)
    answer = streamed(provider, provider.event_fault("too much to do"))
    reply = await bare.ask(client, provider, requested(client, provider, wish), answer)
    assert reply.status >= 500, f"{about}: {reply.status} {reply.body!r}"
    assert "too much to do" in client.hear_fault(reply.headers, reply.body), about


@pairs
async def test_an_error_inside_the_stream(bare: Gate, client: Dialect, provider: Dialect) -> None:
    about = f"{client.name} over {provider.name}, an error inside the stream"
    begun = some(provider)
    wish = Wish(stream=True)
    answer = streamed(provider, *begun, provider.event_fault("too much to do"))
    reply = await bare.ask(client, provider, requested(client, provider, wish), answer)
    got = heard(client, reply, stream=True)
    assert not got.complete, f"{about}: a success marker behind an error"
    assert "too much to do" in (got.error or ""), f"{about}: {reply.body!r}"
    assert "Hello wide world".startswith(got.text), about
    assert got.text, about


@pairs
async def test_a_cut_stream(bare: Gate, client: Dialect, provider: Dialect) -> None:
    about = f"{client.name} over {provider.name}, a cut stream"
    wish = Wish(stream=True)
    answer = streamed(provider, *some(provider))
    reply = await bare.ask(client, provider, requested(client, provider, wish), answer)
    got = heard(client, reply, stream=True)
    assert not got.complete, f"{about}: it looks finished: {reply.body!r}"
    assert got.error, f"{about}: nobody says that it is not: {reply.body!r}"
    assert got.text, about


@pairs
async def test_a_stream_cut_in_a_call(bare: Gate, client: Dialect, provider: Dialect) -> None:
    about = f"{client.name} over {provider.name}, a stream cut in a call"
    wish = Wish(tools=TOOLS, stream=True)
    events = provider.events(Said(text="I will look.", calls=[ZURICH, OSLO], finish="tools"))
    data = b"".join(events)
    place = data.rindex(b"Oslo") if b"Oslo" in data else data.rindex(b"city")
    reply = await bare.ask(client, provider, requested(client, provider, wish), streamed(provider, data[:place]))
    got = heard(client, reply, stream=True)
    assert not got.complete, f"{about}: it looks finished: {reply.body!r}"
    assert got.error, about
    assert got.calls == (), about


@pairs
async def test_a_stream_that_lacks_its_last_event(bare: Gate, client: Dialect, provider: Dialect) -> None:
    """All has been said but that this was all; a proxy that gave up looks just so."""
    about = f"{client.name} over {provider.name}, a stream without its last event"
    events = provider.events(CASES["text"].said)[: -provider.ending]
    wish = Wish(stream=True)
    reply = await bare.ask(client, provider, requested(client, provider, wish), streamed(provider, *events))
    got = heard(client, reply, stream=True)
    assert not got.complete, f"{about}: it looks finished: {reply.body!r}"
    assert got.error, about
    assert got.text == "Hello wide world", about


@pytest.mark.parametrize(("client", "provider"), [pair for pair in PAIRS if pair.values[1].name in WITHOUT_IDS])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_calls_that_come_without_ids(bare: Gate, client: Dialect, provider: Dialect, stream: bool) -> None:
    """Some servers give none; whoever wants some gets them, and not the same twice."""
    about = f"{client.name} over {provider.name}, calls without ids, {stream=}"
    said = attrs.evolve(PARALLEL.said, calls=[attrs.evolve(call, id="") for call in (ZURICH, OSLO)])
    lines = provider.events(said) if stream else [provider.whole(said)]
    lines = [line.replace(b'"id": "", ', b"") for line in lines]
    assert b'"id": ""' not in b"".join(lines)
    answer = streamed(provider, *lines) if stream else ProviderResponse(200, {}, lines[0])
    reply = await bare.ask(client, provider, requested(client, provider, Wish(tools=TOOLS, stream=stream)), answer)
    if client is provider:
        assert reply.body == b"".join(lines), f"{about}: a relay changes nothing"
        return
    got = heard(client, reply, stream=stream)
    assert [(call.name, call.arguments) for call in got.calls] == [
        (call.name, call.arguments) for call in said.calls
    ], about
    ids = [call.id for call in got.calls]
    assert all(ids), f"{about}: {ids}"
    assert len(set(ids)) == len(ids), f"{about}: {ids}"


@pairs
async def test_an_error_in_a_whole_answer(bare: Gate, client: Dialect, provider: Dialect) -> None:
    """The provider says 200 and means an error; the client is told one."""
    about = f"{client.name} over {provider.name}, an error with status 200"
    fault = provider.fault(503, "not today")
    answer = ProviderResponse(200, {"content-type": "application/json"}, fault.body)
    reply = await bare.ask(client, provider, requested(client, provider, Wish()), answer)
    assert reply.status >= 500, f"{about}: {reply.status} {reply.body!r}"
    assert client.hear_fault(reply.headers, reply.body).endswith("not today"), f"{about}: {reply.body!r}"


@pairs
async def test_a_cut_whole_answer(bare: Gate, client: Dialect, provider: Dialect) -> None:
    about = f"{client.name} over {provider.name}, a cut whole answer"
    body = provider.whole(CASES["text"].said)
    answer = ProviderResponse(200, {"content-type": "application/json"}, body[: len(body) // 2])
    reply = await bare.ask(client, provider, requested(client, provider, Wish()), answer)
    assert reply.status == 502, f"{about}: {reply.status} {reply.body!r}"
    assert client.hear_fault(reply.headers, reply.body), about


def some(provider: Dialect) -> list[bytes]:
    """The beginning of a stream, with some content and without any sign of an end."""
    events = provider.events(CASES["text"].said)
    place = next(index for index, event in enumerate(events) if b"wide" in event)
    return events[: place + 1]


async def test_the_table_is_whole() -> None:
    """A format that clients may chat in and providers may answer in has a row, unless it is another one in disguise."""
    chat = {name for name in FORMATS if get_format(name).operation is Operation.CHAT}
    assert {one.name for one in DIALECTS} == chat - {"bedrock-anthropic"}
