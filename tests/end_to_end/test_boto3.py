"""The real boto3 against a gateway on loopback: relayed to Bedrock, translated for others; others on its models."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anthropic
import boto3
import botocore
import botocore.config
import openai
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError, EventStreamError

from end_to_end.loopback import loopback
from formats.bedrock_converse.recorded import ANSWER, REASONED, TEXT, TOOLS, delta, event, exception, stop, stream
from llmgate.testing.upstream import FakeUpstream, chat_events
from llmgate.testing.upstream_chat import chat_answer

CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
ARN = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-sonnet-4-5-20250929-v1:0"
PROFILE = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abcdefgh"
MESSAGES = [{"role": "user", "content": [{"text": "Hello there"}]}]
CHAT = [{"role": "user", "content": "Hello there"}]
EVENTS = "application/vnd.amazon.eventstream"
HEADS = {"content-type": EVENTS, "x-amzn-requestid": "aws-1"}
TOOL_CONFIG = {
    "tools": [{"toolSpec": {"name": "weather", "inputSchema": {"json": {"type": "object", "properties": {}}}}}],
    "toolChoice": {"any": {}},
}


@pytest.fixture
async def both() -> AsyncIterator[tuple[Any, FakeUpstream, FakeUpstream, FakeUpstream]]:
    """A gateway with a provider that speaks Converse, one that speaks messages and one that speaks chat."""
    async with FakeUpstream() as aws, FakeUpstream() as native, FakeUpstream() as chat:
        settings = {
            "providers": {
                "bedrock": {"base-url": aws.url, "version-path": ""},
                "anthropic": {"base-url": native.base_url},
                "openai": {"base-url": chat.base_url},
            }
        }
        async with loopback(settings) as one:
            yield one, aws, native, chat


MADE: list[Any] = []
"""Clients of the test that runs; none leaves its connections to the garbage collector."""


@pytest.fixture(autouse=True)
def closed_clients() -> Iterator[None]:
    yield
    while MADE:
        MADE.pop().close()


def client_of(one: Any, path: str = "", *, bearer: str | None = None) -> Any:
    """A client that signs; or one with a bearer token, which botocore itself sends over HTTPS only."""
    keys = {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": "secret"}
    client = boto3.Session(region_name="us-east-1", **keys).client(
        "bedrock-runtime",
        endpoint_url=f"http://127.0.0.1:{one.port}{path}",
        config=botocore.config.Config(
            retries={"total_max_attempts": 1},
            read_timeout=20,
            signature_version="v4" if bearer is None else botocore.UNSIGNED,
        ),
    )
    MADE.append(client)
    if bearer is not None:
        value = f"Bearer {bearer}"
        client.meta.events.register(
            "before-sign", lambda request, **_: request.headers.add_header("Authorization", value)
        )
    return client


async def ask(client: Any, operation: str, **arguments: Any) -> Any:
    return await asyncio.to_thread(getattr(client, operation), **arguments)


async def ask_stream(client: Any, operation: str, **arguments: Any) -> list[dict[str, Any]]:
    def read() -> list[dict[str, Any]]:
        response = getattr(client, operation)(**arguments)
        with contextlib.closing(response.get("stream") or response["body"]) as events:
            return list(events)

    return await asyncio.to_thread(read)


@pytest.mark.parametrize("path", ["", "/as/bedrock"])
@pytest.mark.parametrize("model", [CLAUDE, ARN, f"bedrock/{CLAUDE}"])
async def test_a_whole_answer_is_relayed_as_it_is(both: Any, path: str, model: str) -> None:
    one, aws, _, _ = both
    aws.answer(200, json=ANSWER, headers={"x-amzn-requestid": "aws-1"})
    response = await ask(
        client_of(one, path),
        "converse",
        modelId=model,
        messages=MESSAGES,
        guardrailConfig={"guardrailIdentifier": "g", "guardrailVersion": "1"},
    )
    assert response["output"]["message"]["content"][2] == {"text": "Hello"}
    assert response["usage"]["cacheReadInputTokens"] == 1000
    meta = response["ResponseMetadata"]
    assert meta["RequestId"] == meta["HTTPHeaders"]["x-request-id"] != "aws-1"
    assert meta["HTTPHeaders"]["helicone-provider-req-id"] == "aws-1"
    received = aws.requests[0]
    asked = model.removeprefix("bedrock/").replace(":", "%3A").replace("/", "%2F")
    assert received.path == f"/model/{asked}/converse"
    assert received.headers["authorization"] == "Bearer secret-of-bedrock"
    assert json.loads(received.body) == {
        "messages": MESSAGES,
        "guardrailConfig": {"guardrailIdentifier": "g", "guardrailVersion": "1"},
    }
    (record,) = await one.recorded()
    assert (record.outcome, record.surface, record.usage.cache_read) == ("ok", "bedrock", 1000)


@pytest.mark.parametrize("split", [1, 7, None])
async def test_a_stream_is_relayed_byte_for_byte(both: Any, split: int | None) -> None:
    one, aws, _, _ = both
    aws.stream([TOOLS], end="eof", headers=HEADS, split=split)
    events = await ask_stream(client_of(one), "converse_stream", modelId=CLAUDE, messages=MESSAGES)
    assert aws.requests[0].path.endswith("/converse-stream")
    assert aws.requests[0].headers["accept"] == EVENTS
    assert [next(iter(one)) for one in events][-2:] == ["messageStop", "metadata"]
    aws.stream([TOOLS], end="eof", headers=HEADS)
    reply = await one.post({"messages": MESSAGES}, f"/model/{CLAUDE}/converse-stream", authorization="Bearer mine")
    assert (reply.body, reply.headers["content-type"]) == (TOOLS, EVENTS)
    record = (await one.recorded(2))[0]
    assert (record.usage.input_tokens, record.usage.output_tokens) == (1110, 5)


async def test_a_stream_without_its_usage_is_whole(both: Any) -> None:
    one, aws, _, _ = both
    data = stream(
        ("messageStart", {"role": "assistant"}),
        delta(0, {"text": "x"}),
        stop(0),
        ("messageStop", {"stopReason": "end_turn"}),
    )
    aws.stream([data], end="eof", headers=HEADS)
    events = await ask_stream(client_of(one), "converse_stream", modelId=CLAUDE, messages=MESSAGES)
    assert events[-1] == {"messageStop": {"stopReason": "end_turn"}}
    assert (await one.recorded())[0].outcome == "ok"


async def test_an_exception_in_the_stream_is_botocores_own(both: Any) -> None:
    one, aws, _, _ = both
    begun = stream(("messageStart", {"role": "assistant"}), delta(0, {"text": "x"}))
    aws.stream([begun, exception("throttlingException", "Too many tokens")], end="eof", headers=HEADS)
    with pytest.raises(EventStreamError, match="Too many tokens") as raised:
        await ask_stream(client_of(one), "converse_stream", modelId=CLAUDE, messages=MESSAGES)
    assert raised.value.response["Error"]["Code"] == "throttlingException"
    assert (await one.recorded())[0].outcome == "incomplete"


async def test_a_stream_that_is_cut_ends_in_an_exception(both: Any) -> None:
    one, aws, _, _ = both
    aws.stream([TEXT[:-200]], end="eof", headers=HEADS)
    with pytest.raises(EventStreamError, match="terminal marker") as raised:
        await ask_stream(client_of(one), "converse_stream", modelId=CLAUDE, messages=MESSAGES)
    assert raised.value.response["Error"]["Code"] == "internalServerException"


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [(400, "ValidationException", "ValidationException"), (429, "ThrottlingException", "ThrottlingException")],
)
@pytest.mark.parametrize("operation", ["converse", "converse_stream"])
async def test_an_error_of_bedrock_is_its_own(both: Any, status: int, kind: str, code: str, operation: str) -> None:
    one, aws, _, _ = both
    aws.answer(
        status, json={"message": "in its own words"}, headers={"x-amzn-errortype": f"{kind}:http://aws/"}, times=3
    )
    with pytest.raises(ClientError) as raised:
        await ask(client_of(one), operation, modelId=CLAUDE, messages=MESSAGES)
    assert raised.value.response["Error"] == {"Message": "in its own words", "Code": code}
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == status


async def test_an_exception_before_content_is_a_status(both: Any) -> None:
    one, aws, _, _ = both
    aws.stream([exception("validationException", "bad field")], end="eof", headers=HEADS)
    with pytest.raises(ClientError, match="bad field") as raised:
        await ask(client_of(one), "converse_stream", modelId=CLAUDE, messages=MESSAGES)
    assert raised.value.response["Error"]["Code"] == "ValidationException"


async def test_a_model_of_openai_for_boto3(both: Any) -> None:
    one, _, _, chat = both
    chat.answer(200, json=chat_answer("Hi", usage={"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6}))
    response = await ask(
        client_of(one),
        "converse",
        modelId="openai/gpt-4o",
        system=[{"text": "be nice"}],
        messages=[
            {"role": "user", "content": [{"text": "See"}, {"image": {"format": "png", "source": {"bytes": b"hi"}}}]}
        ],
        inferenceConfig={"maxTokens": 9, "temperature": 0.5},
        toolConfig=TOOL_CONFIG,
    )
    assert response["output"]["message"] == {"role": "assistant", "content": [{"text": "Hi"}]}
    assert response["usage"] == {"inputTokens": 5, "outputTokens": 1, "totalTokens": 6}
    body = json.loads(chat.requests[0].body)
    assert body["messages"][0] == {"role": "system", "content": "be nice"}
    assert (
        body["messages"][1]["content"][1]["image_url"]["url"]
        == f"data:image/png;base64,{base64.b64encode(b'hi').decode()}"
    )
    assert (body["model"], body["max_completion_tokens"], body["tool_choice"]) == ("gpt-4o", 9, "required")


async def test_a_stream_of_openai_for_boto3(both: Any) -> None:
    one, _, _, chat = both
    usage = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
    chat.stream(chat_events("Hello wörld", usage=usage))
    events = await ask_stream(client_of(one), "converse_stream", modelId="openai/gpt-4o", messages=MESSAGES)
    assert [next(iter(one)) for one in events] == [
        "messageStart",
        "contentBlockDelta",
        "contentBlockDelta",
        "contentBlockStop",
        "messageStop",
        "metadata",
    ]
    assert events[-1]["metadata"]["usage"] == {"inputTokens": 5, "outputTokens": 2, "totalTokens": 7}


async def test_errors_of_the_gateway_are_exceptions_of_botocores(both: Any) -> None:
    one, *_ = both
    with pytest.raises(ClientError) as raised:
        await ask(client_of(one), "converse", modelId="nobody/knows", messages=MESSAGES)
    assert raised.value.response["Error"]["Code"] == "ResourceNotFoundException"
    with pytest.raises(ClientError, match="only Anthropic's are understood") as raised:
        await ask(client_of(one), "invoke_model", modelId="amazon.titan-text", body=b'{"inputText": "x"}')
    assert raised.value.response["Error"]["Code"] == "ValidationException"
    reply = await one.post(b"{", f"/model/{CLAUDE}/converse", authorization="Bearer mine")
    assert (reply.status, reply.headers["x-amzn-errortype"]) == (400, "ValidationException")
    assert set(json.loads(reply.body)) == {"message"}
    reply = await one.post(b"{}", f"/model/{CLAUDE}/nonsense", authorization="Bearer mine")
    assert (reply.status, reply.headers["x-amzn-errortype"]) == (404, "ResourceNotFoundException")


async def test_who_may_call_is_told_by_a_bearer_token_and_never_by_a_signature() -> None:
    key = "sk-of-a-client-0123456789"
    digest = hashlib.sha256(key.encode()).hexdigest()
    async with FakeUpstream() as aws:
        settings = {
            "providers": {"bedrock": {"base-url": aws.url, "version-path": ""}},
            "auth": [{"use": "static-keys", "keys": [{"name": "me", "hash": f"sha256:{digest}"}]}],
        }
        async with loopback(settings) as one:
            aws.answer(200, json=ANSWER)
            await ask(client_of(one, bearer=key), "converse", modelId=CLAUDE, messages=MESSAGES)
            await refused(client_of(one, bearer="wrong"), "Invalid credentials")
            await refused(client_of(one), "set AWS_BEARER_TOKEN_BEDROCK")
            assert len(aws.requests) == 1


async def refused(client: Any, words: str) -> None:
    with pytest.raises(ClientError, match=words) as raised:
        await ask(client, "converse", modelId=CLAUDE, messages=MESSAGES)
    assert raised.value.response["Error"]["Code"] == "AccessDeniedException"
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


INVOKED = {
    "anthropic_version": "bedrock-2023-05-31",
    "max_tokens": 64,
    "messages": CHAT,
}
MESSAGE = {
    "id": "msg_bdrk_1",
    "type": "message",
    "role": "assistant",
    "model": "claude",
    "content": [{"type": "text", "text": "Hello"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 9, "output_tokens": 1},
}
MESSAGE_EVENTS = [
    {"type": "message_start", "message": {**MESSAGE, "content": [], "stop_reason": None}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello"}},
    {"type": "content_block_stop", "index": 0},
    {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn", "stop_sequence": None},
        "usage": {"output_tokens": 1},
    },
    {"type": "message_stop"},
]


def chunk(value: object) -> bytes:
    return event("chunk", {"bytes": base64.b64encode(json.dumps(value).encode()).decode()})


async def test_invoke_is_relayed_to_bedrock(both: Any) -> None:
    one, aws, _, _ = both
    aws.answer(200, json=MESSAGE)
    body = json.dumps(INVOKED).encode()
    response = await ask(client_of(one), "invoke_model", modelId=CLAUDE, body=body)
    assert json.loads(response["body"].read()) == MESSAGE
    assert (aws.requests[0].path, aws.requests[0].body) == (f"/model/{CLAUDE.replace(':', '%3A')}/invoke", body)
    aws.stream([*map(chunk, MESSAGE_EVENTS)], end="eof", headers=HEADS)
    events = await ask_stream(client_of(one), "invoke_model_with_response_stream", modelId=CLAUDE, body=body)
    assert [json.loads(one["chunk"]["bytes"]) for one in events] == MESSAGE_EVENTS
    assert aws.requests[1].path.endswith("/invoke-with-response-stream")


async def test_invoke_is_translated_for_anthropic_itself_and_for_others(both: Any) -> None:
    one, _, native, chat = both
    body = json.dumps(INVOKED).encode()
    native.stream([f"event: {one['type']}\ndata: {json.dumps(one)}\n\n".encode() for one in MESSAGE_EVENTS], end="eof")
    events = await ask_stream(
        client_of(one), "invoke_model_with_response_stream", modelId="anthropic/claude-sonnet-5", body=body
    )
    seen = [json.loads(one["chunk"]["bytes"]) for one in events]
    assert [one["type"] for one in seen] == [one["type"] for one in MESSAGE_EVENTS]
    assert json.loads(native.requests[0].body) == {
        "model": "claude-sonnet-5",
        "max_tokens": 64,
        "messages": CHAT,
        "stream": True,
    }
    chat.answer(200, json=chat_answer("Hi"))
    response = await ask(client_of(one), "invoke_model", modelId="openai/gpt-4o", body=body)
    assert json.loads(response["body"].read())["content"] == [{"type": "text", "text": "Hi"}]


async def test_the_anthropic_sdk_for_bedrock_is_served(both: Any) -> None:
    one, aws, _, _ = both
    aws.answer(200, json=MESSAGE)
    aws.stream([*map(chunk, MESSAGE_EVENTS)], end="eof", headers=HEADS)
    async with anthropic.AsyncAnthropicBedrock(
        base_url=f"http://127.0.0.1:{one.port}", aws_region="us-east-1", api_key="mine", max_retries=0
    ) as client:
        message = await client.messages.create(model=CLAUDE, max_tokens=64, messages=CHAT)
        assert message.content[0].text == "Hello"
        text = ""
        async with client.messages.stream(model=CLAUDE, max_tokens=64, messages=CHAT) as events:
            async for piece in events.text_stream:
                text += piece
    assert text == "Hello"


async def test_the_openai_sdk_on_a_model_of_bedrock(both: Any) -> None:
    one, aws, _, _ = both
    aws.answer(200, json=ANSWER, headers={"x-amzn-requestid": "aws-1"})
    aws.stream([TOOLS], end="eof", headers=HEADS)
    async with openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{one.port}/v1", api_key="mine", max_retries=0) as client:
        answer = await client.chat.completions.create(model=f"bedrock/{CLAUDE}", messages=CHAT)
        assert (answer.id, answer.model) == ("aws-1", CLAUDE)
        message = answer.choices[0].message
        assert message.content == "Hello"
        assert json.loads(message.tool_calls[0].function.arguments) == {"city": "Paris"}
        assert message.reasoning_content == "Let me see."
        assert answer.usage.prompt_tokens == 1130
        # What it thought comes back in the next turn, byte for byte.
        again = message.model_dump(exclude_none=True)
        aws.answer(200, json=ANSWER)
        result = {"role": "tool", "tool_call_id": "tooluse_a", "content": "sunny"}
        seen = await client.chat.completions.create(
            model=f"bedrock/{CLAUDE}",
            messages=CHAT,
            stream=True,
            stream_options={"include_usage": True},
        )
        chunks = [one async for one in seen]
        await client.chat.completions.create(model=f"bedrock/{CLAUDE}", messages=[*CHAT, again, result])
    assert {one.id for one in chunks} == {"aws-1"}
    assert {one.model for one in chunks} == {CLAUDE}
    assert chunks[-1].usage.prompt_tokens == 1110
    calls = [call for one in chunks if one.choices for call in one.choices[0].delta.tool_calls or ()]
    assert {call.index for call in calls} == {0, 1}
    turn = json.loads(aws.requests[2].body)["messages"][1]
    assert turn["content"][:2] == ANSWER["output"]["message"]["content"][:2]


async def test_the_anthropic_sdk_on_a_model_whose_maker_is_not_told(both: Any) -> None:
    """A profile of an application's: it is asked by Converse, which every model understands."""
    one, aws, _, _ = both
    aws.stream([REASONED], end="eof", headers=HEADS)
    async with (
        anthropic.AsyncAnthropic(base_url=f"http://127.0.0.1:{one.port}", api_key="mine", max_retries=0) as client,
        client.messages.stream(
            model=f"bedrock/{PROFILE}",
            max_tokens=4000,
            system=[{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}],
            messages=CHAT,
        ) as events,
    ):
        message = await events.get_final_message()
    assert [block.type for block in message.content] == ["thinking", "redacted_thinking", "text"]
    assert message.content[0].signature == "EqQBCg=="
    assert message.content[1].data == "aGVsbG8="
    assert (message.id, message.model) == ("aws-1", PROFILE)
    sent = json.loads(aws.requests[0].body)
    assert sent["system"] == [{"text": "s"}, {"cachePoint": {"type": "default"}}]


BETA = {**MESSAGE, "content": [{"type": "text", "text": "Hello", "x_new": [1]}], "x_new": {"kept": True}}
SCOPED = {"type": "ephemeral", "ttl": "1h", "scope": "global"}


@pytest.mark.parametrize("model", [CLAUDE, ARN])
async def test_anthropics_messages_are_relayed_to_anthropics_models(both: Any, model: str) -> None:
    one, aws, _, _ = both
    aws.answer(200, json=BETA, headers={"x-amzn-requestid": "aws-1"})
    asked = (
        b'{"max_tokens": 64, "model": "bedrock/%s", "messages": [{"role":"user","content":"Hi"}],\n "x_new" : [1.0]}'
        % model.encode()
    )
    reply = await one.post(asked, "/v1/messages", content_type="application/json", anthropic_version="2023-06-01")
    assert (reply.status, json.loads(reply.body)) == (200, BETA)
    assert reply.headers["helicone-provider-req-id"] == "aws-1"
    assert "llmgate-dropped-params" not in reply.headers
    received = aws.requests[0]
    assert received.path == f"/model/{model.replace(':', '%3A').replace('/', '%2F')}/invoke"
    assert received.body == (
        b'{"max_tokens": 64, "messages": [{"role":"user","content":"Hi"}],\n "x_new" : [1.0],'
        b'"anthropic_version":"bedrock-2023-05-31"}'
    )
    assert not [name for name in received.headers if name.startswith("anthropic")]
    assert received.headers["authorization"] == "Bearer secret-of-bedrock"
    (record,) = await one.recorded()
    assert (record.outcome, record.usage.output_tokens) == ("ok", MESSAGE["usage"]["output_tokens"])


async def test_what_bedrock_would_refuse_is_left_out_and_named(both: Any) -> None:
    """As Claude Code asks: betas that Bedrock does not know, a cache of its own kind, a tier of Anthropic's."""
    one, aws, _, _ = both
    aws.answer(200, json=MESSAGE)
    body = {
        "model": f"bedrock/{CLAUDE}",
        "max_tokens": 64,
        "service_tier": "auto",
        "system": [{"type": "text", "text": "s", "cache_control": SCOPED}],
        "messages": [
            {"role": "assistant", "content": [
                {"type": "tool_use", "id": "t", "name": "f", "input": {"cache_control": {"scope": 1}}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t"}]},
        ],
    }  # fmt: skip
    betas = "claude-code-20250219, interleaved-thinking-2025-05-14,context-1m-2025-08-07,oauth-2025-04-20"
    reply = await one.post(body, "/v1/messages?beta=true", anthropic_version="2023-06-01", anthropic_beta=betas)
    assert reply.status == 200
    assert set(reply.headers["llmgate-dropped-params"].split(", ")) == {
        "anthropic-beta",
        "service_tier",
        "cache_control.scope",
    }
    sent = json.loads(aws.requests[0].body)
    assert sent["anthropic_beta"] == ["interleaved-thinking-2025-05-14", "context-1m-2025-08-07"]
    assert sent["system"][0]["cache_control"] == {"type": "ephemeral", "ttl": "1h"}
    assert sent["messages"] == body["messages"], "what a tool is given is nobody's business"
    assert "service_tier" not in sent


@pytest.mark.parametrize("split", [1, 7, None])
async def test_a_stream_of_anthropics_messages_is_relayed_event_by_event(both: Any, split: int | None) -> None:
    one, aws, _, _ = both
    aws.stream([b"".join(map(chunk, MESSAGE_EVENTS))], end="eof", headers=HEADS, split=split)
    body = {"model": f"bedrock/{CLAUDE}", "max_tokens": 64, "messages": CHAT, "stream": True}
    reply = await one.post(body, "/v1/messages", anthropic_version="2023-06-01")
    assert reply.headers["content-type"].startswith("text/event-stream")
    assert reply.body == b"".join(
        f"event: {value['type']}\ndata: {json.dumps(value)}\n\n".encode() for value in MESSAGE_EVENTS
    )
    received = aws.requests[0]
    assert received.path.endswith("/invoke-with-response-stream")
    assert received.headers["accept"] == EVENTS
    assert json.loads(received.body) == {
        "max_tokens": 64,
        "messages": CHAT,
        "anthropic_version": "bedrock-2023-05-31",
    }
    (record,) = await one.recorded()
    assert (record.outcome, record.usage.output_tokens > 0) == ("ok", True)


@pytest.mark.parametrize("begun", [False, True])
async def test_errors_of_bedrock_are_anthropics_to_anthropics_clients(both: Any, begun: bool) -> None:
    one, aws, _, _ = both
    body = {"model": f"bedrock/{CLAUDE}", "max_tokens": 64, "messages": CHAT}
    aws.answer(400, json={"message": "no such tool"}, headers={"x-amzn-errortype": "ValidationException:http://x"})
    reply = await one.post(body, "/v1/messages", anthropic_version="2023-06-01")
    assert (reply.status, reply.error["type"]) == (400, "invalid_request_error")
    assert "no such tool" in reply.error["message"]
    before = [chunk(value) for value in MESSAGE_EVENTS[:3]] if begun else []
    aws.stream([*before, exception("throttlingException", "slow down")], end="eof", headers=HEADS)
    reply = await one.post({**body, "stream": True}, "/v1/messages", anthropic_version="2023-06-01")
    if begun:
        last = json.loads(reply.body.rstrip().rpartition(b"data: ")[2])
        assert (reply.status, last["type"], last["error"]["type"]) == (200, "error", "rate_limit_error")
        assert b"message_stop" not in reply.body
    else:
        assert (reply.status, reply.error["type"]) == (429, "rate_limit_error")
    aws.stream([chunk(value) for value in MESSAGE_EVENTS[:3]], end="eof", headers=HEADS)
    reply = await one.post({**body, "stream": True}, "/v1/messages", anthropic_version="2023-06-01")
    assert b"event: error" in reply.body, "a stream that is cut is no answer"


async def test_the_anthropic_sdk_on_anthropics_model_of_bedrock(both: Any) -> None:
    one, aws, _, _ = both
    aws.stream([*map(chunk, MESSAGE_EVENTS)], end="eof", headers=HEADS)
    async with (
        anthropic.AsyncAnthropic(base_url=f"http://127.0.0.1:{one.port}", api_key="mine", max_retries=0) as client,
        client.messages.stream(model=f"bedrock/{CLAUDE}", max_tokens=4000, messages=CHAT) as events,
    ):
        message = await events.get_final_message()
    assert message.content[0].text == "Hello"


async def test_requests_are_signed_with_aws_keys_where_the_plugin_is_used() -> None:
    keys = {"AWS_ACCESS_KEY": "AKIDOFTHEGATEWAY", "AWS_SECRET_KEY": "a-secret-of-the-gateway"}
    async with FakeUpstream() as aws:
        settings = {
            "secrets": {"aws": {"use": "aws-credentials"}},
            "providers": {
                "bedrock": {
                    "use": "bedrock-sigv4",
                    "base-url": aws.url,
                    "version-path": "",
                    "region": "eu-west-1",
                    "secret": "aws:default",
                }
            },
        }
        aws.answer(200, json=ANSWER)
        aws.stream([TEXT], end="eof", headers=HEADS)
        async with loopback(settings, environment=keys) as one:
            await ask(client_of(one), "converse", modelId=ARN, messages=MESSAGES)
            await ask_stream(client_of(one), "converse_stream", modelId=CLAUDE, messages=MESSAGES)
        for received in aws.requests:
            assert _is_signed_by(received, aws.url, *keys.values())


def _is_signed_by(received: Any, url: str, access_key: str, secret_key: str) -> bool:
    """Whether AWS would take the signature of a request as it has arrived."""
    given = received.headers["authorization"]
    names = given.partition("SignedHeaders=")[2].partition(",")[0].split(";")
    headers = {name: received.headers[name] for name in names}
    request = AWSRequest("POST", url + received.path, headers=headers, data=received.body)
    request.context["timestamp"] = received.headers["x-amz-date"]
    signer = SigV4Auth(Credentials(access_key, secret_key), "bedrock", "eu-west-1")
    text = signer.string_to_sign(request, signer.canonical_request(request))
    return given.endswith(f"Signature={signer.signature(text, request)}")
