"""``from llmgate.sdk import anthropic``: the library, without a key and without a server."""

from __future__ import annotations

import asyncio

import anthropic as vendor
import pytest

from llmgate import sdk
from llmgate.sdk import anthropic

MESSAGES = [{"role": "user", "content": "Hello"}]


@pytest.fixture(autouse=True)
def process(monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-of-the-vendor")
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "token-of-the-vendor")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://elsewhere.invalid/v9")
    sdk.configure({"providers": {"echo": {}}, "auth": [{"use": "static-keys", "keys": []}]}, environment={})
    yield
    sdk.close()
    sdk.configure()


def test_it_is_the_library_with_two_classes_of_its_own():
    assert anthropic.RateLimitError is vendor.RateLimitError
    assert issubclass(anthropic.Anthropic, vendor.Anthropic)
    assert issubclass(anthropic.AsyncAnthropic, vendor.AsyncAnthropic)
    with pytest.raises(AttributeError):
        anthropic.NothingOfTheKind  # noqa: B018 - the look-up is the test


def test_the_caller_is_trusted_whatever_keys_the_environment_has():
    with anthropic.Anthropic() as client:
        answer = client.messages.create(model="echo", messages=MESSAGES, max_tokens=9)
        assert answer.content[0].text == "Hello"
        again = client.with_options(timeout=5)
        assert type(again) is anthropic.Anthropic
        assert again.models.list().data


@pytest.mark.parametrize("given", ["api_key", "auth_token"])
def test_a_key_that_is_given_is_judged(given):
    with anthropic.Anthropic(**{given: "wrong"}) as client, pytest.raises(anthropic.AuthenticationError):
        client.models.list()


def test_the_async_client_works_on_one_loop_after_another():
    async def ask() -> str:
        async with (
            anthropic.AsyncAnthropic() as client,
            client.messages.stream(model="echo", messages=MESSAGES, max_tokens=9) as stream,
        ):
            return await stream.get_final_text()

    assert [asyncio.run(ask()), asyncio.run(ask())] == ["Hello", "Hello"]


async def test_another_way_out_may_be_given():
    with sdk.http_client(sdk.default_pipeline()) as http, anthropic.Anthropic(http_client=http) as client:
        assert client.models.list().data
    http = sdk.async_http_client(sdk.default_pipeline())
    async with anthropic.AsyncAnthropic(http_client=http, base_url="http://any/as/anthropic") as client:
        assert (await client.models.list()).data


def test_controls_hold_for_each_request_that_says_nothing_else():
    with anthropic.Anthropic(controls={"Helicone-Retry-Enabled": "maybe"}) as client:
        ask = {"model": "echo", "messages": MESSAGES, "max_tokens": 9}
        with pytest.raises(anthropic.BadRequestError, match="helicone-retry-enabled"):
            client.messages.create(**ask)
        assert client.messages.create(**ask, extra_headers={"Helicone-Retry-Enabled": "true"}).content
