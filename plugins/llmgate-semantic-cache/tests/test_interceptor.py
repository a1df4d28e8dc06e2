"""``semantic-cache``, request by request: who gets what again, and who never does."""

from __future__ import annotations

import json
from typing import Any

import pytest
from embeddings_double import Embeddings
from llmgate_semantic_cache.interceptor import SemanticCache

from llmgate.formats import get_format, read_request
from llmgate.spec import (
    Exchange,
    ExchangeView,
    GatewayResponse,
    InvalidRequestError,
    Outcome,
    Principal,
    ProviderError,
    Usage,
)
from llmgate.testing import FakeClock
from llmgate.testing.samples import sample_attempt, sample_exchange

ANN, BOB = Principal("ann", "keys"), Principal("bob", "keys")
FORMAT = get_format("openai-chat")
FIRST = "Please explain how the garbage collector of the Java virtual machine works"
SAME = "Please explain me how the garbage collector of the Java virtual machine works"
OTHER = "Which wine goes best with a dish of grilled fish in summer"


def request(text: str, **fields: Any) -> Any:
    body = {"model": "m", "messages": [{"role": "user", "content": text}], **fields}
    return read_request(FORMAT, json.dumps(body).encode())


def answer(finish: str = "stop", **message: Any) -> GatewayResponse:
    choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": "hi", **message}}
    body = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
    outcome = Outcome(usage=Usage(input_tokens=3, output_tokens=2), complete=True)
    return GatewayResponse(
        format="openai-chat", body=json.dumps(body).encode(), outcome=outcome, decode=FORMAT.decode_response
    )


async def ask(
    stage: SemanticCache, text: str, *, response: Any = None, pieces: Any = (), body: Any = None, **fields: Any
) -> tuple[GatewayResponse | None, Exchange]:
    """One exchange, as the chain takes it; the answer that the stage gave, and the exchange."""
    asked = request(text, **(body or {}))
    exchange = sample_exchange(asked, **{"principal": ANN, "status": 200, **fields})
    view = ExchangeView(exchange)
    given = await stage.before_request(view, asked)
    assert given is None or isinstance(given, GatewayResponse)
    if given is None:
        exchange.attempts.append(sample_attempt())
        if pieces:
            for piece in pieces:
                stage.on_sent(view, piece)
        else:
            await stage.after_response(view, response or answer())
    await stage.on_settle(view)
    return given, exchange


async def test_a_question_that_means_the_same_is_answered_again(open_stage: Any, upstream: Embeddings) -> None:
    stage = await open_stage()
    missed, first = await ask(stage, FIRST)
    assert (missed, first.noted_headers()) == (None, {"llmgate-semantic-cache": "MISS"})
    hit, second = await ask(stage, SAME)
    assert hit is not None
    assert hit.body == answer().body
    assert not hit.streamed
    headers = second.noted_headers()
    assert headers["llmgate-semantic-cache"] == "HIT"
    assert 0.95 <= float(headers["llmgate-semantic-cache-similarity"]) <= 1
    assert second.noted_metadata()["semantic-cache.status"] == "hit"
    assert (await ask(stage, OTHER))[0] is None
    assert upstream.texts == [FIRST, SAME, OTHER], "each is embedded once"


@pytest.mark.parametrize(
    "fields",
    [
        {"principal": BOB},
        {"principal": Principal("ann", "other-issuer")},
        {"principal": Principal("ann", "keys", models=("m",))},
        {"principal": Principal("ann", "keys", denied_models=("m",))},
        {"body": {"temperature": 1}},
        {"router": "elsewhere"},
        {"caller_key": "a-key-of-its-own"},
        {"principal": Principal("ann", "keys", attributes={"required-tags": ["eu"]})},
    ],
)
async def test_nobody_and_nothing_else_gets_it(open_stage: Any, fields: dict[str, Any]) -> None:
    stage = await open_stage(similarity=0.5, floor=0.5)
    await ask(stage, FIRST)
    assert (await ask(stage, FIRST, **fields))[0] is None
    assert (await ask(stage, FIRST))[0] is not None


async def test_anonymous_callers_are_told_apart_by_address(open_stage: Any) -> None:
    stage = await open_stage()
    nobody = Principal("anonymous", kind="anonymous")
    await ask(stage, FIRST, principal=nobody, client_address="192.0.2.1")
    assert (await ask(stage, FIRST, principal=nobody, client_address="192.0.2.2"))[0] is None
    assert (await ask(stage, FIRST, principal=nobody, client_address="192.0.2.1"))[0] is not None


async def test_a_team_shares_and_who_has_none_does_not(open_stage: Any) -> None:
    stage = await open_stage(scope="attribute:team")
    red = [Principal(name, "keys", attributes={"team": "red"}) for name in ("a", "b")]
    await ask(stage, FIRST, principal=red[0])
    assert (await ask(stage, FIRST, principal=red[1]))[0] is not None
    blue = Principal("c", "keys", attributes={"team": "blue"})
    assert (await ask(stage, FIRST, principal=blue))[0] is None
    for _ in range(2):
        given, exchange = await ask(stage, FIRST, principal=ANN)
        assert (given, exchange.noted_headers()) == (None, {})


async def test_a_caller_may_ask_for_more_and_never_for_less_than_the_floor(open_stage: Any) -> None:
    stage = await open_stage(similarity=0.95, floor=0.9)
    await ask(stage, FIRST)
    strict = {"client_headers": {"llmgate-semantic-cache-similarity": "0.9999"}}
    assert (await ask(stage, SAME, response=answer("length"), **strict))[0] is None
    loose = {"client_headers": {"llmgate-semantic-cache-similarity": "0.1"}}
    assert (await ask(stage, OTHER, response=answer("length"), **loose))[0] is None
    for wrong in ("much", "2", "-1", "nan"):
        with pytest.raises(InvalidRequestError, match="must be a number between 0 and 1"):
            await ask(stage, FIRST, client_headers={"llmgate-semantic-cache-similarity": wrong})


@pytest.mark.parametrize(
    "headers",
    [
        {"cache-control": "no-store"},
        {"cache-control": "No-Cache"},
        {"llmgate-semantic-cache-enabled": "false"},
    ],
)
async def test_a_caller_may_leave_it_out(open_stage: Any, headers: dict[str, str], upstream: Embeddings) -> None:
    stage = await open_stage()
    for _ in range(2):
        assert (await ask(stage, FIRST, client_headers=headers))[0] is None
    assert upstream.requests == []


CALL = {"tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}], "content": None}


@pytest.mark.parametrize(
    "response",
    [answer("length"), answer("content_filter"), answer("tool_calls", **CALL), answer(refusal="no", content=None)],
    ids=["length", "filtered", "tools", "refused"],
)
async def test_only_what_came_to_its_own_end_is_kept(open_stage: Any, response: GatewayResponse) -> None:
    stage = await open_stage()
    await ask(stage, FIRST, response=response)
    assert (await ask(stage, FIRST))[0] is None


async def test_calls_of_tools_are_kept_where_that_is_wanted(open_stage: Any) -> None:
    stage = await open_stage(tools=True)
    await ask(stage, FIRST, response=answer("tool_calls", **CALL))
    assert (await ask(stage, FIRST))[0] is not None


@pytest.mark.parametrize(
    "fields", [{"disconnected": True}, {"status": 500}, {"error": ProviderError("no")}, {"status": 201}]
)
async def test_what_has_failed_is_not_kept(open_stage: Any, fields: dict[str, Any]) -> None:
    stage = await open_stage()
    await ask(stage, FIRST, **fields)
    assert (await ask(stage, FIRST))[0] is None


def event(content: str | None, finish: str | None = None) -> bytes:
    delta = {} if content is None else {"content": content}
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


STREAM = [event("Hel"), event("lo"), event(None, "stop"), b"data: [DONE]\n\n"]


async def test_a_stream_is_given_again_as_a_stream(open_stage: Any) -> None:
    stage = await open_stage()
    await ask(stage, FIRST, pieces=STREAM, body={"stream": True})
    hit, _ = await ask(stage, SAME, body={"stream": True})
    assert hit is not None
    assert (hit.streamed, hit.body) == (True, b"".join(STREAM))
    assert (await ask(stage, SAME))[0] is None, "a whole answer is another partition"


@pytest.mark.parametrize("pieces", [STREAM[:-1], STREAM[:2], [event("x", "tool_calls"), STREAM[-1]]])
async def test_a_stream_that_is_not_whole_is_not_kept(open_stage: Any, pieces: list[bytes]) -> None:
    stage = await open_stage()
    await ask(stage, FIRST, pieces=pieces, body={"stream": True})
    assert (await ask(stage, FIRST, pieces=STREAM, body={"stream": True}))[0] is None


async def test_an_answer_that_is_too_large_is_not_kept(open_stage: Any) -> None:
    stage = await open_stage(max_entry_size=100)
    await ask(stage, FIRST)
    await ask(stage, FIRST, pieces=STREAM, body={"stream": True})
    assert len(stage._shelf) == 0


async def test_an_answer_is_not_given_for_ever(open_stage: Any, clock: FakeClock) -> None:
    stage = await open_stage(max_age=60)
    await ask(stage, FIRST)
    await clock.advance(59)
    hit, exchange = await ask(stage, FIRST)
    assert hit is not None
    assert exchange.noted_headers()["age"] == "59"
    await clock.advance(1)
    assert (await ask(stage, FIRST))[0] is None


async def test_literals_are_guarded_unless_told_otherwise(open_stage: Any) -> None:
    texts = [f"What was the total profit of the whole company group in the year {year}?" for year in (2024, 2025)]
    stage = await open_stage(similarity=0.5, floor=0.5)
    await ask(stage, texts[0])
    assert (await ask(stage, texts[1]))[0] is None
    careless = await open_stage(similarity=0.5, floor=0.5, literals=False)
    await ask(careless, texts[0])
    assert (await ask(careless, texts[1]))[0] is not None


async def test_without_embeddings_requests_go_on(open_stage: Any, upstream: Embeddings) -> None:
    stage = await open_stage()
    await ask(stage, FIRST)
    upstream.broken = "late"
    given, exchange = await ask(stage, SAME)
    assert given is None
    assert exchange.noted_headers() == {"llmgate-semantic-cache": "MISS"}
    assert (await ask(stage, OTHER))[0] is None
