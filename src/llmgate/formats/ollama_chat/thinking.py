"""How much a model is to think: true, false or a word.

Source: Ollama, api/types.go, ``ThinkValue``, and openai/openai.go, which reads OpenAI's words alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

__all__ = ["decode_think", "encode_think"]

_WORDS: Final[Mapping[str, str]] = {
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "max",
    "max": "max",
}
_YES: Final = "medium"
"""What ``true`` asks of a model that knows levels."""


def decode_think(value: Any) -> str | None:
    """The canonical effort; None where the field asks for nothing, or for what nobody knows."""
    if isinstance(value, bool):
        return _YES if value else "none"
    return value if isinstance(value, str) and value in _WORDS else None


def encode_think(effort: str) -> bool | str:
    """The ``think`` of an effort."""
    return False if effort == "none" else _WORDS.get(effort, _YES)
