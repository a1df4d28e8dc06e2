from __future__ import annotations

import json
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import attrs
import pytest

from llmgate.formats import get_format, read_request
from llmgate.formats.adapter import FormatAdapter
from llmgate.pipeline.attempt import Try, answer, build_try
from llmgate.pipeline.candidates import is_served
from llmgate.spec import (
    Attempt,
    Deployment,
    GatewayRequest,
    NoConfig,
    ProviderError,
    ProviderRow,
    RelayBody,
    Secret,
    SecretRef,
    hookimpl,
)
from llmgate.testing.samples import sample_response
from llmgate.testing.transport import json_answer
from scripted import OpenBench, completion, failure

FORMAT = get_format("openai-chat")
BODY = b'{ "model" : "m", "messages":[{"role":"user","content":"hi"}], "vendor_field": {"kept": [1, 2.50]} }'
SECRET = Secret("key-of-alpha", SecretRef("env", "ALPHA_API_KEY"), version="7")


def chat(body: bytes = BODY) -> GatewayRequest:
    return read_request(FORMAT, body)


def prepared(b: Any, request: GatewayRequest, *, model: str = "m", secret: Secret | None = SECRET) -> Try:
    """A try at the provider alpha."""
    provider = next(one for one in b.pipeline.snapshot.runtimes if one.name == "alpha")
    attempt = Attempt(0, Deployment(f"alpha/{model}", provider, model), started=0.0)
    return build_try(b.pipeline.snapshot.runtimes[provider], request, attempt, secret, now=0.0)


async def test_a_body_in_the_providers_own_format_goes_up_byte_for_byte(bench: OpenBench) -> None:
    async with bench() as b:
        tried = prepared(b, chat())
        assert tried.relay
        assert tried.request.body == BODY


async def test_another_model_name_changes_its_own_bytes_and_no_others(bench: OpenBench) -> None:
    async with bench() as b:
        assert prepared(b, chat(), model="other").request.body == BODY.replace(b'"m"', b'"other"', 1)


async def test_a_recorded_edit_is_patched_in_and_unknown_fields_survive(bench: OpenBench) -> None:
    async with bench() as b:
        sent = json.loads(prepared(b, chat().edited(max_output_tokens=5)).request.body or b"")
        assert 5 in (sent.get("max_completion_tokens"), sent.get("max_tokens"))
        assert sent["vendor_field"] == {"kept": [1, 2.50]}


@pytest.mark.parametrize(
    ("fields", "asks", "withholds"),
    [
        pytest.param(b"", False, False, id="no stream"),
        pytest.param(b', "stream": true', True, True, id="a stream whose client did not ask"),
        pytest.param(
            b', "stream": true, "stream_options": {"include_usage": true}', True, False, id="a client who asked"
        ),
    ],
)
async def test_usage_is_asked_for_in_every_stream_and_withheld_from_who_did_not_ask(
    bench: OpenBench, fields: bytes, asks: bool, withholds: bool
) -> None:
    async with bench() as b:
        tried = prepared(b, chat(b'{"model": "m", "messages": []' + fields + b"}"))
        sent = json.loads(tried.request.body or b"")
        assert bool(sent.get("stream_options", {}).get("include_usage")) is asks
        assert tried.call.withhold_usage is withholds


async def test_the_account_names_the_credential_and_never_holds_it(bench: OpenBench) -> None:
    async with bench() as b:
        tried = prepared(b, chat())
        attempt = tried.attempt
        assert (attempt.credential_ref, attempt.credential_version) == ("env:ALPHA_API_KEY", "7")
        assert attempt.credential_fingerprint == SECRET.fingerprint
        assert tried.request.headers["authorization"] == "Bearer key-of-alpha"
        assert "key-of-alpha" not in repr(attempt) + repr(tried) + repr(tried.request)


@pytest.mark.parametrize("header", ["x-request-id", "request-id"])
async def test_the_head_of_an_answer_is_noted(bench: OpenBench, header: str) -> None:
    whole = completion()
    async with bench(attrs.evolve(whole, headers={header: "theirs-1"})) as b:
        tried = prepared(b, chat())
        response = await answer(tried, get_format("openai-chat"))
        assert (tried.attempt.status, tried.attempt.provider_request_id) == (200, "theirs-1")
        assert tried.attempt.outcome.usage == response.outcome.usage
        assert response.body == whole.body


async def test_an_error_status_is_the_error_that_the_adapter_reads_in_it(bench: OpenBench) -> None:
    async with bench(failure(503, "busy")) as b:
        tried = prepared(b, chat())
        with pytest.raises(ProviderError, match="busy") as caught:
            await answer(tried, get_format("openai-chat"))
        assert caught.value.upstream_status == tried.attempt.status == 503


async def test_an_answer_in_another_format_is_written_in_the_callers(bench: OpenBench) -> None:
    foreign = sample_response("good day", format="somebody-elses", headers={"x-theirs": "1"})
    adapter = SimpleNamespace(parse_response=lambda call, response: foreign)
    async with bench(json_answer({"anything": 1})) as b:
        tried = prepared(b, chat())
        response = await answer(
            attrs.evolve(tried, runtime=attrs.evolve(tried.runtime, adapter=adapter)), get_format("openai-chat")
        )
    assert response.format == "openai-chat"
    assert json.loads(response.body)["choices"][0]["message"]["content"] == "good day"
    assert response.headers == {}, "headers of a format that the caller does not speak mean nothing to it"


async def test_a_call_of_ones_own_body_is_a_relay(bench: OpenBench) -> None:
    async with bench() as b:
        assert isinstance(prepared(b, chat()).call.body, RelayBody)


async def test_a_deployment_speaks_what_its_adapter_says(bench: OpenBench) -> None:
    """A vendor's models may differ in what they speak: a request goes to where its own model is spoken to."""

    class Split(FormatAdapter[NoConfig]):
        name = "split"
        row = ProviderRow("split", "Split", None, {"openai-chat": "/c", "anthropic-messages": "/m"}, keyless=True)

        def formats_of(self, deployment: Deployment) -> Sequence[str]:
            return ("anthropic-messages",) if deployment.model.startswith("claude") else ("openai-chat",)

    class Plugin:
        @hookimpl
        def llmgate_register_provider_adapters(self) -> type[Split]:
            return Split

    providers = {"split": {"use": "split", "base-url": "https://split.invalid/v1"}}
    async with bench(plugins=(Plugin(),), providers=providers, routers={}) as b:
        snapshot = b.pipeline.snapshot
        provider = next(one for one in snapshot.runtimes if one.name == "split")
        for model, wire_format, path in (("claude-x", "anthropic-messages", "/m"), ("gpt-x", "openai-chat", "/c")):
            attempt = Attempt(0, Deployment(f"split/{model}", provider, model), started=0.0)
            tried = build_try(snapshot.runtimes[provider], chat(), attempt, None, now=0.0)
            assert (tried.call.format.name, tried.relay) == (wire_format, wire_format == "openai-chat")
            assert tried.request.url == f"https://split.invalid/v1{path}"
            asked = attrs.evolve(chat(), model=f"split/{model}")
            assert is_served(snapshot, asked) is (wire_format == "openai-chat")
