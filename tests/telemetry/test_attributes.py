from __future__ import annotations

import attrs

from llmgate.spec import Usage
from llmgate.telemetry.attributes import attempt_attributes, exchange_attributes, provider_name
from llmgate.testing.samples import sample_record


def test_tokens_stand_at_the_attempt_and_nowhere_else() -> None:
    usage = Usage(input_tokens=90, output_tokens=12, cache_read=40, cache_write_5m=3, cache_write_1h=4, reasoning=5)
    record = sample_record()
    record = attrs.evolve(record, attempts=(attrs.evolve(record.attempts[0], usage=usage, vendor="gemini"),))
    said = attempt_attributes(record, record.attempts[0])
    assert {name: value for name, value in said.items() if ".usage." in name} == {
        "gen_ai.usage.input_tokens": 90,
        "gen_ai.usage.output_tokens": 12,
        "gen_ai.usage.cache_read.input_tokens": 40,
        "gen_ai.usage.cache_write.input_tokens": 7,
        "gen_ai.usage.reasoning.output_tokens": 5,
    }
    assert said["gen_ai.provider.name"] == "gcp.gemini"
    assert said["gen_ai.response.finish_reasons"] == ("stop",)
    assert not any(".usage." in name for name in exchange_attributes(record))


def test_only_the_attempt_that_answered_has_an_answer() -> None:
    record = sample_record()
    first = attrs.evolve(record.attempts[0], error_code="provider_timeout", status=None, usage=None)
    record = attrs.evolve(record, attempts=(first, record.attempts[0]))
    said = attempt_attributes(record, first)
    assert said["error.type"] == "provider_timeout"
    assert not any(name.startswith("gen_ai.response.") for name in said)
    assert "gen_ai.response.id" in attempt_attributes(record, record.attempts[1])


def test_what_is_unknown_is_not_said() -> None:
    record = sample_record(principal=None, response_model=None, router=None)
    assert None not in exchange_attributes(record).values()
    assert {"llmgate.principal", "gen_ai.response.model", "llmgate.router"}.isdisjoint(exchange_attributes(record))


def test_the_words_of_errors_are_not_said_since_they_may_quote_the_request() -> None:
    record = sample_record(error_code="provider_error", error_message="canary")
    record = attrs.evolve(record, attempts=(attrs.evolve(record.attempts[0], error_message="canary"),))
    assert "canary" not in repr(exchange_attributes(record)) + repr(attempt_attributes(record, record.attempts[0]))


def test_vendors_have_the_conventions_names() -> None:
    assert provider_name("bedrock") == "aws.bedrock"
    assert provider_name("groq") == "groq"
