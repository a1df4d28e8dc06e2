"""Reasoning items, to canonical reasoning and back.

Source: OpenAI API reference, items of type ``reasoning``; guide "Reasoning models", encrypted reasoning. What OpenAI
encrypts comes back as it went. What another vendor has signed travels in the same member, sealed (``sealing.py``), and
is taken out of it again, so that a client of this format carries it over turns without knowing of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from llmgate.formats.sealing import opened, sealed
from llmgate.spec import Reasoning

from .parts import FORMAT

__all__ = ["GAP", "decode_reasoning", "encode_reasoning", "is_own", "reasoning_item", "signature_of", "text_of"]

GAP = "\n\n"
"""What stands between the parts of a summary."""

_TAG = f"{FORMAT}:"


def decode_reasoning(source: Mapping[str, Any]) -> Reasoning:
    """The reasoning of an item: what another vendor has signed, or this item whole."""
    encrypted = source.get("encrypted_content")
    found = opened(encrypted) if isinstance(encrypted, str) else None
    if found is not None:
        return found if found.text else attrs.evolve(found, text=text_of(source))
    return Reasoning(text_of(source), signature_of(source), extra={"item": dict(source)})


def text_of(source: Mapping[str, Any]) -> str:
    """The text of an item: its summary, else what was thought itself."""
    for name in ("summary", "content"):
        parts = source.get(name)
        texts = [one.get("text") for one in parts if isinstance(one, dict)] if isinstance(parts, list) else []
        text = GAP.join(one for one in texts if isinstance(one, str))
        if text:
            return text
    return ""


def signature_of(source: Mapping[str, Any]) -> str | None:
    """The canonical signature of what OpenAI has encrypted: marked as its, with the id of the item; None for none.

    A damaged or outdated seal is no proof of anybody's.
    """
    encrypted = source.get("encrypted_content")
    if not isinstance(encrypted, str) or not encrypted or encrypted.startswith("llmgate."):
        return None
    item_id = source.get("id")
    return f"{_TAG}{item_id if isinstance(item_id, str) else ''}:{encrypted}"


def is_own(part: Reasoning) -> bool:
    """Whether a model of this format takes the reasoning back: it has encrypted it, or the item is its own."""
    if part.signature is not None:
        return part.signature.startswith(_TAG)
    item = part.extra.get("item")
    return isinstance(item, dict) and not item.get("encrypted_content")


def encode_reasoning(part: Reasoning) -> dict[str, Any] | None:
    """The reasoning as an item for a model of this format; None where it is not its own."""
    item = part.extra.get("item")
    if isinstance(item, dict) and is_own(part):
        return dict(item)
    if part.signature is None or not part.signature.startswith(_TAG):
        return None
    item_id, _, encrypted = part.signature.removeprefix(_TAG).partition(":")
    named = {"id": item_id} if item_id else {}
    return {"type": "reasoning", **named, "summary": _summary(part.text), "encrypted_content": encrypted}


def reasoning_item(part: Reasoning, item_id: str) -> dict[str, Any]:
    """The reasoning as an item of an answer, whoever's it is."""
    own = encode_reasoning(part)
    if own is not None:
        return {"id": item_id, **own}
    return {
        "id": item_id,
        "type": "reasoning",
        "summary": _summary(part.text),
        "encrypted_content": sealed(part, always=True),
    }


def _summary(text: str) -> list[dict[str, Any]]:
    return [{"type": "summary_text", "text": text}] if text else []
