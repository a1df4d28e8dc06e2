from __future__ import annotations

import pytest

from llmgate.formats.fields import ShapeError
from llmgate.formats.gemini_generate_content.generation import decode_generation, encode_generation
from llmgate.spec import UNKNOWN_MODEL, ChatRequest, OutputFormat

CONFIG = {
    "temperature": 0.5,
    "topP": 0.9,
    "topK": 40,
    "candidateCount": 2,
    "maxOutputTokens": 100,
    "stopSequences": ["END"],
    "seed": 7,
    "presencePenalty": 0.1,
    "frequencyPenalty": 0.2,
    "responseLogprobs": True,
    "logprobs": 3,
    "responseMimeType": "application/json",
    "responseSchema": {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}},
    "thinkingConfig": {"thinkingBudget": 2000, "includeThoughts": True},
    "responseModalities": ["TEXT"],
    "speechConfig": {"languageCode": "de"},
    "mediaResolution": "MEDIA_RESOLUTION_LOW",
}


def written(config):
    fields, extra = decode_generation(config)
    return encode_generation(ChatRequest("", (), extra=extra, **fields), UNKNOWN_MODEL, own=True)


def test_every_field_survives():
    assert written(CONFIG) == CONFIG


def test_the_fields_are_the_canonical_ones():
    fields, extra = decode_generation(CONFIG)
    assert (fields["choice_count"], fields["max_output_tokens"], fields["stop_sequences"]) == (2, 100, ("END",))
    assert fields["output_format"] == OutputFormat(
        "json_schema", schema={"type": "object", "properties": {"a": {"type": "string"}}}
    )
    assert fields["reasoning_effort"] == "medium"
    assert (extra["logprobs"], extra["top_logprobs"]) == (True, 3)
    assert extra["generationConfig"].keys() == {"responseModalities", "speechConfig", "mediaResolution"}


@pytest.mark.parametrize(
    ("config", "output"),
    [
        ({"responseMimeType": "application/json"}, OutputFormat("json")),
        (
            {"response_mime_type": "application/json", "response_json_schema": {"type": "object"}},
            OutputFormat("json_schema", schema={"type": "object"}),
        ),
        ({"responseMimeType": "text/x.enum", "responseSchema": {"enum": ["a"]}}, None),
        ({"responseMimeType": "text/plain"}, None),
    ],
)
def test_shapes_of_the_answer(config, output):
    assert decode_generation(config)[0]["output_format"] == output
    assert {name.replace("_", "").lower() for name in written(config)} == {
        name.replace("_", "").lower() for name in config
    }


def test_what_was_changed_is_written_anew():
    fields, extra = decode_generation(CONFIG)
    fields |= {"reasoning_effort": "low", "output_format": OutputFormat("json_schema", schema={"type": "object"})}
    config = encode_generation(ChatRequest("", (), extra=extra, **fields), UNKNOWN_MODEL, own=True)
    assert config["thinkingConfig"]["thinkingBudget"] == 1024
    assert config["responseJsonSchema"] == {"type": "object"}
    assert "responseSchema" not in config


def test_nothing_is_nothing():
    assert decode_generation(None) == ({}, {})
    assert encode_generation(ChatRequest("", ()), UNKNOWN_MODEL, own=True) == {}


@pytest.mark.parametrize(("name", "value"), [("temperature", "hot"), ("topK", 1.5), ("stopSequences", "END")])
def test_wrong_values_are_named(name, value):
    with pytest.raises(ShapeError, match=name):
        decode_generation({name: value})
