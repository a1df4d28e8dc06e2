"""``from llmgate.sdk import openai``: the library, without a key and without a server."""

from __future__ import annotations

import asyncio

import openai as vendor
import pytest

from llmgate import Controls, sdk
from llmgate.sdk import openai

MESSAGES = [{"role": "user", "content": "Hello"}]


@pytest.fixture(autouse=True)
def process(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-vendor")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://elsewhere.invalid/v9")
    sdk.configure({"providers": {"echo": {}}, "auth": [{"use": "static-keys", "keys": []}]}, environment={})
    yield
    sdk.close()
    sdk.configure()


def test_it_is_the_library_with_two_classes_of_its_own():
    assert openai.RateLimitError is vendor.RateLimitError
    assert issubclass(openai.OpenAI, vendor.OpenAI)
    assert issubclass(openai.AsyncOpenAI, vendor.AsyncOpenAI)
    with pytest.raises(AttributeError):
        openai.NothingOfTheKind  # noqa: B018 - the look-up is the test


def test_the_caller_is_trusted_whatever_keys_the_environment_has():
    with openai.OpenAI() as client:
        assert client.chat.completions.create(model="echo", messages=MESSAGES).choices[0].message.content == "Hello"
        again = client.with_options(timeout=5)
        assert type(again) is openai.OpenAI
        assert again.models.list().data


def test_a_key_that_is_given_is_judged():
    with openai.OpenAI(api_key="wrong") as client, pytest.raises(openai.AuthenticationError):
        client.models.list()


def test_the_async_client_works_on_one_loop_after_another():
    async def ask() -> str:
        async with openai.AsyncOpenAI() as client:
            stream = await client.chat.completions.create(model="echo", messages=MESSAGES, stream=True)
            return "".join([one.choices[0].delta.content or "" async for one in stream if one.choices])

    assert [asyncio.run(ask()), asyncio.run(ask())] == ["Hello", "Hello"]


async def test_another_way_out_may_be_given():
    with sdk.http_client(sdk.default_pipeline()) as http, openai.OpenAI(http_client=http) as client:
        assert client.models.list().data
    http = sdk.async_http_client(sdk.default_pipeline())
    async with openai.AsyncOpenAI(http_client=http, base_url="http://any/ai") as client:
        assert (await client.models.list()).data


WRONG = Controls(retries=99)
"""Something that the gateway hears, and refuses."""


def test_controls_hold_for_each_request_that_says_nothing_else():
    with openai.OpenAI(controls=WRONG) as client:
        ask = {"model": "echo", "messages": MESSAGES}
        with pytest.raises(openai.BadRequestError, match="helicone-retry-num"):
            client.chat.completions.create(**ask)
        assert client.chat.completions.create(**ask, extra_headers={"Helicone-Retry-Num": "2"}).choices
    with pytest.raises(ValueError, match="nothing that the gateway is told"):
        openai.OpenAI(controls={"cookie": "x"})


async def test_the_async_client_and_http_clients_take_controls_too():
    named = Controls(retries=99, user="Zoë", properties={"Stadt": "日本"})
    async with openai.AsyncOpenAI(controls=named) as client:
        with pytest.raises(openai.BadRequestError, match="helicone-retry-num"):
            await client.chat.completions.create(model="echo", messages=MESSAGES)
    http = sdk.async_http_client(sdk.default_pipeline(), controls=WRONG)
    async with openai.AsyncOpenAI(http_client=http) as client:
        with pytest.raises(openai.BadRequestError, match="helicone-retry-num"):
            await client.chat.completions.create(model="echo", messages=MESSAGES)
    async with sdk.async_http_client(sdk.default_pipeline()) as http:
        with pytest.raises(TypeError, match="give the controls to the http_client"):
            openai.AsyncOpenAI(http_client=http, controls=WRONG)
