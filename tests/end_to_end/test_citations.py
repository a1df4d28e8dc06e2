"""Sources behind the words of an answer: every provider that tells them, every client that can hear them.

Both sides are played by ``dialects.sources``, which shares no code with the formats; what a client hears is read with
its vendor's own types.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from end_to_end.dialects.dialect import Dialect, Said, Wish
from end_to_end.dialects.gate import Gate, gate
from end_to_end.dialects.sources import BACKED, SOURCES, TEXT
from end_to_end.dialects.table import DIALECTS
from end_to_end.loopback import loopback
from llmgate.spec import ProviderResponse
from llmgate.testing.transport import ScriptedAnswer
from llmgate.testing.upstream import FakeUpstream

pytestmark = pytest.mark.asyncio(loop_scope="module")

BY_NAME = {one.name: one for one in DIALECTS}
PAIRS = [pytest.param(client, provider, id=f"{client}-over-{provider}") for client in SOURCES for provider in SOURCES]
pairs = pytest.mark.parametrize(("client", "provider"), PAIRS)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bare() -> AsyncIterator[Gate]:
    async with gate() as one:
        yield one


def requested(client: Dialect, provider: Dialect, *, stream: bool) -> dict[str, Any]:
    wish = Wish(model=f"{provider.provider}/{provider.model}", stream=stream)
    return {**client.write(wish), "_stream": stream}


@pairs
async def test_a_whole_answer(bare: Gate, client: str, provider: str) -> None:
    asking, answering = BY_NAME[client], BY_NAME[provider]
    head = {"content-type": "application/json", **answering.head}
    answer = ProviderResponse(200, head, SOURCES[provider].whole())
    reply = await bare.ask(asking, answering, requested(asking, answering, stream=False), answer)
    assert reply.status == 200, reply.body
    text, found = SOURCES[client].hear(reply.body)
    assert text == TEXT
    assert [(words.strip(), *source) for words, *source in found] == [(one.words, one.url, one.title) for one in BACKED]
    queries = "answer.groundingMetadata.webSearchQueries"
    lost = queries if provider.startswith("gemini") and client != provider else None
    assert reply.headers.get("llmgate-dropped-params") == lost


@pairs
async def test_a_stream(bare: Gate, client: str, provider: str) -> None:
    """Formats that tell what stands behind a block tell it of all the words since the last source."""
    asking, answering = BY_NAME[client], BY_NAME[provider]
    head = {"content-type": answering.media_type, **answering.head}
    answer = ScriptedAnswer(200, head, tuple(SOURCES[provider].events()))
    reply = await bare.ask(asking, answering, requested(asking, answering, stream=True), answer)
    assert reply.status == 200, reply.body
    text, found = SOURCES[client].hear_stream(reply.body)
    assert text == TEXT
    assert [tuple(source) for _, *source in found] == [(one.url, one.title) for one in BACKED]
    blocks = ("anthropic-messages", "bedrock-converse")
    for (words, *_), wanted in zip(found, BACKED, strict=True):
        if client in blocks and provider not in blocks:
            assert wanted.words in words
        else:
            assert words.strip() == wanted.words


@pytest.mark.parametrize("provider", SOURCES)
async def test_a_client_without_words_for_them_is_told(bare: Gate, provider: str) -> None:
    asking, answering = BY_NAME["ollama-chat"], BY_NAME[provider]
    head = {"content-type": "application/json", **answering.head}
    answer = ProviderResponse(200, head, SOURCES[provider].whole())
    reply = await bare.ask(asking, answering, requested(asking, answering, stream=False), answer)
    assert json.loads(reply.body)["message"]["content"] == TEXT
    assert "answer.citations" in reply.headers["llmgate-dropped-params"].split(", ")


async def test_what_a_stream_has_lost_stands_in_the_record() -> None:
    """Its head has gone out when that is known."""
    async with FakeUpstream() as upstream:
        settings = {"providers": {"my-claude": {"base-url": upstream.base_url, "format": "anthropic-messages"}}}
        async with loopback(settings, environment={"MY_CLAUDE_API_KEY": "k"}) as one:
            events = b"".join(SOURCES["anthropic-messages"].events())
            upstream.answer(200, body=events, headers={"content-type": "text/event-stream"})
            body = {"model": "my-claude/m", "messages": [{"role": "user", "content": "x"}]}
            answer = await one.post(body, "/api/chat")
            assert answer.status == 200
            (record,) = await one.recorded()
    assert record.metadata["llmgate.dropped-params"] == "answer.citations"


PLAIN = {"type": "url_citation", "start_index": 0, "end_index": 2, "url": "https://a.example", "title": "A"}
PAGE = {"type": "page_location", "cited_text": "q", "document_index": 0, "document_title": "D", "start_page_number": 1,
        "end_page_number": 2}  # fmt: skip
WEB = {"type": "web_search_result_location", "cited_text": "q", "encrypted_index": "E", "title": "A",
       "url": "https://a.example"}  # fmt: skip
DOCUMENT = {"documentIndex": 0, "start": 1, "end": 2}
CITED: dict[str, dict[str, Any]] = {
    "openai-chat": {"messages": [{"role": "assistant", "content": "so", "annotations": [
        {"type": "url_citation", "url_citation": {name: PLAIN[name] for name in PLAIN if name != "type"}}]}]},
    "openai-responses": {"input": [{"type": "message", "role": "assistant", "content": [
        {"type": "output_text", "text": "so", "annotations": [PLAIN]}]}]},
    "anthropic-messages": {"messages": [{"role": "assistant", "content": [
        {"type": "text", "text": "so", "citations": [PAGE]}]}]},
    "anthropic-web": {"messages": [{"role": "assistant", "content": [
        {"type": "text", "text": "so", "citations": [WEB]}]}]},
    "bedrock-converse": {"messages": [{"role": "assistant", "content": [{"citationsContent": {
        "content": [{"text": "so"}], "citations": [{"title": "D", "location": {"documentPage": DOCUMENT}}]}}]}]},
    "cohere-chat": {"messages": [{"role": "assistant", "content": "so", "citations": [
        {"start": 0, "end": 2, "text": "so", "sources": [
            {"type": "document", "id": "d", "document": {"title": "A", "url": "https://a.example"}}]}]}]},
}  # fmt: skip
"""An earlier answer with a source, as clients send it back."""


def cited_turn(provider: str, body: dict[str, Any]) -> Any:
    """What the provider is told of the source behind the earlier answer."""
    turns = body.get("messages") or body.get("input") or body.get("contents") or []
    said = next(turn for turn in turns if turn.get("role") in ("assistant", "model"))
    match provider:
        case "openai-responses":
            content = said["content"]
            return content[0]["annotations"] if isinstance(content, list) else []
        case "anthropic-messages":
            return said["content"][0].get("citations", []) if isinstance(said["content"], list) else []
        case "bedrock-converse":
            return said["content"][0].get("citationsContent", {}).get("citations", [])
        case _:
            return said.get("citations") or said.get("annotations") or []


HISTORY: list[tuple[str, str, Any]] = [
    ("openai-chat", "openai-responses", [PLAIN]),
    ("openai-chat", "bedrock-converse", [{"title": "A", "location": {"web": {"url": "https://a.example"}}}]),
    ("openai-chat", "anthropic-messages", None),
    ("openai-chat", "gemini-generate-content", None),
    ("openai-responses", "openai-chat", None),
    ("openai-responses", "anthropic-messages", None),
    ("anthropic-web", "openai-responses", [PLAIN]),
    ("anthropic-messages", "openai-responses", None),
    (
        "anthropic-messages",
        "bedrock-converse",
        [{"title": "D", "sourceContent": [{"text": "q"}], "location": {"documentPage": DOCUMENT}}],
    ),
    ("bedrock-converse", "anthropic-messages", [{**PAGE, "cited_text": ""}]),
    ("bedrock-converse", "ollama-chat", None),
    ("cohere-chat", "openai-responses", [PLAIN]),
    ("cohere-chat", "openai-chat", None),
    ("cohere-chat", "ollama-chat", None),
]


@pytest.mark.parametrize(("client", "provider", "wanted"), HISTORY, ids=[f"{a}-to-{b}" for a, b, _ in HISTORY])
async def test_sources_of_an_earlier_answer(bare: Gate, client: str, provider: str, wanted: Any) -> None:
    """They go back where the provider takes them, and are named where it does not."""
    asking, answering = BY_NAME[client.replace("anthropic-web", "anthropic-messages")], BY_NAME[provider]
    body = requested(asking, answering, stream=False)
    (name,) = CITED[client].keys()
    body[name] = [*body[name], *CITED[client][name], *body[name]]
    said = Said(text="yes")
    head = {"content-type": "application/json", **answering.head}
    reply = await bare.ask(asking, answering, body, ProviderResponse(200, head, answering.whole(said)))
    assert reply.status == 200, reply.body
    _, received = bare.received
    word = "messages.annotations" if client.startswith("openai") else "messages.citations"
    assert cited_turn(provider, received) == (wanted or [])
    assert reply.headers.get("llmgate-dropped-params") == (word if wanted is None else None)


async def test_a_page_that_anthropic_has_not_found_does_not_go_there(bare: Gate) -> None:
    """An answer of Gemini's that an Anthropic client has kept goes on with Claude: the words go, the page does not."""
    claude, gemini = BY_NAME["anthropic-messages"], BY_NAME["gemini-generate-content"]
    answer = ProviderResponse(200, {"content-type": "application/json"}, SOURCES[gemini.name].whole())
    reply = await bare.ask(claude, gemini, requested(claude, gemini, stream=False), answer)
    kept = {"role": "assistant", "content": json.loads(reply.body)["content"]}
    body = requested(claude, claude, stream=False)
    body["messages"] = [*body["messages"], kept, *body["messages"]]
    own = ProviderResponse(200, {"content-type": "application/json"}, SOURCES[claude.name].whole())
    await bare.ask(claude, claude, body, own)
    turn = bare.received[1]["messages"][1]
    assert "".join(block["text"] for block in turn["content"]) == TEXT
    assert not any(block.get("citations") for block in turn["content"])


async def test_a_page_that_anthropic_has_found_goes_back_as_it_was(bare: Gate) -> None:
    claude = BY_NAME["anthropic-messages"]
    body = requested(claude, claude, stream=False)
    body["messages"] = [*body["messages"], *CITED["anthropic-web"]["messages"], *body["messages"]]
    own = ProviderResponse(200, {"content-type": "application/json"}, SOURCES[claude.name].whole())
    await bare.ask(claude, claude, body, own)
    assert bare.received[1]["messages"][1] == CITED["anthropic-web"]["messages"][0]
