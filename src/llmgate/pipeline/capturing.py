"""What was asked and answered, kept for the record where that is on: bounded, without secrets, streams put together."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

import attrs

from llmgate.codecs.jsons import dumps
from llmgate.config.records import RecordsConfig
from llmgate.formats import FORMATS, get_format
from llmgate.spec import (
    ASSEMBLED,
    Content,
    Exchange,
    GatewayChunk,
    GatewayError,
    GatewayRequest,
    Reasoning,
    RecordContent,
)

from .redaction import Redaction

__all__ = ["Capture", "Capturing", "capturing_of"]

_OMIT_REQUEST: Final = "helicone-omit-request"
_OMIT_RESPONSE: Final = "helicone-omit-response"
_YES: Final = frozenset({"true", "1", "on", "yes"})
_EVENTS: Final = 16
"""By how much a stream may be longer than what it says."""
_LOOKED_AT: Final = 16
"""By how much a body may be longer than what is kept of it, and still be read for secrets."""


@attrs.frozen(eq=False)
class Capturing:
    """What is to be kept of contents.

    Args:
        request: Whether what is asked is.
        response: Whether what is answered is.
        limit: Bytes of either that are kept.
        redaction: What is taken out.
    """

    request: bool
    response: bool
    limit: int
    redaction: Redaction

    def begin(self, headers: Mapping[str, str]) -> Capture | None:
        """What keeps the contents of one exchange; None where its caller wants nothing kept.

        Args:
            headers: The caller's, lower-case names.
        """
        request = self.request and not _says_yes(headers, _OMIT_REQUEST)
        response = self.response and not _says_yes(headers, _OMIT_RESPONSE)
        return Capture(self, request=request, response=response) if request or response else None


class Capture:
    """The contents of one exchange, gathered as they go by.

    Args:
        rules: What is to be kept.
        request: Whether what is asked is kept.
        response: Whether what is answered is kept.
    """

    def __init__(self, rules: Capturing, *, request: bool, response: bool) -> None:
        self.wants_response = response
        self._rules = rules
        self._wants_request = request
        self._pieces: list[bytes] = []
        self._held = 0
        self._size = 0
        self._hash = hashlib.sha256()
        self._media_type = "application/json"
        self._format = ""
        self._streamed = False

    def answered(self, data: bytes, media_type: str) -> None:
        """Keep a whole answer."""
        if self.wants_response:
            self._media_type = media_type
            self.sent(data)

    def streams(self, media_type: str, wire_format: str) -> None:
        """What comes in pieces from now on is a stream.

        Args:
            media_type: Its content type.
            wire_format: Whose events they are; ``""`` where nobody knows.
        """
        self._media_type, self._format, self._streamed = media_type, wire_format, True

    def sent(self, data: bytes) -> None:
        """Keep a piece of an answer."""
        if not self.wants_response:
            return
        self._size += len(data)
        self._hash.update(data)
        room = self._rules.limit * _EVENTS - self._held
        if room > 0:
            self._pieces.append(data[:room])
            self._held += len(self._pieces[-1])

    @property
    def weight(self) -> int:
        """Bytes that ``content`` looks through."""
        return self._held

    def content(self, exchange: Exchange) -> RecordContent:
        """What is kept, once the exchange is over."""
        request = self._request(exchange.request) if self._wants_request and exchange.request is not None else None
        known = exchange.request.format if exchange.request is not None else ""
        response = self._response(known) if self.wants_response and self._size else None
        return RecordContent(request, response)

    def _request(self, request: GatewayRequest) -> Content:
        upload = request.upload
        if upload is not None:
            return Content(upload.length or 0, media_type=_kind(upload.media_type))
        body = request.body
        return self._kept(body, len(body), hashlib.sha256(body).hexdigest(), "application/json", request.format)

    def _response(self, wire_format: str) -> Content:
        data, digest = b"".join(self._pieces), self._hash.hexdigest()
        if self._streamed and self._format in FORMATS:
            whole = _together(data, self._format)
            if whole is not None:
                kept = self._kept(whole, self._size, digest, self._media_type, ASSEMBLED)
                return attrs.evolve(kept, truncated=kept.truncated or len(data) < self._size)
        return self._kept(data, self._size, digest, self._media_type, wire_format)

    def _kept(self, data: bytes, size: int, digest: str, media_type: str, wire_format: str) -> Content:
        limit, kind = self._rules.limit, _kind(media_type)
        if not _is_text(kind) or not data:
            return Content(size, digest, kind)
        cut = len(data) > limit * _LOOKED_AT
        text, count = self._rules.redaction.body(data[: limit * _LOOKED_AT])
        encoded = text.encode("utf-8", "replace")
        if len(encoded) > limit:
            text, cut = encoded[:limit].decode("utf-8", "ignore"), True
        return Content(size, digest, kind, text, cut, count, wire_format)


def capturing_of(said: RecordsConfig) -> Capturing | None:
    """What is to be kept of contents; None where nothing is."""
    if said.content == "none":
        return None
    sides = {"request", "response"} if said.content == "full" else {said.content}
    redaction = Redaction(said.redact_keys, said.redact_patterns)
    return Capturing("request" in sides, "response" in sides, said.content_limit, redaction)


def _says_yes(headers: Mapping[str, str], name: str) -> bool:
    return headers.get(name, "").strip().lower() in _YES


def _kind(media_type: str) -> str:
    return media_type.partition(";")[0].strip().lower()[:100]


def _is_text(kind: str) -> bool:
    return kind.startswith("text/") or kind in {"application/json", "application/x-ndjson"} or kind.endswith("+json")


def _together(data: bytes, wire_format: str) -> bytes | None:
    """The answer that a stream was, as one JSON object in canonical words; None where nobody can read it."""
    try:
        chunks = get_format(wire_format).stream_reader().decode(data)
    except (GatewayError, ValueError, NotImplementedError):
        return None
    choices: dict[int, dict[str, Any]] = {}
    found: dict[str, Any] = {"id": None, "model": None}
    for chunk in chunks:
        found["id"], found["model"] = found["id"] or chunk.id, found["model"] or chunk.model
        _add(choices, chunk)
    if not choices:
        return None
    found["choices"] = [_plain(index, choices[index]) for index in sorted(choices)]
    return dumps(found)


def _add(choices: dict[int, dict[str, Any]], chunk: GatewayChunk) -> None:
    for delta in chunk.choices:
        choice = choices.setdefault(delta.index, {"text": [], "reasoning": [], "refusal": [], "calls": {}, "end": None})
        for part in delta.parts:
            choice["reasoning" if isinstance(part, Reasoning) else "text"].append(part.text)
        if delta.refusal:
            choice["refusal"].append(delta.refusal)
        for call in delta.tool_calls:
            held = choice["calls"].setdefault(call.index, {"id": None, "name": None, "arguments": []})
            held["id"], held["name"] = held["id"] or call.id, held["name"] or call.name
            held["arguments"].append(call.arguments)
        choice["end"] = delta.finish_reason.value if delta.finish_reason else choice["end"]


def _plain(index: int, choice: Mapping[str, Any]) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": "".join(choice["text"])}
    for name in ("reasoning", "refusal"):
        if choice[name]:
            message[name] = "".join(choice[name])
    if choice["calls"]:
        message["tool_calls"] = [
            {"id": one["id"], "name": one["name"], "arguments": "".join(one["arguments"])}
            for _, one in sorted(choice["calls"].items())
        ]
    return {"index": index, "message": message, "finish_reason": choice["end"]}
