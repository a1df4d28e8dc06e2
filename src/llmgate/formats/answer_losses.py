"""What a client's format has no words for in the answer of another one: named, as what is lost of requests is.

Named is what has been said: parts, sources, further answers. What describes an answer (fingerprints, ratings of its
safety, times) is each vendor's own, and passed by.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from llmgate.spec import Blob, ChatResponse, Citation, FileRef, Part, Text, Unknown, Uri

from .losses import UNSAID_CITATIONS

__all__ = ["beside", "kind_of", "unsaid_in"]

_FOUND: Final = ("groundingMetadata", "urlContextMetadata")
"""What Gemini tells of its searches beside the answer."""

_CARRIED: Final = frozenset({"groundingChunks", "groundingSupports"})


def unsaid_in(response: ChatResponse, says: Callable[[Citation | Part], bool], *, several: bool) -> Iterator[str]:
    """What is lost of an answer, as ``answer.NAME``.

    Args:
        response: The answer, as its own format tells it.
        says: Whether the client's format has words for a source, or a place for media or another format's part.
        several: Whether it has room for several answers.
    """
    choices = response.choices if several else [response.first]
    for choice in choices:
        for part in choice.message.parts:
            if isinstance(part, Text):
                if part.citations and not all(map(says, part.citations)):
                    yield UNSAID_CITATIONS
            elif isinstance(part, Unknown | Blob | Uri | FileRef) and not says(part):
                yield f"answer.{kind_of(part)}"
        yield from beside(choice.extra)
    if len(response.choices) > len(choices):
        yield "answer.choices"


def kind_of(part: Unknown | Blob | Uri | FileRef) -> str:
    """What a part is called in its own format."""
    if not isinstance(part, Unknown):
        return part.modality
    value: Any = part.value
    value = value.get("part", value) if isinstance(value, Mapping) else {}
    kind = value.get("type") if isinstance(value, Mapping) else None
    if isinstance(kind, str):
        return kind[:64]
    return next((name[:64] for name in value), "content") if isinstance(value, Mapping) else "content"


def beside(told: Mapping[str, Any]) -> Iterator[str]:
    """What Gemini tells of its searches that no other format does."""
    for name in _FOUND:
        value = told.get(name)
        if isinstance(value, Mapping):
            yield from (f"answer.{name}.{one}" for one, said in value.items() if said and one not in _CARRIED)
