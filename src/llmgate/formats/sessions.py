"""What is said over a WebSocket: which events name a model, which carry usage, and how a refusal is put.

A session is relayed and never translated, so nothing is decoded but the few events that matter; a look at the raw bytes
finds them. Audio goes by untouched.

Sources: OpenAI API reference, "Realtime" (client and server events) and the guide "WebSocket Mode" of the Responses
API; xAI's Voice Agent API has the same events. Gemini API reference, "Live API", ``UsageMetadata``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, Final

import attrs

from llmgate.codecs.jsons import JSONError, dumps, loads, top
from llmgate.spec import GatewayError, InvalidRequestError, Operation, Outcome, Usage

from .fields import known_count
from .openai_chat import errors

__all__ = [
    "OPAQUE",
    "SESSIONS",
    "GeminiLiveSession",
    "NamedModel",
    "RealtimeSession",
    "ResponsesSession",
    "SessionFormat",
    "added",
    "renamed",
    "session_at",
    "session_format",
]


@attrs.frozen
class NamedModel:
    """A model that a client's event names.

    Args:
        name: The model.
        path: The names that lead to it in the event.
        main: Whether it is the session's own model, not one for a side task such as transcription.
    """

    name: str
    path: Sequence[str]
    main: bool = True


class SessionFormat:
    """A session of which nothing is known: its messages pass, and no usage is seen."""

    name: ClassVar[str] = ""
    operation: ClassVar[Operation] = Operation.RELAY
    request_headers: ClassVar[frozenset[str]] = frozenset()
    """Headers of the client's handshake that go up, lower-case names."""
    model_in_query: ClassVar[bool] = False
    """Whether the address names the model; else the first event does."""
    one_model: ClassVar[bool] = False
    """Whether each answer asks for its model anew, and could ask for another than the session was let in for."""
    main_models: ClassVar[Sequence[Sequence[str]]] = ()
    side_models: ClassVar[Sequence[Sequence[str]]] = ()
    ends: ClassVar[frozenset[str]] = frozenset()
    """The types of the provider's events that carry usage which counts."""

    def models_in(self, data: bytes) -> Sequence[NamedModel]:
        """The models that a client's event names; most events are not even decoded.

        Raises:
            InvalidRequestError: the event may name one and cannot be read, or could be read in two ways.
        """
        if not (self.main_models or self.side_models) or (b'"model"' not in data and b"\\u" not in data):
            return ()
        try:
            event = top(data).values()
        except JSONError as error:
            raise InvalidRequestError(f"the event is refused: {error}", code="invalid_json") from None
        found = [NamedModel(name, path) for path in self.main_models if (name := _at(event, path)) is not None]
        found += [
            NamedModel(name, path, main=False) for path in self.side_models if (name := _at(event, path)) is not None
        ]
        return found

    def hides_model(self, data: bytes) -> bool:  # noqa: ARG002 - the interface
        """Whether a client's event asks for an answer and leaves its model to something that cannot be read here."""
        return False

    def observe(self, data: bytes, outcome: Outcome) -> None:
        """Note what a provider's event says of model, ids and usage; usage is summed over the session.

        Args:
            data: The event.
            outcome: What has been seen so far.
        """
        outcome.content = True
        if not self.ends or not (b'"usage"' in data or (outcome.model is None and b'"model"' in data)):
            return
        try:
            event = loads(data)
        except JSONError:
            return
        if not isinstance(event, dict):
            return
        response = event.get("response")
        answer: Mapping[str, Any] = response if isinstance(response, dict) else {}
        if outcome.model is None:
            model = answer.get("model") or _at(event, ("session", "model"))
            outcome.model = model if isinstance(model, str) else None
        if event.get("type") not in self.ends:
            return
        if isinstance(identity := answer.get("id"), str):
            outcome.response_id = identity
        usage = _usage(answer.get("usage") if answer else event.get("usage"))
        if usage is not None:
            outcome.usage = added(outcome.usage, usage)

    def error_event(self, error: GatewayError, event_id: str) -> bytes:
        """The event that tells the client that the gateway refuses one of its own."""
        return dumps({"type": "error", "event_id": event_id, "error": loads(errors.encode_error(error))["error"]})


class RealtimeSession(SessionFormat):
    """OpenAI's Realtime API."""

    name = "openai-realtime"
    operation = Operation.REALTIME
    request_headers = frozenset({"openai-beta", "openai-safety-identifier"})
    model_in_query = True
    main_models = (("session", "model"), ("response", "model"))
    side_models = (
        ("session", "audio", "input", "transcription", "model"),
        ("session", "input_audio_transcription", "model"),
        ("input_audio_transcription", "model"),
    )
    ends = frozenset({"response.done", "conversation.item.input_audio_transcription.completed"})


class ResponsesSession(SessionFormat):
    """The WebSocket mode of OpenAI's Responses API: one connection, one ``response.create`` after the other."""

    name = "openai-responses"
    operation = Operation.RESPONSES_SESSION
    request_headers = frozenset({"openai-beta", "openai-safety-identifier"})
    one_model = True
    main_models = (("model",), ("response", "model"))
    ends = frozenset({"response.completed", "response.incomplete", "response.failed"})

    def hides_model(self, data: bytes) -> bool:
        """Whether a ``response.create`` names no model: a stored prompt may have one of its own."""
        if b"response.create" not in data and b"\\u" not in data:
            return False
        event = top(data)
        return event.get("type") == "response.create" and not self.models_in(data)

    def error_event(self, error: GatewayError, event_id: str) -> bytes:  # noqa: ARG002 - the interface
        """The error event, with the status that it stands for and no id, as this API writes it."""
        body = loads(errors.encode_error(error))["error"]
        return dumps({"type": "error", "status": error.http_status, "error": body})


class GeminiLiveSession(SessionFormat):
    """Google's Live API; reached by the direct relay only."""

    name = "gemini-live"

    def observe(self, data: bytes, outcome: Outcome) -> None:
        """Add up what each turn says of its tokens; thoughts are output that no other count holds."""
        outcome.content = True
        if b'"usageMetadata"' not in data:
            return
        try:
            event = loads(data)
        except JSONError:
            return
        said = event.get("usageMetadata") if isinstance(event, dict) else None
        if not isinstance(said, dict):
            return
        answered, thought = _count(said.get("responseTokenCount")), _count(said.get("thoughtsTokenCount"))
        usage = Usage(
            input_tokens=_count(said.get("promptTokenCount")),
            output_tokens=answered if thought is None else (answered or 0) + thought,
            cache_read=_count(said.get("cachedContentTokenCount")),
            reasoning=thought,
            audio_input=_audio(said.get("promptTokensDetails")),
            audio_output=_audio(said.get("responseTokensDetails")),
        )
        if usage != Usage():
            outcome.usage = added(outcome.usage, usage)


OPAQUE: Final = SessionFormat()
"""The session of a path of the direct relay that no format is known for."""

SESSIONS: Final[Mapping[str, SessionFormat]] = MappingProxyType(
    {one.name: one for one in (RealtimeSession(), ResponsesSession())}
)
"""The formats of sessions by the names that provider rows use."""


_GEMINI: Final = GeminiLiveSession()


def session_format(operation: Operation) -> SessionFormat | None:
    """The format of the sessions that an operation stands for; None where it stands for none."""
    return next((one for one in SESSIONS.values() if one.operation is operation), None)


def session_at(path: str) -> SessionFormat:
    """The format of the sessions at a provider's own path, ``OPAQUE`` where it is not known."""
    return _GEMINI if ".BidiGenerateContent" in path.partition("?")[0] else OPAQUE


def renamed(data: bytes, model: NamedModel, name: str) -> bytes:
    """A client's event with another name for a model; only the outermost member that holds it is written anew."""
    whole = top(data)
    first, *rest = model.path
    value: Any = name
    if rest:
        value = inner = dict(whole.get(first))
        for step in rest[:-1]:
            inner[step] = inner = dict(inner[step])
        inner[rest[-1]] = name
    return whole.patched({first: value})


def added(seen: Usage | None, more: Usage) -> Usage:
    """Two counts together; what neither knows stays unknown."""
    if seen is None:
        return more
    sums: dict[str, Any] = {"estimated": seen.estimated or more.estimated}
    for field in attrs.fields(Usage):
        if field.name not in sums:
            one, other = getattr(seen, field.name), getattr(more, field.name)
            sums[field.name] = other if one is None else one if other is None else one + other
    return Usage(**sums)


def _at(event: Any, path: Sequence[str]) -> str | None:
    for step in path:
        if not isinstance(event, dict):
            return None
        event = event.get(step)
    return event if isinstance(event, str) else None


def _usage(value: Any) -> Usage | None:
    """Token counts; the Realtime API writes ``input_token_details``, the Responses API ``input_tokens_details``."""
    if not isinstance(value, dict):
        return None
    given, made = _details(value, "input"), _details(value, "output")
    cached = given.get("cached_tokens_details")
    cached = cached if isinstance(cached, dict) else {}
    usage = Usage(
        input_tokens=_count(value.get("input_tokens")),
        output_tokens=_count(value.get("output_tokens")),
        cache_read=_count(given.get("cached_tokens")),
        reasoning=_count(made.get("reasoning_tokens")),
        audio_input=_count(given.get("audio_tokens")),
        audio_output=_count(made.get("audio_tokens")),
        image_input=_count(given.get("image_tokens")),
        cache_read_audio=_count(cached.get("audio_tokens")),
        cache_read_image=_count(cached.get("image_tokens")),
    )
    return None if usage == Usage() else usage


def _audio(details: Any) -> int | None:
    """The tokens of sound in a list of counts by modality; None where there are none."""
    parts = details if isinstance(details, list) else []
    counts = [
        _count(part.get("tokenCount")) for part in parts if isinstance(part, dict) and part.get("modality") == "AUDIO"
    ]
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def _details(value: Mapping[str, Any], side: str) -> Mapping[str, Any]:
    found = value.get(f"{side}_token_details") or value.get(f"{side}_tokens_details")
    return found if isinstance(found, dict) else {}


def _count(value: Any) -> int | None:
    return known_count(value)
