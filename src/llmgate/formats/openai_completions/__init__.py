"""The wire format ``openai-completions``: OpenAI's legacy text completions, relayed where a provider still has them.

Source: OpenAI API reference, "Create completion".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from llmgate.formats.bodies import read_top
from llmgate.formats.openai_chat.responses import decode_finish
from llmgate.formats.openai_chat.stream import ChatStreamEncoder, ChatStreamReader
from llmgate.formats.openai_chat.usage import decode_usage
from llmgate.formats.relayed import RelayedFormat
from llmgate.spec import (
    UNKNOWN_MODEL,
    InvalidRequestError,
    ModelFacts,
    Operation,
    Outcome,
    RequestHead,
    StreamEncoder,
    StreamReader,
)

__all__ = ["CompletionStreamReader", "OpenAICompletionsFormat"]


class OpenAICompletionsFormat(RelayedFormat):
    """OpenAI legacy completions."""

    name = "openai-completions"
    operation = Operation.TEXT_COMPLETION
    answer = "a text completion"
    editable: ClassVar[Mapping[str, str]] = {
        "model": "model",
        "user": "user",
        "max_output_tokens": "max_tokens",
        "temperature": "temperature",
        "top_p": "top_p",
        "stop_sequences": "stop",
        "seed": "seed",
        "choice_count": "n",
        "include_usage": "stream_options",
    }

    def peek(self, body: bytes) -> RequestHead:
        """Read the top level of a request body once."""
        read = read_top(body)
        model = read.get("model")
        if not isinstance(model, str) or not model:
            raise InvalidRequestError("model must be a non-empty string", param="model", code="missing_model")
        if not isinstance(read.get("prompt"), str | list):
            raise InvalidRequestError("prompt must be a string or an array", param="prompt")
        stream = read.get("stream")
        if stream is not None and not isinstance(stream, bool):
            raise InvalidRequestError("stream must be true or false", param="stream")
        options = read.get("stream_options")
        include_usage = isinstance(options, dict) and options.get("include_usage") is True
        user = read.get("user")
        return RequestHead(model, bool(stream), include_usage, user if isinstance(user, str) else None)

    def patch_request(self, body: bytes, edits: Mapping[str, Any], facts: ModelFacts = UNKNOWN_MODEL) -> bytes:
        """The body with fields changed; usage is asked for beside whatever stream options there are."""
        if "include_usage" in edits:
            given = read_top(body).get("stream_options")
            options = {**(given if isinstance(given, dict) else {}), "include_usage": bool(edits["include_usage"])}
            edits = {**edits, "include_usage": options}
        return super().patch_request(body, edits, facts)

    def outcome_of(self, value: Mapping[str, Any]) -> Outcome:
        """Usage, model, id and finish reason."""
        choices = value.get("choices")
        if not isinstance(choices, list) or not all(isinstance(choice, dict) for choice in choices):
            raise self.not_an_answer("choices must be an array of objects")
        first: Mapping[str, Any] = next((one for one in choices if one.get("index", 0) == 0), {})
        model, response_id = value.get("model"), value.get("id")
        return Outcome(
            response_id=response_id if isinstance(response_id, str) else None,
            model=model if isinstance(model, str) else None,
            usage=decode_usage(value.get("usage")),
            finish_reason=decode_finish(first.get("finish_reason"))[0],
            content=any(choice.get("text") for choice in choices),
            complete=True,
        )

    def stream_reader(self, *, withhold_usage: bool = False) -> StreamReader:
        """A reader for one stream."""
        return CompletionStreamReader(withhold_usage=withhold_usage)

    def stream_encoder(self, *, include_usage: bool = False) -> StreamEncoder:
        """An encoder; only its error event is ever used, since these streams are relayed."""
        return ChatStreamEncoder(include_usage=include_usage)


class CompletionStreamReader(ChatStreamReader):
    """Reads one stream of text completion events: chunks of chat completions but for where the text stands."""

    def _value(self, raw: bytes) -> dict[str, Any] | None:
        value = super()._value(raw)
        if value is None or not isinstance(value.get("choices"), list):
            return value
        choices = [
            {**choice, "delta": {"content": choice.get("text") or ""}} if isinstance(choice, dict) else choice
            for choice in value["choices"]
        ]
        return {**value, "choices": choices}
