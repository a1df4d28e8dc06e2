"""What an answer cost, told inside it."""

from __future__ import annotations

import pytest

from llmgate.codecs.eventstream import encode_message
from llmgate.formats.told_costs import cost_in, told_in
from llmgate.spec import Usage


def test_a_cost_is_told_as_decimal_text_and_only_where_it_is_to_be_told() -> None:
    assert cost_in(Usage(cost_nano=1_500_000_001)) == {"cost_usd": "1.500000001"}
    assert cost_in(Usage(cost_nano=0), "costUsd") == {"costUsd": "0.000000000"}
    assert cost_in(Usage(input_tokens=1)) == {}


@pytest.mark.parametrize(
    ("event", "told"),
    [
        (
            b'data: {"id":"1", "x":1.50,"usage":{"prompt_tokens":1}}\n\n',
            b'data: {"id":"1", "x":1.50,"usage":{"prompt_tokens":1,"cost_usd":"0.000000005"}}\n\n',
        ),
        (
            b'event: message_delta\ndata: {"usage":{"output_tokens":1}}\n\n',
            b'event: message_delta\ndata: {"usage":{"output_tokens":1,"cost_usd":"0.000000005"}}\n\n',
        ),
        (
            b'event: end\r\ndata: {"response":{"id":"r","usage":{"input_tokens":1}},"n":7}\r\n\r\n',
            b'event: end\ndata: {"response":{"id":"r","usage":{"input_tokens":1,"cost_usd":"0.000000005"}},"n":7}\n\n',
        ),
        (
            b'data: {"usageMetadata":{"promptTokenCount":1}}\n\n',
            b'data: {"usageMetadata":{"promptTokenCount":1,"costUsd":"0.000000005"}}\n\n',
        ),
        (
            b'data: {"delta":{"usage":{"tokens":{}}}}\n\n',
            b'data: {"delta":{"usage":{"tokens":{},"cost_usd":"0.000000005"}}}\n\n',
        ),
        (b'{"done":true,"eval_count":1}\n', b'{"done":true,"eval_count":1,"cost_usd":"0.000000005"}\n'),
        (
            encode_message({":event-type": "metadata"}, b'{"usage":{"inputTokens":1}}'),
            encode_message({":event-type": "metadata"}, b'{"usage":{"inputTokens":1,"costUsd":"0.000000005"}}'),
        ),
    ],
)
def test_an_event_is_left_as_it_came_but_for_the_cost(event: bytes, told: bytes) -> None:
    assert told_in(event, 5) == told


def test_counts_that_are_not_the_last_word_tell_no_cost() -> None:
    event = b'data: {"type":"message_start","message":{"usage":{"input_tokens":1}}}\n\n'
    assert told_in(event, 5) is event


@pytest.mark.parametrize("event", [b"", b": ping\n\n", b"data: [DONE]\n\n", b"data: {\n\n", b"{\n", b"\0\0"])
def test_what_is_no_event_with_an_object_is_not_written_into(event: bytes) -> None:
    assert told_in(event, 5) is None
