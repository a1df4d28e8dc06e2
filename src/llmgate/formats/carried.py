"""What the formats have in common whose requests may be forms and whose answers may be text, audio or events.

They are carried between a client and a provider who speak the same; nothing of them is translated. What is read of an
answer on its way is what a record needs: usage, the model, an error inside a 200.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, ClassVar, Final

from llmgate.codecs.multipart import Form
from llmgate.formats.bodies import read_top
from llmgate.formats.fields import known_count
from llmgate.formats.openai_chat.stream import ChatStreamEncoder
from llmgate.formats.relayed import RelayedFormat
from llmgate.formats.typed_events import TypedEventReader
from llmgate.spec import (
    UNKNOWN_MODEL,
    GatewayRequest,
    InvalidRequestError,
    ModelFacts,
    Outcome,
    RequestHead,
    StreamEncoder,
    StreamReader,
    Upload,
    Usage,
)

__all__ = ["FORM_FIELDS", "CarriedFormat", "read_form_request", "usage_of"]

FORM_FIELDS: Final = frozenset({"model", "stream"})
"""The fields of a form that are looked for."""

_LONGEST_SECONDS: Final = 10**7
"""Of audio in one request: four months."""
_JSON: Final = frozenset({"application/json"})


class CarriedFormat(RelayedFormat):
    """A format of one operation of OpenAI's, beside chat."""

    default_model: ClassVar[str | None] = None
    """What is asked for where a request names no model; None where it must name one."""
    takes: ClassVar[Collection[str]] = _JSON
    """Media types of requests."""
    answers: ClassVar[Collection[str]] = _JSON
    """Media types of whole answers."""
    binary: ClassVar[bool] = False
    """Whether an answer may also be bytes of any other media type, which are passed on as they come."""
    needs: ClassVar[Collection[str]] = ()
    """Members that a JSON request must have."""

    def peek(self, body: bytes) -> RequestHead:
        """Read the top level of a request body once."""
        read = read_top(body)
        for name in self.needs:
            if not read.has(name):
                raise InvalidRequestError(f"{name} is missing: {self.answer} needs one", param=name)
        stream, user = read.get("stream"), read.get("user")
        if stream is not None and not isinstance(stream, bool):
            raise InvalidRequestError("stream must be true or false", param="stream")
        events = bool(stream) or read.get("stream_format") == "sse"
        model = self._model(read.get("model"))
        return RequestHead(model, events, user=user if isinstance(user, str) else None)

    def peek_form(self, form: Form) -> RequestHead:
        """Read the fields of a request that is a form."""
        return RequestHead(self._model(form.text("model")), (form.text("stream") or "").lower() in {"true", "1"})

    def _model(self, given: Any) -> str:
        model = self.default_model if given is None else given
        if not isinstance(model, str) or not model:
            raise InvalidRequestError("model must be a non-empty string", param="model", code="missing_model")
        return model

    def patch_request(self, body: bytes, edits: Mapping[str, Any], facts: ModelFacts = UNKNOWN_MODEL) -> bytes:
        """The body with fields changed; one that names no model is not given the one that it would get anyway."""
        if edits.get("model") == self.default_model is not None and not read_top(body).has("model"):
            edits = {name: value for name, value in edits.items() if name != "model"}
        return super().patch_request(body, edits, facts)

    def edit_upload(self, upload: Upload, edits: Mapping[str, Any]) -> Upload:
        """An upload with the model's name changed and every other byte left as it was.

        Raises:
            InvalidRequestError: an edit has no counterpart in a body that is not held.
        """
        unknown = edits.keys() - {"model"}
        if unknown:
            names = ", ".join(sorted(unknown))
            raise InvalidRequestError(f"{names} cannot be changed in a form for {self.answer}")
        if not edits or not isinstance(upload, Form):
            return upload
        model = str(edits["model"])
        return upload if model == (upload.text("model") or self.default_model) else upload.edited("model", model)

    def observe_answer(self, media_type: str, body: bytes) -> Outcome:
        """What a relay needs to know of a whole answer, JSON or text."""
        if media_type not in self.answers:
            raise self.not_an_answer(f"it is {media_type[:80] or 'of no media type'}")
        if media_type in _JSON:
            return self.observe_response(body)
        return Outcome(content=bool(body), complete=True)

    def outcome_of(self, value: Mapping[str, Any]) -> Outcome:
        """Usage, model and id."""
        model, response_id = value.get("model"), value.get("id")
        return Outcome(
            response_id=response_id if isinstance(response_id, str) else None,
            model=model if isinstance(model, str) else None,
            usage=usage_of(value),
            content=True,
            complete=True,
        )

    def stream_reader(self, *, withhold_usage: bool = False) -> StreamReader:  # noqa: ARG002 - usage is never asked for
        """A reader for one stream."""
        return TypedEventReader(usage_of)

    def stream_encoder(self, *, include_usage: bool = False) -> StreamEncoder:
        """An encoder; only its error event is ever used, since these streams are relayed."""
        return ChatStreamEncoder(include_usage=include_usage)


def read_form_request(
    wire_format: CarriedFormat,
    form: Form,
    *,
    router: str | None = None,
    headers: Mapping[str, str] | None = None,
    metadata: Mapping[str, str] | None = None,
    deadline: float | None = None,
    max_retries: int | None = None,
) -> GatewayRequest:
    """A request made of a form; the arguments are those of ``read_request``.

    Raises:
        InvalidRequestError: it names no model, and the operation has no model of its own.
    """
    head = wire_format.peek_form(form)
    allows = wire_format.allows_up
    return GatewayRequest(
        operation=wire_format.operation,
        format=wire_format.name,
        body=b"",
        upload=form,
        model=head.model,
        stream=head.stream,
        router=router,
        headers={name: value for name, value in headers.items() if allows(name)} if headers else {},
        metadata=metadata or {},
        deadline=deadline,
        max_retries=max_retries,
    )


def usage_of(value: Mapping[str, Any]) -> Usage | None:
    """What an answer, or the last event of a stream, says that it took.

    Sources: OpenAI API reference, the ``usage`` of images, transcriptions and speech events; Mistral's and Together's
    with the names of chat completions; Cohere's ``meta.billed_units``.
    """
    usage = _mapping(value.get("usage"))
    meta = _mapping(value.get("meta"))
    tokens, billed = _mapping(meta.get("tokens")), _mapping(meta.get("billed_units"))
    details = _mapping(usage.get("input_tokens_details") or usage.get("input_token_details"))
    out = _mapping(usage.get("output_tokens_details") or usage.get("output_token_details"))
    read, given = _first(usage, "input_tokens", "prompt_tokens"), _first(usage, "output_tokens", "completion_tokens")
    if read is None and given is None:
        read = _first(tokens, "input_tokens") or _first(billed, "input_tokens") or _first(usage, "total_tokens")
        given = _first(tokens, "output_tokens")
    images = value.get("data")
    found = Usage(
        input_tokens=read,
        output_tokens=given,
        cache_read=_first(details, "cached_tokens"),
        reasoning=_first(out, "reasoning_tokens"),
        audio_input=_first(details, "audio_tokens"),
        audio_output=_first(out, "audio_tokens"),
        images=len(images) if isinstance(images, list) else 1 if "b64_json" in value else None,
        image_input=_first(details, "image_tokens"),
        image_output=_first(out, "image_tokens"),
        audio_seconds=_seconds(usage.get("seconds", usage.get("prompt_audio_seconds"))),
        search_units=_first(billed, "search_units"),
    )
    return None if found == Usage() else found


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _first(values: Mapping[str, Any], *names: str) -> int | None:
    """The first of several counts that is one."""
    for name in names:
        count = values.get(name)
        count = known_count(int(count)) if isinstance(count, float) and count.is_integer() else known_count(count)
        if count is not None:
            return count
    return None


def _seconds(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and 0 <= value <= _LONGEST_SECONDS else None
