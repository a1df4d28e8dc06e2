"""The canonical conversation: messages made of parts, and the tools a model may call."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import attrs

__all__ = [
    "Blob",
    "Citation",
    "FileRef",
    "Message",
    "Part",
    "Reasoning",
    "Refusal",
    "Role",
    "Text",
    "ToolCall",
    "ToolCallResponse",
    "ToolChoice",
    "ToolDefinition",
    "Unknown",
    "Uri",
]


class Role(enum.StrEnum):
    """Who speaks."""

    SYSTEM = "system"
    DEVELOPER = "developer"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


@attrs.frozen
class Citation:
    """A source that stands behind words of a text.

    Args:
        start: Where the words begin, in code points of the text that holds the citation; in a piece of a stream, of all
            the text that the answer has said so far. None: the source stands behind the whole text.
        end: Where they end, exclusive; None with ``start``.
        uri: The address of the source, or what the request called it.
        title: What the source is called.
        quote: What the source says.
        file_id: The source, where it is a file that the provider keeps.
        document: Which of the request's documents it is, from 0.
        search_result: Which of the request's search results it is, from 0.
        unit: By what ``first`` and ``last`` count inside the source: ``character``, ``page`` or ``block``.
        first: Where in the source the words are backed.
        last: Where that ends, exclusive.
    """

    start: int | None = None
    end: int | None = None
    uri: str | None = None
    title: str | None = None
    quote: str | None = None
    file_id: str | None = None
    document: int | None = None
    search_result: int | None = None
    unit: str | None = None
    first: int | None = None
    last: int | None = None


@attrs.frozen
class Text:
    """Plain text, and the sources behind it."""

    text: str
    extra: Mapping[str, Any] = attrs.field(factory=dict)
    citations: Sequence[Citation] = ()


@attrs.frozen
class Reasoning:
    """A model's visible reasoning; ``signature`` is the vendor's opaque proof and travels unchanged."""

    text: str
    signature: str | None = None
    extra: Mapping[str, Any] = attrs.field(factory=dict)


@attrs.frozen
class Refusal:
    """The model says that it will not answer."""

    text: str


@attrs.frozen
class ToolCall:
    """The model asks for a tool; ``arguments`` is the JSON text as the model wrote it."""

    id: str
    name: str
    arguments: str
    extra: Mapping[str, Any] = attrs.field(factory=dict)


@attrs.frozen
class ToolCallResponse:
    """A tool's answer to the call named ``id``; its content is parts, so it may hold images."""

    id: str
    content: Sequence[Part]
    is_error: bool = False
    extra: Mapping[str, Any] = attrs.field(factory=dict)


@attrs.frozen
class Blob:
    """Media carried in the message itself; ``data`` is base64 text, ``modality`` is image, audio, video or document."""

    modality: str
    media_type: str
    data: str
    extra: Mapping[str, Any] = attrs.field(factory=dict)


@attrs.frozen
class Uri:
    """Media behind an address; the gateway never fetches it."""

    modality: str
    uri: str
    media_type: str | None = None
    extra: Mapping[str, Any] = attrs.field(factory=dict)


@attrs.frozen
class FileRef:
    """A file that the provider already keeps."""

    modality: str
    file_id: str
    extra: Mapping[str, Any] = attrs.field(factory=dict)


@attrs.frozen
class Unknown:
    """A part of a kind that the named wire format has and the canonical types do not; it survives a round trip."""

    format: str
    value: Any


Part: TypeAlias = Text | Reasoning | Refusal | ToolCall | ToolCallResponse | Blob | Uri | FileRef | Unknown


@attrs.frozen
class Message:
    """One turn of the conversation.

    Args:
        role: Who speaks.
        parts: What is said, in order.
        name: The speaker's name, where the wire format has one.
        extra: Fields that the wire format carries and the canonical types do not know.
    """

    role: Role
    parts: Sequence[Part]
    name: str | None = None
    extra: Mapping[str, Any] = attrs.field(factory=dict)

    @property
    def text(self) -> str:
        """The text parts joined; reasoning and refusals left out."""
        return "".join(part.text for part in self.parts if isinstance(part, Text))


@attrs.frozen
class ToolDefinition:
    """A tool that the model may call; ``parameters`` is a JSON Schema."""

    name: str
    description: str | None = None
    parameters: Mapping[str, Any] | None = None
    strict: bool | None = None
    extra: Mapping[str, Any] = attrs.field(factory=dict)


@attrs.frozen
class ToolChoice:
    """Whether the model must call a tool: ``mode`` is auto, none, required or named (then ``name`` says which)."""

    mode: str
    name: str | None = None
