"""Spans of the conventions for generative AI, and the calls that they tell of."""

from __future__ import annotations

from typing import Any

import pytest

from llmgate.pipeline.logged_calls import LoggedCall, Told
from llmgate.pipeline.told_spans import VENDORS, Span, call_of
from llmgate.spec import FinishReason, Operation, TraceContext, Usage
from llmgate.telemetry.attributes import provider_name

NOW = 1_790_000_000.0
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAID = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o-mini"}


def span(attributes: dict[str, Any] | None = None, **fields: Any) -> Span:
    start = int((NOW - 60) * 1e9)
    known = {
        "parent_id": "",
        "started": start,
        "ended": start + 2_500_000_000,
        "attributes": {**SAID, **(attributes or {})},
    }
    return Span(TRACE, SPAN, **{**known, **fields})


def call(attributes: dict[str, Any] | None = None, **fields: Any) -> LoggedCall:
    found = call_of(span(attributes, **fields), NOW, "gate.example:8080")
    assert found is not None
    return found


def told(attributes: dict[str, Any] | None = None, **fields: Any) -> Told:
    found = call(attributes, **fields).told
    assert found is not None
    return found


def test_a_span_is_a_call():
    one = call(
        {
            "gen_ai.response.id": "r1",
            "gen_ai.response.model": "gpt-4o-mini-2024-07-18",
            "gen_ai.response.finish_reasons": ["max_tokens"],
            "gen_ai.response.time_to_first_chunk": 0.4,
            "gen_ai.usage.input_tokens": 100,
            "gen_ai.usage.output_tokens": 50,
            "gen_ai.usage.cache_read.input_tokens": 30,
            "gen_ai.usage.cache_write.input_tokens": 20,
            "gen_ai.usage.reasoning.output_tokens": 10,
            "gen_ai.conversation.id": "talk-1",
            "user.id": "Jürgen",
            "llmgate.property.Env": "prod",
        },
        service="shop",
        parent_id="b7ad6b7169203331",
    )
    assert (one.provider, one.model, one.status, one.duration, one.first_content) == (
        "openai", "gpt-4o-mini", 200, 2.5, 0.4,
    )  # fmt: skip
    assert one.call_id == f"{TRACE}:{SPAN}"
    assert one.headers == {
        "helicone-user-id": "Jürgen".encode().decode("latin-1"),
        "helicone-session-id": "talk-1",
        "helicone-property-service": "shop",
        "helicone-property-env": "prod",
    }
    known = one.told
    assert known is not None
    assert known.trace == TraceContext(TRACE, SPAN, "b7ad6b7169203331", sampled=False)
    assert (known.operation, known.stream, known.error) == (Operation.CHAT, True, None)
    assert known.outcome.usage == Usage(100, 50, cache_read=30, cache_write_5m=20, reasoning=10)
    assert known.outcome.finish_reason is FinishReason.LENGTH
    assert (known.outcome.response_id, known.outcome.model) == ("r1", "gpt-4o-mini-2024-07-18")


@pytest.mark.parametrize(
    "attributes",
    [
        {"gen_ai.operation.name": "invoke_agent"},
        {"gen_ai.operation.name": "execute_tool"},
        {"gen_ai.operation.name": 5},
        {"server.address": "Gate.example", "server.port": 8080},
        {"server.address": "gate.example"},
    ],
)  # fmt: skip
def test_what_is_no_call_of_a_model_or_went_through_this_gateway_is_passed_over(attributes: dict[str, Any]):
    assert call_of(span(attributes), NOW, "gate.example:8080") is None


def test_the_gateways_own_spans_are_passed_over():
    assert call_of(span(scope="llmgate"), NOW, "") is None


@pytest.mark.parametrize("here", ["", "gate.example", "gate.example:9", "other:8080", "[::1]:8080"])
def test_a_call_to_another_address_counts(here: str):
    assert call_of(span({"server.address": "gate.example", "server.port": 8080}), NOW, here) is not None


def test_addresses_of_version_6_are_compared_too():
    assert call_of(span({"server.address": "::1", "server.port": 8080}), NOW, "[::1]:8080") is None


def test_older_instrumentations_are_understood():
    attributes = {"gen_ai.request.model": "claude-sonnet-4-5", "gen_ai.system": "Anthropic"}
    attributes |= {"gen_ai.usage.prompt_tokens": 7, "gen_ai.usage.completion_tokens": 3}
    found = call_of(span(attributes=attributes), NOW, "")
    old = Span(TRACE, SPAN, "", int(NOW * 1e9), int(NOW * 1e9), attributes)
    found = call_of(old, NOW, "")
    assert found is not None
    assert found.told is not None
    assert (found.provider, found.told.outcome.usage) == ("anthropic", Usage(7, 3))


def test_input_that_leaves_out_what_was_cached_is_righted():
    usage = {"input_tokens": 5, "output_tokens": 1, "cache_read.input_tokens": 100}
    found = told({f"gen_ai.usage.{name}": value for name, value in usage.items()}).outcome.usage
    assert found is not None
    assert found.input_tokens == 105


@pytest.mark.parametrize(
    ("attributes", "url", "provider"),
    [
        ({}, "", "openai"),
        ({"gen_ai.provider.name": "aws.bedrock"}, "", "bedrock"),
        ({"server.address": "api.groq.com", "server.port": 443}, "https://api.groq.com:443", ""),
        ({"server.address": "localhost", "server.port": 11434}, "", "openai"),
        ({"server.address": "not a host"}, "", "openai"),
        ({"server.address": "models.example.org", "gen_ai.provider.name": ""}, "https://models.example.org", ""),
    ],
)  # fmt: skip
def test_the_address_of_a_vendor_counts_before_the_name(attributes: dict[str, Any], url: str, provider: str):
    one = call(attributes)
    assert (one.url, one.provider) == (url, provider)


@pytest.mark.parametrize("vendor", ["azure", "bedrock", "gemini", "mistral", "vertex", "xai", "openai"])
def test_vendors_are_read_as_the_gateways_own_spans_write_them(vendor: str):
    said = provider_name(vendor)
    assert VENDORS.get(said, said) == vendor


@pytest.mark.parametrize(
    ("attributes", "fields", "status", "error"),
    [
        ({"error.type": "429"}, {}, 429, "429"),
        ({"error.type": "timeout"}, {"failed": True, "message": "took too long"}, None, "took too long"),
        ({"http.response.status_code": 500}, {}, 500, "the application says that it has failed"),
        ({"http.response.status_code": 200}, {"failed": True, "message": "broke"}, None, "broke"),
        ({"http.response.status_code": 201}, {}, 201, None),
    ],
)  # fmt: skip
def test_failures(attributes: dict[str, Any], fields: dict[str, Any], status: int | None, error: str | None):
    one = call(attributes, **fields)
    assert one.told is not None
    assert (one.status, one.told.error, one.failed) == (status, error, error is not None)


@pytest.mark.parametrize(
    ("attributes", "fields", "said"),
    [
        ({"gen_ai.request.model": ""}, {}, "gen_ai.request.model"),
        ({"gen_ai.usage.input_tokens": -1}, {}, "gen_ai.usage.input_tokens"),
        ({"gen_ai.usage.output_tokens": 1.5}, {}, "gen_ai.usage.output_tokens"),
        ({"gen_ai.usage.output_tokens": True}, {}, "gen_ai.usage.output_tokens"),
        ({}, {"started": 0}, "startTimeUnixNano"),
        ({}, {"ended": 5}, "endTimeUnixNano"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_by_name(attributes: dict[str, Any], fields: dict[str, Any], said: str):
    with pytest.raises(ValueError, match=said):
        call(attributes, **fields)


@pytest.mark.parametrize("first", [-1, 99.0, True, "soon"])
def test_a_first_content_that_cannot_be_is_not_known(first: Any):
    assert call({"gen_ai.response.time_to_first_chunk": first}).first_content is None
