from __future__ import annotations

from google.genai import types

from llmgate.formats.gemini_generate_content.logprobs import decode_logprobs, encode_logprobs

THERE = {
    "chosenCandidates": [{"token": "né", "logProbability": -0.25}],
    "topCandidates": [
        {"candidates": [{"token": "né", "logProbability": -0.25}, {"token": "x", "logProbability": -2.0}]}
    ],
}
HERE = {
    "content": [
        {
            "token": "né",
            "logprob": -0.25,
            "bytes": [110, 195, 169],
            "top_logprobs": [
                {"token": "né", "logprob": -0.25, "bytes": [110, 195, 169]},
                {"token": "x", "logprob": -2.0, "bytes": [120]},
            ],
        }
    ],
    "refusal": None,
}


def test_probabilities_are_said_in_both_shapes():
    assert decode_logprobs(THERE) == HERE
    assert encode_logprobs(HERE) == THERE
    types.LogprobsResult.model_validate(encode_logprobs(HERE))


def test_none_are_none():
    for value in (None, {}, [], {"chosenCandidates": 1}, {"content": 1}, {"content": []}):
        assert decode_logprobs(value) is None
        assert encode_logprobs(value) is None
    assert decode_logprobs({"chosenCandidates": [7], "topCandidates": [7]})["content"][0]["token"] == ""
