"""What a request of another format loses here: the same as in Anthropic Messages."""

from __future__ import annotations

from typing import Final

from llmgate.formats.anthropic_messages.fitting import FIELDS as MESSAGES_FIELDS, fitted

__all__ = ["FIELDS", "fitted"]

FIELDS: Final = {**MESSAGES_FIELDS, "model": "modelId", "stream": "the address"}
"""The canonical fields that this format carries, and what it calls each."""
