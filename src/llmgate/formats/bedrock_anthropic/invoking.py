"""The adapter of Amazon Bedrock: Anthropic's clients reach Anthropic's models by InvokeModel, with all that they ask.

Converse says most of what Messages say, in words of its own. InvokeModel takes the body of Messages as it is and
answers in Messages, within AWS's envelope: the model in the address, the API's version and its betas in the body,
events in AWS's own encoding, errors of AWS's. Only that envelope is put on and taken off. Sources: Amazon Bedrock user
guide, "Anthropic Claude Messages API"; Anthropic documentation, "Claude on Amazon Bedrock".
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import attrs

from llmgate.codecs.eventstream import MessageSplitter, decode_message
from llmgate.codecs.jsons import REMOVE, JSONError, loads, top
from llmgate.codecs.sse import encode_event
from llmgate.formats import get_format
from llmgate.formats.adapter import FormatAdapter, build_request
from llmgate.formats.anthropic_messages.stream import MessageStreamReader
from llmgate.formats.bedrock_converse.stream import exception_in
from llmgate.spec import (
    AttemptCall,
    Deployment,
    ErrorDetail,
    GatewayChunk,
    InvalidRequestError,
    ProviderError,
    ProviderRequest,
    ProviderResponse,
    StreamReader,
)
from llmgate.spec.stage import ConfigT

from .requests import VERSION
from .stream import CHUNK, data_in

__all__ = ["InvokedStreamReader", "InvokingAdapter", "invoked"]

MESSAGES: Final = "anthropic-messages"

_ANTHROPICS: Final = re.compile(r"(?:^|[./])anthropic\.claude")
_STREAMED: Final = "-with-response-stream"
_BETAS: Final = frozenset(
    {
        "compact-2026-01-12", "computer-use-2024-10-22", "computer-use-2025-01-24", "computer-use-2025-11-24",
        "context-1m-2025-08-07", "context-management-2025-06-27", "dev-full-thinking-2025-05-14", "effort-2025-11-24",
        "fine-grained-tool-streaming-2025-05-14", "interleaved-thinking-2025-05-14", "output-128k-2025-02-19",
        "structured-outputs-2025-12-15", "token-efficient-tools-2025-02-19", "tool-examples-2025-10-29",
        "tool-search-tool-2025-10-19",
    }
)  # fmt: skip
"""The betas that Bedrock knows; any other is an error of its own. Sources: Amazon Bedrock user guide, "Anthropic Claude
Messages API"; issues in BerriAI/litellm (19877, 41203) and router-for-me/CLIProxyAPI (4750)."""

_ELSEWHERE: Final = ("inference_geo", "service_tier", "speed")
"""Fields about where and how fast Anthropic itself works, which Bedrock refuses."""


class InvokingAdapter(FormatAdapter[ConfigT]):
    """Speaks Bedrock's formats, and Anthropic's Messages to the models that are Anthropic's."""

    def formats_of(self, deployment: Deployment) -> Collection[str]:
        """The wire formats of the row; Messages only where the model's name tells that it is Anthropic's."""
        formats = deployment.provider.row.formats
        if MESSAGES not in formats or _ANTHROPICS.search(deployment.model):
            return formats
        return tuple(name for name in formats if name != MESSAGES)

    def build_request(self, call: AttemptCall) -> ProviderRequest:
        """The HTTP request for a call."""
        return invoked(call)

    def parse_error(self, call: AttemptCall, response: ProviderResponse) -> ProviderError:
        """The error behind any status but success; AWS's own body is not shown to Anthropic's clients."""
        if call.format.name != MESSAGES or call.relay is not None:
            return super().parse_error(call, response)
        error = super().parse_error(attrs.evolve(call, format=get_format("bedrock-anthropic")), response)
        error.withhold()
        return error

    def stream_reader(self, call: AttemptCall) -> StreamReader:
        """A reader for the body of a streamed answer."""
        return InvokedStreamReader() if call.format.name == MESSAGES else super().stream_reader(call)


def invoked(call: AttemptCall, credential: Mapping[str, str] | None = None) -> ProviderRequest:
    """The HTTP request for a call; one of Messages in AWS's envelope.

    Args:
        call: What is asked.
        credential: Headers that present the credential; None for the row's way.

    Raises:
        InvalidRequestError: the body is not a JSON object.
    """
    request = build_request(call, credential)
    if call.format.name != MESSAGES or call.relay is not None:
        return request
    try:
        read = top(request.body or b"")
    except JSONError as error:
        raise InvalidRequestError(f"the request body is refused: {error}", code="invalid_json") from None
    edits: dict[str, Any] = {"model": REMOVE, "stream": REMOVE, "anthropic_version": VERSION}
    betas, lost = _betas(call.headers.get("anthropic-beta", ""), read.get("anthropic_beta"))
    edits["anthropic_beta"] = betas or REMOVE
    for name in _ELSEWHERE:
        if read.has(name):
            edits[name] = REMOVE
            lost.append(name)
    if b'"scope"' in read.body:
        scopeless = {name: _without_scope(read.get(name)) for name in ("system", "tools", "messages")}
        changed = {name: value for name, value in scopeless.items() if value != read.get(name)}
        edits |= changed
        lost += ["cache_control.scope"] if changed else []
    return attrs.evolve(
        request,
        url=request.url + (_STREAMED if call.stream else ""),
        headers=_headers(request.headers, stream=call.stream),
        body=read.patched(edits),
        lost=tuple(lost),
    )


def _betas(header: str, own: Any) -> tuple[list[str], list[str]]:
    """The betas that go into the body, and what must be said of those that do not."""
    asked = [*(own if isinstance(own, list) else ()), *(one.strip() for one in header.split(","))]
    known = [one for one in dict.fromkeys(asked) if one in _BETAS]
    return known, ["anthropic-beta"] if any(one and one not in _BETAS for one in asked) else []


def _headers(headers: Mapping[str, str], *, stream: bool) -> Mapping[str, str]:
    kept = {name: value for name, value in headers.items() if not name.startswith("anthropic-")}
    return kept | {"accept": "application/vnd.amazon.eventstream"} if stream else kept


def _without_scope(value: Any) -> Any:
    """A value whose marks for the cache do not say whom they are for, which Bedrock has no word for."""
    if isinstance(value, list):
        return [_without_scope(one) for one in value]
    if not isinstance(value, dict):
        return value
    kept = {name: inner if name == "input" else _without_scope(inner) for name, inner in value.items()}
    mark = kept.get("cache_control")
    if isinstance(mark, dict) and "scope" in mark:
        kept["cache_control"] = {name: inner for name, inner in mark.items() if name != "scope"}
    return kept


class InvokedStreamReader(MessageStreamReader):
    """Reads message events out of AWS's chunks and relays them as server-sent events."""

    def __init__(self) -> None:
        super().__init__()
        self._messages = MessageSplitter()
        self._cut: ErrorDetail | None = None

    def relay(self, data: bytes) -> bytes:
        """The events in every whole chunk, less the terminal marker and errors."""
        kept = super().relay(self._opened(data))
        self._end_cut()
        return kept

    def decode(self, data: bytes) -> Sequence[GatewayChunk]:
        """A chunk for every event."""
        chunks = super().decode(self._opened(data))
        self._end_cut()
        return chunks

    def _end_cut(self) -> None:
        """Tell of an exception behind what came before it."""
        if self._cut is not None and not self._ended:
            self.outcome.error = self._cut

    def _opened(self, data: bytes) -> bytes:
        """The events of every whole chunk, as Anthropic writes them."""
        events: list[bytes] = []
        for raw in self._split_messages(data):
            try:
                message = decode_message(raw)
            except ValueError as error:
                raise self._broken(str(error)) from None
            self._cut = self._cut or _plain(exception_in(message.headers, message.payload))
            if self._cut is not None:
                break
            if message.headers.get(":event-type") == CHUNK:
                events.append(self._event(message.payload))
        return b"".join(events)

    def _split_messages(self, data: bytes) -> list[bytes]:
        try:
            return self._messages.feed(data)
        except ValueError as error:
            raise self._broken(str(error)) from None

    def _event(self, payload: bytes) -> bytes:
        data = data_in(payload)
        try:
            value = loads(data) if data is not None else None
        except JSONError as error:
            raise self._broken(f"an event is {error}") from None
        kind = value.get("type") if isinstance(value, dict) else None
        if data is None or not isinstance(kind, str):
            raise self._broken("a chunk holds no event")
        return encode_event(data, kind.encode("utf-8", "replace"))


def _plain(detail: ErrorDetail | None) -> ErrorDetail | None:
    """An exception without AWS's own words for it, which Anthropic's clients do not know."""
    return None if detail is None else attrs.evolve(detail, body=None)
