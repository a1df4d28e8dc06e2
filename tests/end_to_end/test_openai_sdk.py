"""The real ``openai`` SDK against ``llmgate serve``: what our users' programs see."""

from __future__ import annotations

import json

import openai
import pytest

from end_to_end.gateways import gateway
from llmgate.testing.upstream import FakeUpstream, chat_events

MESSAGES = [{"role": "user", "content": "Hello there, gateway"}]
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "The weather in a city",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        },
    }
]


@pytest.fixture(scope="module")
def echo(tmp_path_factory):
    with gateway(tmp_path_factory.mktemp("echo")) as one:
        yield one


@pytest.fixture(params=["/v1", "/ai", "/ai/v1"])
def client(echo, request):
    with openai.OpenAI(base_url=f"{echo.url}{request.param}", api_key="unused", max_retries=0, timeout=20) as one:
        yield one


def test_a_whole_answer(client):
    answer = client.chat.completions.create(model="echo", messages=MESSAGES)
    assert answer.choices[0].message.content == "Hello there, gateway"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.completion_tokens == 3
    assert answer._request_id


def test_the_raw_answer_has_our_headers(client):
    raw = client.chat.completions.with_raw_response.create(
        model="echo", messages=MESSAGES, extra_headers={"X-Request-Id": "my-id"}
    )
    assert raw.headers["x-request-id"] == "my-id"
    assert raw.headers["helicone-provider"] == "echo"
    assert raw.headers["helicone-id"] != "my-id"
    assert raw.parse().choices[0].message.content == "Hello there, gateway"


@pytest.mark.parametrize("usage", [False, True])
def test_a_streamed_answer(client, usage):
    options = {"stream_options": {"include_usage": True}} if usage else {}
    with client.chat.completions.create(model="echo", messages=MESSAGES, stream=True, **options) as stream:
        chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == "Hello there, gateway"
    assert [chunk.usage.completion_tokens for chunk in chunks if chunk.usage] == ([3] if usage else [])


def test_the_stream_helper(client):
    with client.chat.completions.stream(model="echo", messages=MESSAGES) as stream:
        assert stream.get_final_completion().choices[0].message.content == "Hello there, gateway"


def test_models(client):
    names = [model.id for model in client.models.list()]
    assert names
    for name in names[:3]:
        assert client.models.retrieve(name).id == name
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("vendor/no-such-model")


def test_errors_become_the_sdks_own(client):
    cases = [
        ("anthropic/claude-x", openai.NotFoundError),
        ("echo?fail=400", openai.BadRequestError),
        ("echo?fail=429", openai.RateLimitError),
        ("echo?fail=503", openai.InternalServerError),
    ]
    for model, kind in cases:
        with pytest.raises(kind) as failure:
            client.chat.completions.create(model=model, messages=MESSAGES)
        assert failure.value.request_id
        assert failure.value.body["message"]


def test_a_stream_that_breaks_raises(client):
    with (
        pytest.raises(openai.APIError),
        client.chat.completions.create(model="echo?words=9&error=3", messages=MESSAGES, stream=True) as stream,
    ):
        list(stream)


def test_a_spent_retry_is_not_multiplied_by_the_sdk(echo):
    with openai.OpenAI(base_url=f"{echo.url}/v1", api_key="unused", max_retries=2, timeout=20) as client:
        with pytest.raises(openai.InternalServerError):
            client.chat.completions.create(
                model="echo?fail=500", messages=MESSAGES, extra_headers={"X-Request-Id": "failing-once"}
            )
        client.models.list(extra_headers={"X-Request-Id": "after-it"})
    echo.wait_line('"after-it"')
    assert sum('"failing-once"' in line for line in echo.lines) == 1


def test_a_client_that_leaves_a_stream_early_harms_nobody(client):
    for _ in range(5):
        with client.chat.completions.create(model="echo?words=5000", messages=MESSAGES, stream=True) as stream:
            next(iter(stream))
    assert client.chat.completions.create(model="echo", messages=MESSAGES).choices


async def test_the_async_client(echo):
    async with openai.AsyncOpenAI(base_url=f"{echo.url}/v1", api_key="unused", max_retries=0, timeout=20) as client:
        answer = await client.chat.completions.create(model="echo", messages=MESSAGES)
        assert answer.choices[0].message.content == "Hello there, gateway"
        stream = await client.chat.completions.create(model="echo", messages=MESSAGES, stream=True)
        text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])
        assert text == "Hello there, gateway"
        assert [model.id async for model in client.models.list()]


CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}


def tool_events():
    def delta(**fields):
        return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o-mini"} | {
            "choices": [{"index": 0, "delta": fields, "finish_reason": None}]
        }

    first = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "weather", "arguments": ""}}
    yield delta(role="assistant", content=None, tool_calls=[first])
    for piece in ('{"ci', 'ty": "O', 'slo"}'):
        yield delta(tool_calls=[{"index": 0, "function": {"arguments": piece}}])
    last = delta()
    last["choices"][0]["finish_reason"] = "tool_calls"
    yield last


@pytest.mark.parametrize("streamed", [False, True])
async def test_tools_go_there_and_back(tmp_path, streamed):
    async with FakeUpstream() as upstream:
        (tmp_path / "llmgate.yaml").write_text(f"providers:\n  openai: {{base-url: '{upstream.base_url}'}}\n")
        with gateway(tmp_path, environment={"OPENAI_API_KEY": "sk-upstream"}) as one:
            async with openai.AsyncOpenAI(
                base_url=f"{one.url}/v1", api_key="mine", max_retries=0, timeout=20
            ) as client:
                if streamed:
                    upstream.stream(list(tool_events()))
                    async with client.chat.completions.stream(
                        model="openai/gpt-4o-mini", messages=MESSAGES, tools=TOOLS
                    ) as stream:
                        message = (await stream.get_final_completion()).choices[0].message
                else:
                    choice = {
                        "index": 0,
                        "message": {"role": "assistant", "content": None, "tool_calls": [CALL]},
                        "finish_reason": "tool_calls",
                    }
                    body = {"id": "c", "object": "chat.completion", "created": 1, "model": "gpt-4o-mini"}
                    upstream.answer(200, json=body | {"choices": [choice]})
                    answer = await client.chat.completions.create(
                        model="openai/gpt-4o-mini", messages=MESSAGES, tools=TOOLS
                    )
                    message = answer.choices[0].message
                call = message.tool_calls[0]
                assert (call.id, call.function.name) == ("call_1", "weather")
                assert json.loads(call.function.arguments) == {"city": "Oslo"}
                received = upstream.requests[0]
                assert received.headers["authorization"] == "Bearer sk-upstream"
                assert json.loads(received.body)["tools"] == TOOLS
                followed = await client.chat.completions.create(
                    model="openai/gpt-4o-mini",
                    messages=[
                        *MESSAGES,
                        message.model_dump(),
                        {"role": "tool", "tool_call_id": "call_1", "content": "rain"},
                    ],
                    tools=TOOLS,
                )
                assert followed.choices[0].message.content


async def test_an_upstreams_error_reaches_the_sdk_word_for_word(tmp_path):
    theirs = {"message": "context too long", "type": "invalid_request_error", "param": "messages", "code": "too_long"}
    async with FakeUpstream() as upstream:
        (tmp_path / "llmgate.yaml").write_text(f"providers:\n  openai: {{base-url: '{upstream.base_url}'}}\n")
        with gateway(tmp_path, environment={"OPENAI_API_KEY": "sk-upstream"}) as one:
            async with openai.AsyncOpenAI(
                base_url=f"{one.url}/v1", api_key="mine", max_retries=0, timeout=20
            ) as client:
                upstream.answer(400, json={"error": theirs})
                with pytest.raises(openai.BadRequestError) as failure:
                    await client.chat.completions.create(model="openai/gpt-4o-mini", messages=MESSAGES)
                assert failure.value.body == theirs
                upstream.answer(401, json={"error": {"message": "wrong key sk-upst***eam"}})
                with pytest.raises(openai.InternalServerError) as hidden:
                    await client.chat.completions.create(model="openai/gpt-4o-mini", messages=MESSAGES)
                assert hidden.value.status_code == 502
                assert "sk-upst" not in str(hidden.value)
                upstream.stream(chat_events("hello"), end="cut")
                with pytest.raises(openai.APIError):
                    async for _ in await client.chat.completions.create(
                        model="openai/gpt-4o-mini", messages=MESSAGES, stream=True
                    ):
                        pass


async def test_a_client_that_leaves_closes_the_upstream(tmp_path):
    async with FakeUpstream() as upstream:
        (tmp_path / "llmgate.yaml").write_text(f"providers:\n  openai: {{base-url: '{upstream.base_url}'}}\n")
        with gateway(tmp_path, environment={"OPENAI_API_KEY": "sk-upstream"}) as one:
            upstream.stream(chat_events("hello"), end="hang")
            async with openai.AsyncOpenAI(
                base_url=f"{one.url}/v1", api_key="mine", max_retries=0, timeout=20
            ) as client:
                stream = await client.chat.completions.create(
                    model="openai/gpt-4o-mini", messages=MESSAGES, stream=True
                )
                await anext(aiter(stream))
                await stream.close()
            await upstream.closed(1, timeout=10)
            assert upstream.disconnects == 1
