"""Signatures of thought that belong to a call or a text, where a client's format has no place for them on it.

Two ways lead there and back. Formats that carry proofs of thought (Responses, Converse) get a thought without text
beside the part, whose proof is the signature, sealed, with what it signs. Formats that carry none (Cohere's, Ollama's)
give back ids and nothing else, so that a turn's proofs travel in the ids of its calls: without a call no vendor demands
them.

``put_back`` undoes both when the conversation comes back and goes to a provider of another format.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import attrs

from llmgate.spec import Message, Part, Reasoning, Role, Text, ToolCall, ToolCallResponse

from .sealing import BINARY, SEAL, opened, opened_bytes, sealed
from .thought_signatures import MARK, marked_id, signature_in, signed, unmarked_id

__all__ = [
    "ThoughtsBefore",
    "beside",
    "is_whole",
    "proof_of",
    "proved_id",
    "put_back",
    "signature_of",
    "with_proved_ids",
]

_SIGNS: Final = "signs"
"""In the ``extra`` of a thought that is the signature of another part: the id of the call, ``""`` for a text."""

_MARK: Final = "__proof__"
_BINARY: Final = BINARY.decode("ascii")
_LONGEST: Final = 256 * 1024
"""Characters of an id that carries proofs. The proofs of a longer one are left out: ids are told again with results."""


def signature_of(part: Reasoning) -> str | None:
    """The proof of a thought as a format writes it that has one opaque place for whatever proof it is."""
    return part.signature or (sealed(part) if signature_in(part.extra) else None)


def proof_of(part: ToolCall | Text) -> Reasoning | None:
    """The signature of a part as a thought of its own; None for none."""
    signature = signature_in(part.extra)
    if signature is None:
        return None
    return Reasoning("", extra={**signed(signature), _SIGNS: part.id if isinstance(part, ToolCall) else ""})


def is_whole(part: Reasoning) -> bool:
    """Whether a thought stands for itself wherever it comes in a stream: it has no text of its own."""
    return "data" in part.extra or _SIGNS in part.extra


def beside(parts: Iterable[Part], *, texts: bool) -> Iterable[Part]:
    """Parts of an answer with their signatures as thoughts: before the calls, and behind the texts.

    Args:
        parts: The parts.
        texts: Whether texts are to have theirs, too: no vendor demands those back.
    """
    for part in parts:
        proof = proof_of(part) if isinstance(part, ToolCall) or (texts and isinstance(part, Text)) else None
        if proof is not None and isinstance(part, ToolCall):
            yield proof
        yield part
        if proof is not None and isinstance(part, Text):
            yield proof


class ThoughtsBefore:
    """Gathers the thoughts before the first call of an answer, and puts their proofs into its id."""

    def __init__(self) -> None:
        self._text: list[str] = []
        self._proofs: list[str] = []

    def add(self, part: Reasoning) -> None:
        """The next thought, or a piece of one: its proof comes with the last piece."""
        self._text.append(part.text)
        if part.signature or "data" in part.extra or signature_in(part.extra) is not None:
            seal = sealed(attrs.evolve(part, text="".join(self._text)))
            self._proofs += [] if seal is None else [seal.removeprefix(SEAL)]
            self._text = []

    def call_id(self, call_id: str, extra: Any) -> str:
        """The id of the next call: with its own signature, and with the proofs if it is the first."""
        proofs, self._proofs = self._proofs, []
        return proved_id(call_id, extra, proofs)


def with_proved_ids(parts: Iterable[Part]) -> list[Part]:
    """Parts of an answer whose proofs are in the ids of its calls."""
    thoughts = ThoughtsBefore()
    proved: list[Part] = []
    for part in parts:
        if isinstance(part, Reasoning):
            thoughts.add(part)
        elif isinstance(part, ToolCall):
            part = attrs.evolve(part, id=thoughts.call_id(part.id, part.extra))
        proved.append(part)
    return proved


def proved_id(call_id: str, extra: Any, proofs: Sequence[str] = ()) -> str:
    """An id with the signature of its call in it, and with proofs of the thoughts before it."""
    proved = "".join([call_id, *(f"{_MARK}{one}" for one in proofs)])
    return marked_id(proved if len(proved) <= _LONGEST else call_id, extra)


def put_back(messages: Sequence[Message]) -> Sequence[Message]:
    """The conversation with every signature on the part that it is for; the very same where none travels elsewhere."""
    if not any(_is_elsewhere(part) for message in messages for part in message.parts):
        return messages
    return tuple(_restored(message) for message in messages)


def _is_elsewhere(part: Part) -> bool:
    match part:
        case Reasoning(signature=str(signature)):
            return signature.startswith(SEAL)
        case Reasoning(extra=extra):
            return _SIGNS in extra or str(extra.get("data", "")).startswith(_BINARY)
        case ToolCall() | ToolCallResponse():
            return _MARK in part.id or MARK in part.id
        case _:
            return False


def _restored(message: Message) -> Message:
    if not any(map(_is_elsewhere, message.parts)):
        return message
    parts: list[Part] = []
    signing: list[Reasoning] = []
    proved: set[str] = set()
    for part in message.parts:
        match part:
            case Reasoning():
                thought = _opened(part)
                if thought is None:
                    continue
                if _SIGNS in thought.extra:
                    _sign_text(parts, thought) if thought.extra[_SIGNS] == "" else signing.append(thought)
                else:
                    parts.append(thought)
            case ToolCall():
                call_id, signature, thoughts = _taken_apart(part.id)
                parts += thoughts
                proved |= {one.text for one in thoughts}
                parts.append(attrs.evolve(part, id=call_id, extra={**part.extra, **signed(signature)}))
            case ToolCallResponse():
                parts.append(attrs.evolve(part, id=_taken_apart(part.id)[0]))
            case _:
                parts.append(part)
    if message.role is Role.ASSISTANT:
        parts = _signed_calls([one for one in parts if not _repeats(one, proved)], signing)
    return attrs.evolve(message, parts=tuple(parts))


def _repeats(part: Part, proved: set[str]) -> bool:
    """Whether a thought without proof is one that has come back with its proof, in an id."""
    return isinstance(part, Reasoning) and not part.signature and not part.extra and part.text in proved


def _opened(part: Reasoning) -> Reasoning | None:
    """A thought with the proof that was sealed; None for a seal that is broken and says nothing."""
    if part.signature is None:
        return opened_bytes(str(part.extra.get("data", ""))) or part
    if not part.signature.startswith(SEAL):
        return part
    found = opened(part.signature)
    if found is None:
        return Reasoning(part.text) if part.text else None
    return found if found.text else attrs.evolve(found, text=part.text)


def _sign_text(parts: list[Part], proof: Reasoning) -> None:
    """Put a signature on the text before it; where there is none, on an empty one, which is how it comes in streams."""
    signature = signed(signature_in(proof.extra))
    last = parts[-1] if parts else None
    if isinstance(last, Text) and signature_in(last.extra) is None:
        parts[-1] = attrs.evolve(last, extra={**last.extra, **signature})
    else:
        parts.append(Text("", extra=signature))


def _signed_calls(parts: list[Part], signing: Sequence[Reasoning]) -> list[Part]:
    """The parts with signatures on the calls that they are for; one whose call is gone is worth nothing."""
    found = {
        one.extra[_SIGNS]: signed(signature_in(one.extra)) for one in signing if isinstance(one.extra[_SIGNS], str)
    }
    return [
        attrs.evolve(part, extra={**part.extra, **found[part.id]})
        if isinstance(part, ToolCall) and part.id in found
        else part
        for part in parts
    ]


def _taken_apart(call_id: str) -> tuple[str, str | None, list[Reasoning]]:
    """An id as it was, the signature of its call, and the thoughts before it."""
    plain, signature = unmarked_id(call_id)
    head, *proofs = plain.split(_MARK)
    thoughts = [opened(SEAL + one) for one in proofs]
    if not head or None in thoughts:
        return plain, signature, []
    return head, signature, [one for one in thoughts if one is not None]
