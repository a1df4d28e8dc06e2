"""Whose a model is, which says where it is called and in which format."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

__all__ = ["formats_of", "name_of"]

_ANTHROPIC: Final = ("anthropic-messages", "anthropic-count-tokens")
_GOOGLE: Final = ("gemini-generate-content", "gemini-count-tokens")
_OTHERS: Final = ("openai-chat",)
_SHORT: Final = ("anthropic/", "google/")
"""What may stand before the names of models that are called by their bare names."""


def formats_of(model: str) -> Sequence[str]:
    """The wire formats that a model speaks.

    Args:
        model: Its name: bare for Google's and Anthropic's, ``publisher/model`` for the others, as Google writes them.
    """
    publisher, slash, _ = model.rpartition("/")
    if publisher == "anthropic" or (not slash and model.startswith("claude")):
        return _ANTHROPIC
    return _GOOGLE if publisher == "google" or not slash else _OTHERS


def name_of(model: str) -> str:
    """What Google calls a model in the request that is meant for it."""
    return next((model.removeprefix(short) for short in _SHORT if model.startswith(short)), model)
