"""Probabilities of tokens: ``logprobsResult`` here, ``logprobs`` of a choice in OpenAI's shape in the canonical types.

Source: Gemini API reference, "LogprobsResult"; OpenAI API reference, "The chat completion object".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["decode_logprobs", "encode_logprobs"]


def decode_logprobs(value: Any) -> dict[str, Any] | None:
    """OpenAI's ``logprobs`` of a ``logprobsResult``; None for none."""
    if not isinstance(value, Mapping) or not isinstance(value.get("chosenCandidates"), list):
        return None
    tops = value.get("topCandidates")
    tops = tops if isinstance(tops, list) else []
    content = []
    for index, chosen in enumerate(value["chosenCandidates"]):
        token = _token(chosen)
        top = tops[index].get("candidates") if index < len(tops) and isinstance(tops[index], Mapping) else None
        token["top_logprobs"] = [_token(one) for one in top] if isinstance(top, list) else []
        content.append(token)
    return {"content": content, "refusal": None}


def encode_logprobs(value: Any) -> dict[str, Any] | None:
    """The ``logprobsResult`` of OpenAI's ``logprobs``; None for none."""
    content = value.get("content") if isinstance(value, Mapping) else None
    tokens = [one for one in content if isinstance(one, Mapping)] if isinstance(content, list) else []
    if not tokens:
        return None
    tops = [one.get("top_logprobs") for one in tokens]
    listed = [
        [_candidate(one) for one in top if isinstance(one, Mapping)] if isinstance(top, list) else [] for top in tops
    ]
    return {
        "chosenCandidates": [_candidate(one) for one in tokens],
        "topCandidates": [{"candidates": one} for one in listed],
    }


def _token(value: Any) -> dict[str, Any]:
    source = value if isinstance(value, Mapping) else {}
    text = source.get("token")
    text = text if isinstance(text, str) else ""
    return {"token": text, "logprob": source.get("logProbability", 0.0), "bytes": list(text.encode("utf-8", "replace"))}


def _candidate(value: Mapping[str, Any]) -> dict[str, Any]:
    return {"token": value.get("token"), "logProbability": value.get("logprob")}
