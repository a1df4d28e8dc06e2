"""What is kept of an answer, and the bytes that it is in a store; what cannot be read there is no answer."""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any, Final

import attrs

from llmgate.codecs import jsons
from llmgate.formats import get_format
from llmgate.spec import (
    ChatResponse,
    FinishReason,
    GatewayError,
    GatewayResponse,
    Outcome,
    Refusal,
    Usage,
)

__all__ = ["Entry", "is_keepable"]

_MAGIC: Final = b"llmgate-cache/1 "
_LONGEST_HEAD: Final = 64 * 1024
_COUNTS: Final = tuple(field.name for field in attrs.fields(Usage) if field.name != "estimated")
_WHOLE: Final = frozenset({FinishReason.STOP, FinishReason.STOP_SEQUENCE, FinishReason.LENGTH, FinishReason.TOOL_CALLS})


@attrs.frozen
class Entry:
    """A kept answer.

    Args:
        key: The key of the request that it answers.
        format: Its wire format.
        streamed: Whether ``body`` is a stream of events.
        media_type: The content type of a whole answer.
        stored_at: When it was kept, in seconds since the epoch.
        lifetime: Seconds for which it is fresh.
        served_by: The model that answered, as the provider is asked for it.
        outcome: What was seen of it.
        body: The answer.
    """

    key: str
    format: str
    streamed: bool
    media_type: str
    stored_at: float
    lifetime: float
    served_by: str
    outcome: Outcome
    body: bytes = attrs.field(repr=False)

    def age(self, now: float) -> float:
        """How old it is, in seconds; a clock that went back makes nothing younger than new."""
        return max(0.0, now - self.stored_at)

    def response(self) -> GatewayResponse:
        """The answer as it goes down."""
        return GatewayResponse(
            format=self.format,
            body=self.body,
            outcome=attrs.evolve(self.outcome),
            decode=get_format(self.format).decode_response,
            media_type=self.media_type,
            streamed=self.streamed,
        )

    def dump(self) -> bytes:
        """The entry as bytes: a line of JSON, then the body."""
        outcome = self.outcome
        head = {
            "key": self.key,
            "format": self.format,
            "streamed": self.streamed,
            "media-type": self.media_type,
            "stored-at": self.stored_at,
            "lifetime": self.lifetime,
            "served-by": self.served_by,
            "size": len(self.body),
            "digest": _digest(self.body),
            "id": outcome.response_id,
            "model": outcome.model,
            "finish-reason": outcome.finish_reason,
            "usage": None if outcome.usage is None else attrs.asdict(outcome.usage),
        }
        return _MAGIC + json.dumps(head).encode() + b"\n" + self.body

    @classmethod
    def load(cls, data: bytes, key: str) -> Entry | None:
        """The entry behind bytes from a store; None where they are not one, or one of another request."""
        line, newline, body = bytes(data[:_LONGEST_HEAD]).partition(b"\n")
        if not newline or not line.startswith(_MAGIC):
            return None
        body = bytes(data[len(line) + 1 :])
        try:
            head = jsons.loads(line[len(_MAGIC) :])
            if head["key"] != key or head["size"] != len(body) or head["digest"] != _digest(body):
                return None
            return cls._checked(head, body)
        except (ValueError, KeyError, TypeError, LookupError):
            return None

    @classmethod
    def _checked(cls, head: dict[str, Any], body: bytes) -> Entry:
        finish = head["finish-reason"]
        outcome = Outcome(
            response_id=_text(head["id"], optional=True),
            model=_text(head["model"], optional=True),
            usage=_usage(head["usage"]),
            finish_reason=None if finish is None else FinishReason(finish),
            content=True,
            complete=True,
        )
        get_format(str(_text(head["format"])))
        return cls(
            key=str(_text(head["key"])),
            format=str(_text(head["format"])),
            streamed=head["streamed"] is True,
            media_type=str(_text(head["media-type"])),
            stored_at=_number(head["stored-at"]),
            lifetime=_number(head["lifetime"]),
            served_by=str(_text(head["served-by"])),
            outcome=outcome,
            body=body,
        )


def is_keepable(entry: Entry) -> bool:
    """Whether an answer is one to give again: whole, and neither refused, filtered nor still to come."""
    wire_format = get_format(entry.format)
    reason = entry.outcome.finish_reason
    if wire_format.operation.value in {"chat", "text_completion"} and reason not in _WHOLE:
        return False
    try:
        if entry.streamed:
            reader = wire_format.stream_reader()
            chunks = reader.decode(entry.body)
            reader.finish()
            if reader.outcome.error is not None or not reader.outcome.complete:
                return False
            return not any(choice.refusal for chunk in chunks for choice in chunk.choices)
        if wire_format.operation.value == "chat":
            return not _refuses(wire_format.decode_response(entry.body))
    except GatewayError:
        return False
    return bool(entry.body)


def _digest(body: bytes) -> str:
    """What tells that nothing has changed a body on its way through a store."""
    return hashlib.sha256(body).hexdigest()


def _refuses(chat: ChatResponse) -> bool:
    return any(
        choice.finish_reason is FinishReason.CONTENT_FILTER
        or any(isinstance(part, Refusal) for part in choice.message.parts)
        for choice in chat.choices
    )


def _text(value: object, *, optional: bool = False) -> str | None:
    if isinstance(value, str) or (optional and value is None):
        return value if isinstance(value, str) else None
    raise TypeError("a text was expected")


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise TypeError("a number was expected")
    return float(value)


def _usage(value: object) -> Usage | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise TypeError("a mapping was expected")
    counts = {name: value.get(name) for name in _COUNTS}
    for name, count in counts.items():
        if count is not None and _number(count) != count:
            raise TypeError(name)
    return Usage(**counts, estimated=value.get("estimated") is True)
