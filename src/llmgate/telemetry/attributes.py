"""The words of OpenTelemetry's conventions for generative AI, as this version writes them.

The conventions are in development, and the constants of ``opentelemetry-semantic-conventions`` are all deprecated: so
this is a table of our own, from https://github.com/open-telemetry/semantic-conventions-genai as of 2026-10. What a
gateway has and the conventions do not is called ``llmgate.*``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from llmgate.spec import AttemptRecord, Record

__all__ = [
    "INPUT_MESSAGES",
    "OUTPUT_MESSAGES",
    "REQUEST_BODY",
    "RESPONSE_BODY",
    "SCOPE",
    "SYSTEM_INSTRUCTIONS",
    "attempt_attributes",
    "exchange_attributes",
    "provider_name",
]

SCOPE: Final = "llmgate"

SYSTEM_INSTRUCTIONS: Final = "gen_ai.system_instructions"
INPUT_MESSAGES: Final = "gen_ai.input.messages"
OUTPUT_MESSAGES: Final = "gen_ai.output.messages"
REQUEST_BODY: Final = "llmgate.request.body"
"""What is kept of a request, where it cannot be told as messages."""
RESPONSE_BODY: Final = "llmgate.response.body"
"""What is kept of an answer, where it cannot be told as messages."""
_TAGS: Final = "langfuse.trace.tags"
"""Where Langfuse looks for labels; the conventions have no word for them."""

_PROVIDERS: Final = {
    "azure": "azure.ai.openai",
    "bedrock": "aws.bedrock",
    "gemini": "gcp.gemini",
    "mistral": "mistral_ai",
    "vertex": "gcp.vertex_ai",
    "xai": "x_ai",
}


def provider_name(vendor: str) -> str:
    """A vendor as the conventions call it; the catalogue's word where they have none."""
    return _PROVIDERS.get(vendor, vendor)


def exchange_attributes(record: Record) -> Mapping[str, Any]:
    """What the span of an exchange says; nothing of it is content."""
    return dict(_present(_of_exchange(record)))


def attempt_attributes(record: Record, attempt: AttemptRecord) -> Mapping[str, Any]:
    """What the span of an attempt says; tokens stand here alone, so that nobody adds them up twice."""
    return dict(_present(_of_attempt(record, attempt)))


def _of_exchange(record: Record) -> Iterator[tuple[str, Any]]:
    yield "gen_ai.operation.name", record.operation
    yield "gen_ai.request.model", record.request_model
    yield "gen_ai.request.stream", record.stream or None
    yield "gen_ai.response.model", record.response_model
    yield "gen_ai.response.time_to_first_chunk", record.first_content if record.stream else None
    yield "http.response.status_code", record.status
    yield "client.address", record.client_address
    yield "error.type", record.error_code
    yield "llmgate.exchange.id", record.id
    yield "llmgate.surface", record.surface
    yield "llmgate.router", record.router
    yield "llmgate.outcome", record.outcome
    yield "llmgate.principal", record.principal
    yield "llmgate.attempts", len(record.attempts)
    yield from _of_caller(record)


def _of_attempt(record: Record, attempt: AttemptRecord) -> Iterator[tuple[str, Any]]:
    answers = attempt is record.attempts[-1] and attempt.error_code is None
    yield "gen_ai.operation.name", record.operation
    yield "gen_ai.provider.name", provider_name(attempt.vendor)
    yield "gen_ai.request.model", attempt.model
    yield "gen_ai.request.stream", record.stream or None
    if answers:
        yield "gen_ai.response.id", record.response_id
        yield "gen_ai.response.model", record.response_model
        yield "gen_ai.response.finish_reasons", (record.finish_reason,) if record.finish_reason else None
    if attempt.first_content is not None and record.stream:
        yield "gen_ai.response.time_to_first_chunk", attempt.first_content - attempt.started
    yield from _of_usage(attempt)
    yield "http.response.status_code", attempt.status
    yield "error.type", attempt.error_code
    yield "llmgate.deployment", attempt.deployment
    yield "llmgate.provider", attempt.provider_name
    yield "llmgate.provider.request_id", attempt.provider_request_id
    yield "llmgate.credential", attempt.credential_ref
    yield "llmgate.cost.nano_usd", attempt.cost_nano
    yield from _of_caller(record)


def _of_caller(record: Record) -> Iterator[tuple[str, Any]]:
    """Whose request it is, in the caller's words; on every span, since that is where Langfuse counts by them."""
    yield "user.id", record.user
    yield "session.id", record.session_id
    yield _TAGS, tuple(f"{name}:{value}" for name, value in record.properties.items()) or None


def _of_usage(attempt: AttemptRecord) -> Iterator[tuple[str, Any]]:
    usage = attempt.usage
    if usage is None:
        return
    yield "gen_ai.usage.input_tokens", usage.input_tokens
    yield "gen_ai.usage.output_tokens", usage.output_tokens
    yield "gen_ai.usage.cache_read.input_tokens", usage.cache_read
    written = [one for one in (usage.cache_write_5m, usage.cache_write_1h) if one is not None]
    yield "gen_ai.usage.cache_write.input_tokens", sum(written) if written else None
    yield "gen_ai.usage.reasoning.output_tokens", usage.reasoning


def _present(pairs: Iterator[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    return ((name, value) for name, value in pairs if value is not None and value != "")
