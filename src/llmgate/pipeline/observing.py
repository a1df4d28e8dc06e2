"""What is seen of an answer that the direct relay hands on as it comes: usage, model, finish reason, errors.

An answer whose wire format is known by the path that was asked is read beside the relay, and never changed; one that
cannot be read is handed on all the same, and nothing is known of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import urlsplit

import attrs

from llmgate.codecs.jsons import JSONError, dumps, loads
from llmgate.formats import FORMATS, get_format
from llmgate.spec import Format, GatewayError, Outcome, Provider, StreamReader

__all__ = ["RelayObserver", "format_at", "observer_for"]

_STREAMED: Final = {"generateContent": "(?:generateContent|streamGenerateContent)", "converse": "converse(?:-stream)?"}
"""Where streams have an address of their own, both."""
_LARGEST: Final = 16 * 1024 * 1024
"""Bytes of a whole answer above which it is not read."""


def observer_for(
    provider: Provider, path: str, status: int, headers: Mapping[str, str], known: str | None = None
) -> RelayObserver | None:
    """What reads an answer; None where it is an error, or in no wire format that is known.

    Args:
        provider: Who answers.
        path: The path at its host that was asked, with the query if there is one.
        status: The HTTP status of the answer.
        headers: Its headers.
        known: The wire format where it is known already; None to tell it by the path.
    """
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    wire_format = get_format(known) if known in FORMATS else format_at(provider, path)
    if wire_format is None or status != 200 or "content-encoding" in headers:
        return None
    if kind == wire_format.stream_media_type and kind != wire_format.media_type:
        return RelayObserver(wire_format, wire_format.stream_reader())
    return RelayObserver(wire_format, None) if kind == wire_format.media_type else None


def format_at(provider: Provider, path: str) -> Format | None:
    """The wire format that a provider speaks at a path; None where none is known."""
    asked = path.partition("?")[0]
    below = asked.removeprefix(urlsplit(provider.base_url).path)
    for name in provider.row.formats:
        own = provider.path_of(name)
        if own is None:
            continue
        if asked == own or ("{model}" in own and any(map(_pattern(own).fullmatch, (asked, below)))):
            return get_format(name)
    return None


def _pattern(path: str) -> re.Pattern[str]:
    before, _, after = path.partition("{model}")
    ending = re.escape(after)
    for whole, either in _STREAMED.items():
        ending = ending.replace(whole, either)
    return re.compile(f"{re.escape(before)}[^?]+{ending}")


class RelayObserver:
    """Reads one answer as it goes by.

    Args:
        wire_format: Its wire format.
        reader: What reads it where it is a stream; None where it is whole.
    """

    def __init__(self, wire_format: Format, reader: StreamReader | None) -> None:
        self._format = wire_format
        self._reader = reader
        self._body: bytearray | None = bytearray()
        self._lost = False

    @property
    def stream_format(self) -> str:
        """The wire format of a stream, ``""`` for an answer that is whole."""
        return "" if self._reader is None else self._format.name

    @property
    def complete(self) -> bool:
        """Whether the terminal marker of a stream has gone by."""
        return self._reader is not None and self._reader.outcome.complete

    def feed(self, piece: bytes) -> None:
        """Look at the next piece."""
        if self._lost:
            return
        if self._reader is None:
            assert self._body is not None, "a whole answer is kept until it is read"
            self._body += piece
            self._lost = len(self._body) > _LARGEST
            return
        try:
            self._reader.relay(piece)
        except (GatewayError, ValueError):
            self._lost = True

    def finish(self, outcome: Outcome) -> None:
        """Write down what was seen, once the answer has ended.

        Args:
            outcome: Where to.
        """
        body, self._body = self._body, None
        if self._lost:
            return
        try:
            seen = self._whole(bytes(body or b"")) if self._reader is None else [self._reader.outcome]
        except (GatewayError, ValueError):
            return
        for one in seen:
            for field in attrs.fields(Outcome):
                value = getattr(one, field.name)
                if value and field.name != "complete":
                    setattr(outcome, field.name, value)

    def _whole(self, body: bytes) -> Sequence[Outcome]:
        """What an answer tells, piece by piece where it is an array, which is how Google writes streams, too."""
        if not body.lstrip().startswith(b"["):
            return [self._format.observe_response(body)]
        try:
            return [self._format.observe_response(dumps(one)) for one in loads(body)]
        except (JSONError, TypeError):
            return ()
