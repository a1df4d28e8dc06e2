"""The real client libraries over a pipeline of this process: answers, streams, errors, and leaving them."""

from __future__ import annotations

import asyncio
import json
import threading

import anthropic
import httpx2
import openai
import pytest

from llmgate import BlockingPipeline, Pipeline, Principal
from llmgate.sdk import NO_KEY, async_http_client, http_client
from llmgate.spec import Logger, hookimpl
from llmgate.stages.auth.keys import hash_of
from llmgate.testing.upstream import FakeUpstream, chat_events

MESSAGES = [{"role": "user", "content": "Hello there, gateway"}]
KEY = "sk-lg-" + "k" * 43
AUTH = {"auth": [{"use": "static-keys", "keys": [{"name": "alice", "hash": hash_of(KEY)}]}]}
ECHO = {"providers": {"echo": {}}}


class Kept(Logger):
    """Keeps every record."""

    name = "kept"
    records: list = []

    async def record(self, record):
        self.records.append(record)


class Plugin:
    @staticmethod
    @hookimpl
    def llmgate_register_loggers():
        return Kept


@pytest.fixture
def records():
    Kept.records = []
    return Kept.records


def assembled(settings) -> Pipeline:
    return Pipeline.from_config(
        {**settings, "loggers": [{"use": "kept"}]}, environment={"OPENAI_API_KEY": "secret"}, plugins=[Plugin]
    )


@pytest.fixture
async def pipeline(records):
    async with assembled(ECHO) as one:
        yield one
    for _ in range(3):
        await asyncio.sleep(0)  # the libraries leave generators behind, which close themselves
    assert len(asyncio.all_tasks()) == 1, "nothing is left running"


@pytest.fixture
def blocking(records):
    with BlockingPipeline(assembled(ECHO)) as one:
        yield one


@pytest.fixture
async def upstream():
    """A provider on loopback, and the pipeline before it."""
    async with FakeUpstream() as one:
        yield one


def towards(upstream, **more) -> Pipeline:
    return assembled({"providers": {"openai": {"base-url": upstream.base_url}}, **more})


def client(pipeline, **options) -> openai.AsyncOpenAI:
    principal = options.pop("principal", None)
    http = async_http_client(pipeline, principal=principal)
    return openai.AsyncOpenAI(**{"http_client": http, "api_key": "any", "max_retries": 0, **options})


class TestOpenAI:
    async def test_a_whole_answer_has_our_headers(self, pipeline, records):
        async with client(pipeline) as openai_client:
            raw = await openai_client.chat.completions.with_raw_response.create(
                model="echo", messages=MESSAGES, extra_headers={"X-Request-Id": "my-id"}
            )
        answer = raw.parse()
        assert answer.choices[0].message.content == "Hello there, gateway"
        assert answer._request_id == "my-id"
        assert raw.headers["helicone-provider"] == "echo"
        await pipeline.aclose()
        assert [(one.surface, one.principal, one.client_request_id) for one in records] == [
            ("openai", "local", "my-id")
        ]

    async def test_a_stream(self, pipeline):
        async with client(pipeline) as openai_client:
            stream = await openai_client.chat.completions.create(
                model="echo", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
            )
            chunks = [chunk async for chunk in stream]
        assert "".join(one.choices[0].delta.content or "" for one in chunks if one.choices) == "Hello there, gateway"
        assert chunks[-1].usage.completion_tokens == 3

    async def test_tools_go_up_and_their_calls_come_down(self, upstream):
        call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
        choice = {"index": 0, "message": {"role": "assistant", "tool_calls": [call]}, "finish_reason": "tool_calls"}
        upstream.answer(json={"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]})
        tools = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]
        async with towards(upstream) as one, client(one) as openai_client:
            answer = await openai_client.chat.completions.create(
                model="openai/gpt-4o-mini", messages=MESSAGES, tools=tools
            )
        assert answer.choices[0].message.tool_calls[0].function.arguments == '{"city": "Oslo"}'
        assert json.loads(upstream.requests[0].body)["tools"] == tools

    async def test_embeddings(self, upstream):
        data = [{"object": "embedding", "index": index, "embedding": [0.5, float(index)]} for index in range(2)]
        usage = {"prompt_tokens": 2, "total_tokens": 2}
        upstream.answer(json={"object": "list", "model": "m", "data": data, "usage": usage})
        async with towards(upstream) as one, client(one) as openai_client:
            answer = await openai_client.embeddings.create(
                model="openai/text-embedding-3-small", input=["one", "two"], encoding_format="float"
            )
        assert [part.embedding for part in answer.data] == [[0.5, 0.0], [0.5, 1.0]]

    async def test_models(self, pipeline):
        async with client(pipeline) as openai_client:
            names = [one.id async for one in openai_client.models.list()]
            assert "echo/echo" in names
            assert (await openai_client.models.retrieve("echo/echo")).id == "echo/echo"

    async def test_a_router_is_chosen_by_the_path(self, upstream):
        routers = {"main": {"load-balance": {"chat": {"strategy": "priority", "providers": ["openai"]}}}}
        async with (
            towards(upstream, routers=routers) as one,
            client(one, base_url="http://llmgate/router/main") as openai_client,
        ):
            await openai_client.chat.completions.create(model="gpt-4o", messages=MESSAGES)
        assert [json.loads(one.body)["model"] for one in upstream.requests] == ["gpt-4o"]

    async def test_twenty_calls_at_once(self, pipeline):
        async def ask(number: int, openai_client) -> str:
            messages = [{"role": "user", "content": f"number {number}"}]
            if number % 2:
                stream = await openai_client.chat.completions.create(model="echo", messages=messages, stream=True)
                return "".join([one.choices[0].delta.content or "" async for one in stream if one.choices])
            answer = await openai_client.chat.completions.create(model="echo", messages=messages)
            return answer.choices[0].message.content

        async with client(pipeline) as openai_client:
            answers = await asyncio.gather(*(ask(number, openai_client) for number in range(20)))
        assert answers == [f"number {number}" for number in range(20)]

    async def test_a_large_body_goes_through_and_one_beyond_the_limit_does_not(self, records):
        async with assembled({**ECHO, "server": {"max-body-bytes": 1_000_000}}) as one, client(one) as openai_client:
            text = "word " * 150_000
            answer = await openai_client.chat.completions.create(
                model="echo", messages=[{"role": "user", "content": text}]
            )
            assert answer.choices[0].message.content.strip() == text.strip()
            with pytest.raises(openai.APIStatusError) as refused:
                await openai_client.chat.completions.create(
                    model="echo", messages=[{"role": "user", "content": text * 2}]
                )
            assert refused.value.status_code == 413


class TestErrors:
    @pytest.mark.parametrize(
        ("model", "kind"),
        [
            ("anthropic/claude-x", openai.NotFoundError),
            ("echo?fail=400", openai.BadRequestError),
            ("echo?fail=429&retry-after=7", openai.RateLimitError),
            ("echo?fail=503", openai.InternalServerError),
        ],
    )
    async def test_they_become_the_librarys_own(self, pipeline, model, kind):
        async with client(pipeline) as openai_client:
            with pytest.raises(kind) as failure:
                await openai_client.chat.completions.create(model=model, messages=MESSAGES)
        assert failure.value.request_id
        assert failure.value.body["message"]
        if kind is openai.RateLimitError:
            assert failure.value.response.headers["retry-after"] == "7"

    async def test_a_request_that_is_none_is_a_400(self, pipeline):
        async with client(pipeline) as openai_client:
            with pytest.raises(openai.BadRequestError) as failure:
                await openai_client.post("/chat/completions", cast_to=object, body={"model": "echo", "messages": 1})
        assert failure.value.param == "messages"

    async def test_they_are_in_the_shape_of_the_surface(self, pipeline):
        async with anthropic.AsyncAnthropic(
            http_client=async_http_client(pipeline), api_key="any", max_retries=0
        ) as anthropic_client:
            with pytest.raises(anthropic.NotFoundError) as failure:
                await anthropic_client.messages.create(model="anthropic/claude-x", max_tokens=9, messages=MESSAGES)
        assert failure.value.body["type"] == "error"
        assert failure.value.body["error"]["type"] == "not_found_error"

    async def test_a_stream_that_breaks_raises(self, pipeline):
        async with client(pipeline) as openai_client:
            stream = await openai_client.chat.completions.create(
                model="echo?words=9&error=3", messages=MESSAGES, stream=True
            )
            with pytest.raises(openai.APIError):
                _ = [chunk async for chunk in stream]

    async def test_the_librarys_own_timeout_ends_the_request_upstream(self, upstream):
        upstream.hang()
        async with towards(upstream) as one, client(one, timeout=0.05) as openai_client:
            # The gateway, which is told when the library stops waiting, says so a little sooner if it can.
            with pytest.raises((openai.APITimeoutError, openai.InternalServerError)) as late:
                await openai_client.chat.completions.create(model="openai/gpt-4o", messages=MESSAGES)
            assert getattr(late.value, "status_code", 504) == 504
            await upstream.closed()

    async def test_a_closed_pipeline_answers_in_the_shape_of_the_surface(self, records):
        async with assembled(ECHO) as one:
            openai_client = client(one)
        async with openai_client:
            with pytest.raises(openai.InternalServerError):
                await openai_client.chat.completions.create(model="echo", messages=MESSAGES)


class TestWhoAsks:
    @pytest.mark.parametrize(
        ("options", "who"),
        [
            ({"api_key": KEY}, "alice"),
            ({"api_key": NO_KEY}, "local"),
            ({"api_key": NO_KEY, "default_headers": {"x-api-key": KEY}}, "alice"),
            ({"api_key": "wrong", "principal": Principal(id="bob", issuer="app", kind="user")}, "bob"),
        ],
    )
    async def test_a_key_is_judged_and_without_one_the_caller_is_trusted(self, records, options, who):
        async with assembled({**ECHO, **AUTH}) as one, client(one, **options) as openai_client:
            await openai_client.chat.completions.create(model="echo", messages=MESSAGES)
        assert [record.principal for record in records] == [who]

    @pytest.mark.parametrize("headers", [{}, {"Authorization": "Basic eA=="}, {"x-goog-api-key": "wrong"}])
    async def test_a_wrong_key_is_a_401(self, records, headers):
        async with assembled({**ECHO, **AUTH}) as one:
            options = {"default_headers": headers, "api_key": NO_KEY} if headers else {"api_key": "wrong"}
            async with client(one, **options) as openai_client:
                with pytest.raises(openai.AuthenticationError):
                    await openai_client.chat.completions.create(model="echo", messages=MESSAGES)

    async def test_where_nobody_is_asked_any_key_does(self, pipeline, records):
        async with client(pipeline, api_key="sk-of-the-vendor") as openai_client:
            await openai_client.chat.completions.create(model="echo", messages=MESSAGES)
        await pipeline.aclose()
        assert [record.principal for record in records] == ["local"]


class TestLeaving:
    @pytest.mark.parametrize("how", ["close the stream", "cancel the task", "close the client"])
    async def test_a_stream_that_is_left_is_cancelled_upstream(self, upstream, records, how):
        upstream.stream(chat_events("one two three four"), end="hang")
        async with towards(upstream) as one:
            openai_client = client(one)
            stream = await openai_client.chat.completions.create(model="openai/gpt-4o", messages=MESSAGES, stream=True)
            if how == "close the stream":
                async for _ in stream:
                    break
                await stream.close()
            elif how == "close the client":
                await openai_client.close()
            else:
                reading = asyncio.ensure_future(_drain(stream))
                await asyncio.sleep(0)
                reading.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await reading
                await stream.close()
            await upstream.closed()
            await openai_client.close()
        assert [(record.outcome, record.status) for record in records] == [("cancelled", 499)]
        assert upstream.disconnects == 1

    async def test_a_call_that_is_cancelled_is_cancelled_upstream(self, upstream, records):
        upstream.hang()
        async with towards(upstream) as one, client(one) as openai_client:
            asking = asyncio.ensure_future(
                openai_client.chat.completions.create(model="openai/gpt-4o", messages=MESSAGES)
            )
            await upstream.received()
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            await upstream.closed()
            assert len(asyncio.all_tasks()) <= 4  # this test, the upstream's and the transport's own
        assert [record.outcome for record in records] == ["cancelled"]

    async def test_a_reader_who_waits_holds_the_provider_back(self, upstream, records):
        upstream.stream(chat_events(" ".join("x" * 15_000 for _ in range(2000))))
        async with towards(upstream) as one, client(one) as openai_client:
            stream = await openai_client.chat.completions.create(model="openai/gpt-4o", messages=MESSAGES, stream=True)
            assert upstream.busy_connections == 1
            async for _ in stream:
                break
            await asyncio.sleep(0.05)
            assert upstream.busy_connections == 1, "thirty megabytes were read with nobody to read them"
            await stream.close()


async def _drain(stream) -> None:
    async for _ in stream:
        pass


class TestAnthropic:
    async def test_messages_streams_and_counts(self, pipeline):
        async with anthropic.AsyncAnthropic(http_client=async_http_client(pipeline), api_key="any") as anthropic_client:
            answer = await anthropic_client.messages.create(model="echo", max_tokens=50, messages=MESSAGES)
            assert answer.content[0].text == "Hello there, gateway"
            async with anthropic_client.messages.stream(model="echo", max_tokens=50, messages=MESSAGES) as stream:
                assert "".join([text async for text in stream.text_stream]) == "Hello there, gateway"
            counted = await anthropic_client.messages.count_tokens(model="echo", messages=MESSAGES)
            assert counted.input_tokens > 0


class TestBlocking:
    def test_answers_and_streams(self, blocking):
        with openai.OpenAI(http_client=http_client(blocking), api_key="any") as one:
            answer = one.chat.completions.create(model="echo", messages=MESSAGES)
            assert answer.choices[0].message.content == "Hello there, gateway"
            with one.chat.completions.create(model="echo", messages=MESSAGES, stream=True) as stream:
                text = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
            assert text == "Hello there, gateway"
        with anthropic.Anthropic(http_client=http_client(blocking), api_key="any") as other:
            answer = other.messages.create(model="echo", max_tokens=9, messages=MESSAGES)
            assert answer.content[0].text == "Hello there, gateway"

    def test_errors_and_timeouts(self, blocking):
        with openai.OpenAI(http_client=http_client(blocking), api_key="any", max_retries=0) as one:
            with pytest.raises(openai.RateLimitError):
                one.chat.completions.create(model="echo?fail=429", messages=MESSAGES)
            with pytest.raises((openai.APITimeoutError, openai.InternalServerError)) as late:
                one.with_options(timeout=0.02).chat.completions.create(model="echo?delay=60", messages=MESSAGES)
            assert getattr(late.value, "status_code", 504) == 504

    def test_from_many_threads(self, blocking):
        answers = []
        with openai.OpenAI(http_client=http_client(blocking), api_key="any") as one:

            def ask(number: int) -> None:
                messages = [{"role": "user", "content": f"number {number}"}]
                with one.chat.completions.create(model="echo", messages=messages, stream=True) as stream:
                    answers.append("".join(part.choices[0].delta.content or "" for part in stream if part.choices))

            threads = [threading.Thread(target=ask, args=(number,)) for number in range(20)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert sorted(answers) == sorted(f"number {number}" for number in range(20))

    def test_leaving_a_stream_settles_it(self, blocking, records):
        slow = {"model": "echo?words=50000&word-delay=0.01", "messages": MESSAGES}
        with (
            openai.OpenAI(http_client=http_client(blocking), api_key="any") as one,
            one.chat.completions.create(**slow, stream=True) as stream,
        ):
            next(iter(stream))
        blocking.close()
        assert [record.outcome for record in records] == ["cancelled"]

    def test_a_pipeline_that_closes_meanwhile_ends_the_stream(self, blocking, records):
        with openai.OpenAI(http_client=http_client(blocking), api_key="any", max_retries=0) as one:
            stream = one.chat.completions.create(
                model="echo?words=50000&word-delay=0.01", messages=MESSAGES, stream=True
            )
            next(iter(stream))
            blocking.close()
            with pytest.raises((httpx2.TransportError, openai.APIConnectionError)):
                list(stream)
            stream.close()
            with pytest.raises(openai.APIConnectionError):
                one.chat.completions.create(model="echo", messages=MESSAGES)
        assert [record.outcome for record in records] == ["cancelled"]

    async def test_a_pipeline_of_this_loop_serves_other_threads_and_never_its_own(self, pipeline):
        with openai.OpenAI(http_client=http_client(pipeline), api_key="any", max_retries=0) as one:
            answer = await asyncio.to_thread(one.chat.completions.create, model="echo", messages=MESSAGES)
            assert answer.choices[0].message.content == "Hello there, gateway"
            with pytest.raises(RuntimeError, match="use the async client"):
                one.chat.completions.create(model="echo", messages=MESSAGES)
            stream = await asyncio.to_thread(
                one.chat.completions.create, model="echo?words=9000", messages=MESSAGES, stream=True
            )
            stream.close()
