"""Whole answers, which are those of Anthropic Messages."""

from __future__ import annotations

from llmgate.formats.anthropic_messages.responses import decode_response, encode_response, observe_response

__all__ = ["decode_response", "encode_response", "observe_response"]
