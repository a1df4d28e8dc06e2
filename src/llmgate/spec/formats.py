"""The interface of a wire format: a two-way, pure translator between bytes and the canonical types.

Implementations live in ``llmgate.formats``, one folder each. They do no I/O, keep no state between calls and import no
catalogue; what differs by model is handed to them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, Literal
from urllib.parse import quote

import attrs

from .errors import GatewayError, InvalidRequestError
from .messages import Message
from .models import UNKNOWN_MODEL, ModelFacts
from .operations import Operation
from .requests import ChatRequest, GatewayRequest, OutputBound
from .responses import ChatResponse, ErrorDetail, FinishReason, GatewayChunk, Outcome

__all__ = ["Format", "RequestHead", "StreamEncoder", "StreamReader", "Unsupported"]


@attrs.frozen(slots=False)
class RequestHead:
    """What one pass over the top level of a request body tells.

    Args:
        model: The model asked for.
        stream: Whether a streamed answer is wanted.
        include_usage: Whether the caller asked for usage at the end of the stream.
        user: The caller's name for its end user.
        bound_by: The field by which the request refers to what only the provider that made it has; None for none.
        patch: ``Format.patch_request`` for this very body, without reading it anew; None where a format has none.
        output_bound: Tells how much output it allows, None where that takes decoding; None where a format has none.
        values: The members of the body's top level, as they have been read; None where a format does not keep them.
    """

    model: str
    stream: bool = False
    include_usage: bool = False
    user: str | None = None
    bound_by: str | None = None
    patch: Callable[[Mapping[str, Any], ModelFacts], bytes] | None = attrs.field(default=None, eq=False, repr=False)
    output_bound: Callable[[], OutputBound | None] | None = attrs.field(default=None, eq=False, repr=False)
    values: Callable[[], dict[str, Any]] | None = attrs.field(default=None, eq=False, repr=False)


@attrs.frozen
class Unsupported:
    """Something in a request that a wire format cannot say, and what becomes of it.

    Args:
        param: The field: a name of ``ChatRequest``'s, one of its ``extra``, or a place such as ``messages[2]``.
        kind: ``report``: it is left out, and the caller is told; ``adjust``: the nearest that the format can say is
            written, and the caller is told; ``refuse``: leaving it out would change what is asked.
        reason: What the format has instead, lower case, without a full stop; for the caller whose request is refused.
    """

    param: str
    kind: Literal["report", "adjust", "refuse"]
    reason: str = ""


class StreamReader(ABC):
    """Reads one upstream stream, in pieces of any size; keeps what it has seen in ``outcome``.

    Either ``relay`` or ``decode`` is used on one stream, never both. Both look at whole events only: a piece of an
    event waits until the rest has come.
    """

    outcome: Outcome

    @property
    def sequence(self) -> int:
        """The number of the event behind those that have been relayed, for formats that number them."""
        return 0

    @abstractmethod
    def relay(self, data: bytes) -> bytes:
        """The bytes of every event that ``data`` completes, as they came, less those withheld from the client.

        The terminal marker is not among them: it is kept for ``terminal`` so that the record is sealed before it goes.
        """

    @abstractmethod
    def decode(self, data: bytes) -> Sequence[GatewayChunk]:
        """A chunk for every event that ``data`` completes, the terminal marker included (``chunk.final``)."""

    @property
    @abstractmethod
    def terminal(self) -> bytes:
        """The terminal marker's own bytes, ``b""`` until it has come."""

    @abstractmethod
    def finish(self) -> None:
        """Say that the upstream has closed.

        Raises:
            ProviderProtocolError: the stream ended without its terminal marker (code ``incomplete_stream``), or was
                broken before.
        """


class StreamEncoder(ABC):
    """Writes one stream to a client."""

    @cached_property
    def unsaid(self) -> set[str]:
        """What of the answer this format has had no words for so far."""
        return set()

    @abstractmethod
    def encode(self, chunk: GatewayChunk) -> bytes:
        """The event's bytes, ``b""`` where the wire format has none for it."""

    def passed(self, chunk: GatewayChunk) -> bytes:
        """Note that an event of this very format, the terminal marker included, goes down as it came.

        Returns:
            What must go down before it, because of what has been encoded so far.
        """
        return b""

    def relayed(self, chunk: GatewayChunk) -> bytes:
        """What goes down for an event of this very format, the terminal marker included, that no stage has changed."""
        return self.passed(chunk) + chunk.raw

    def resume(self, outcome: Outcome, sequence: int) -> None:
        """Go on with a stream of this very format that has gone down as it came so far, to end it with an error.

        Args:
            outcome: What has been seen of it.
            sequence: The number of the next event, for formats that number them.
        """

    @abstractmethod
    def error(self, error: GatewayError) -> bytes:
        """The wire format's own error event; the stream ends after it, without the terminal marker."""


class Format(ABC):
    """One wire format, both directions."""

    name: ClassVar[str]
    operation: ClassVar[Operation] = Operation.CHAT
    """What is asked for in this format; only formats of the same operation can be translated into each other."""
    media_type: ClassVar[str] = "application/json"
    stream_media_type: ClassVar[str] = "text/event-stream"
    heartbeat: ClassVar[bytes] = b": \n\n"
    """What keeps a silent stream alive without meaning anything."""
    request_headers: ClassVar[frozenset[str]] = frozenset()
    """Client headers of this format that go upstream when both sides speak it (lower case)."""
    request_header_prefixes: ClassVar[tuple[str, ...]] = ()
    """What the names of more such headers begin with (lower case)."""
    response_headers: ClassVar[frozenset[str]] = frozenset()
    """Upstream headers of this format that go down to a client who speaks it (lower case)."""
    response_header_prefixes: ClassVar[tuple[str, ...]] = ()
    """What the names of more such headers begin with (lower case)."""
    rate_limits: ClassVar[Literal["openai", "anthropic"] | None] = None
    """Whose headers clients of this format read to know what is left of a limit."""
    request_id_header: ClassVar[str] = "x-request-id"
    """The response header in which clients of this format look for the id of their request."""
    addressed: ClassVar[bool] = False
    """Whether the model and streaming are said by the address of a request rather than by its body."""
    foreign_proofs: ClassVar[tuple[bytes, ...]] = ()
    """What a request body may hold where its client hands back reasoning that a model of another format has proved, in
    the gateway's own writing: such a body is written anew without it, since no model of this format takes it."""
    longest_tool_name: ClassVar[int | None] = None
    """How long a tool's name of ``[a-zA-Z0-9_-]`` may be; None where it may be anything."""
    fields: ClassVar[Mapping[str, str]] = {}
    """The fields of ``ChatRequest`` that this format carries, and what it calls each."""
    ends: ClassVar[Mapping[FinishReason, str]] = {}
    """Why an answer may end, as far as this format tells one end from another, and what it calls each."""
    stop_text: ClassVar[str] = ""
    """Where an answer says which of the request's texts ended it; ``""`` where it cannot."""

    @abstractmethod
    def peek(self, body: bytes) -> RequestHead:
        """Read the top level of a request body once.

        Raises:
            InvalidRequestError: the body is not JSON, repeats a name, or lacks a model.
        """

    @abstractmethod
    def decode_request(self, body: bytes) -> ChatRequest:
        """The canonical request.

        Raises:
            InvalidRequestError: naming the field that is wrong.
        """

    @abstractmethod
    def encode_request(self, request: ChatRequest, facts: ModelFacts = UNKNOWN_MODEL) -> bytes:
        """The request in this format.

        Args:
            request: What is asked.
            facts: What is known of the model that is asked.

        Raises:
            InvalidRequestError: something in it that cannot be left out has no counterpart in this format.
        """

    def unsupported(self, request: ChatRequest, facts: ModelFacts = UNKNOWN_MODEL) -> Sequence[Unsupported]:
        """What ``encode_request`` cannot write of a request that came in another format; nothing is dropped silently.

        Args:
            request: The request; ``extra_format`` says which format it came in.
            facts: What is known of the model that is asked.
        """
        return ()

    def fitted(self, request: ChatRequest, facts: ModelFacts = UNKNOWN_MODEL) -> ChatRequest:
        """The request less all that ``unsupported`` names, what would be refused included; ``encode_request`` takes it.

        A format that does not say how refuses as ever, since then ``encode_request`` does.
        """
        return request

    @abstractmethod
    def patch_request(self, body: bytes, edits: Mapping[str, Any], facts: ModelFacts = UNKNOWN_MODEL) -> bytes:
        """The body with canonical fields changed and every other byte left as it was; no edits, the same object."""

    def without_foreign_proofs(self, messages: Sequence[Message]) -> Sequence[Message]:
        """A conversation of this format without the reasoning that ``foreign_proofs`` tell of."""
        return messages

    @abstractmethod
    def decode_response(self, body: bytes) -> ChatResponse:
        """The canonical response.

        Raises:
            ProviderProtocolError: the body is not an answer in this format.
        """

    @abstractmethod
    def encode_response(self, response: ChatResponse) -> bytes:
        """The response in this format."""

    def unsaid(self, response: ChatResponse) -> Sequence[str]:
        """What ``encode_response`` cannot write of an answer that came in another format; the caller is told.

        Args:
            response: The answer; ``extra_format`` says which format it came in.
        """
        return ()

    @abstractmethod
    def observe_response(self, body: bytes) -> Outcome:
        """What a relay needs to know of a whole answer: usage, finish reason, id, model, or the error inside a 200.

        Raises:
            ProviderProtocolError: the body is not an answer in this format.
        """

    def observe_answer(self, media_type: str, body: bytes) -> Outcome:
        """As ``observe_response``, for formats whose answers are of several media types.

        Args:
            media_type: What the answer says it is, without parameters, lower case.
            body: The answer.

        Raises:
            ProviderProtocolError: it is not an answer in this format.
        """
        return self.observe_response(body)

    @abstractmethod
    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes) -> ErrorDetail | None:
        """What an error body says; None when it is not an error body of this format (HTML, empty, garbage)."""

    @abstractmethod
    def encode_error(self, error: GatewayError) -> bytes:
        """An error body in this format."""

    def address(self, path: str, *, model: str, stream: bool) -> str:
        """Where a request goes, below the provider's address.

        Args:
            path: What the provider's row says, ``{model}`` standing for the model.
            model: The model.
            stream: Whether a streamed answer is wanted.

        Returns:
            A path, with a query where the format has one; the model is one segment of it, whatever is in its name.

        Raises:
            InvalidRequestError: the model's name would lead to another place.
        """
        if "{model}" not in path:
            return path
        if model in ("", ".", "..") or not model.isprintable():
            raise InvalidRequestError("the model's name cannot be part of an address: write another", param="model")
        return path.replace("{model}", quote(model, safe=""))

    def error_headers(self, error: GatewayError) -> Mapping[str, str]:
        """Response headers (lower case) that belong to an error in this format, beside its body."""
        return {}

    def answering(self, request: GatewayRequest) -> Format:
        """This format, for the answers to one request; another object where answers repeat what was asked."""
        return self

    def error_status(self, error: GatewayError) -> int:
        """The HTTP status of an error in this format."""
        return error.http_status

    def allows_up(self, header: str) -> bool:
        """Whether a client's header goes upstream (lower case)."""
        return header in self.request_headers or header.startswith(self.request_header_prefixes)

    def allows_down(self, header: str) -> bool:
        """Whether an upstream's header goes down to the client (lower case)."""
        return header in self.response_headers or header.startswith(self.response_header_prefixes)

    @abstractmethod
    def stream_reader(self, *, withhold_usage: bool = False) -> StreamReader:
        """A reader for one stream; ``withhold_usage`` keeps the usage-only event from a client who did not ask."""

    @abstractmethod
    def stream_encoder(self, *, include_usage: bool = False) -> StreamEncoder:
        """An encoder for one stream."""
