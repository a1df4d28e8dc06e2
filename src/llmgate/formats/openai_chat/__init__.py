"""The wire format ``openai-chat``: OpenAI's chat completions, and the many servers that speak them."""

from __future__ import annotations

from llmgate.formats.chat_format import ChatFormat
from llmgate.formats.custom_tools import custom_names
from llmgate.spec import (
    Blob,
    ChatResponse,
    Citation,
    Format,
    GatewayError,
    GatewayRequest,
    Part,
    StreamEncoder,
    StreamReader,
    Uri,
)

from . import citations, errors, fitting, requests, responses
from .functions import asks_with_functions
from .parts import FORMAT
from .stream import ChatStreamEncoder, ChatStreamReader

__all__ = ["OpenAIChatFormat"]


class OpenAIChatFormat(ChatFormat):
    """OpenAI chat completions.

    No client header goes upstream. ``openai-organization`` and ``openai-project`` choose whom the gateway's own
    credential is billed to, ``openai-beta`` switches features on for it, and an ``idempotency-key`` of one caller could
    fetch the answer of another who shares the credential.
    """

    name = FORMAT
    fields = fitting.FIELDS
    ends = responses.ENDS
    stop_text = "choices.stop_reason"
    requests = requests
    responses = responses
    errors = errors
    fitting = fitting
    longest_tool_name = 64
    rate_limits = "openai"
    request_headers = frozenset()
    response_headers = frozenset(
        {
            "openai-processing-ms",
            "openai-version",
            "retry-after",
            "retry-after-ms",
            "x-ratelimit-limit-requests",
            "x-ratelimit-limit-tokens",
            "x-ratelimit-remaining-requests",
            "x-ratelimit-remaining-tokens",
            "x-ratelimit-reset-requests",
            "x-ratelimit-reset-tokens",
            "x-should-retry",
        }
    )

    _functions = False
    _custom: frozenset[str] = frozenset()

    def answering(self, request: GatewayRequest) -> Format:
        """This format, for the answers to one request: calls are told in the kind of tool that its caller has named."""
        if asks_with_functions(request):
            return _FunctionsFormat()
        names = custom_names(request)
        return _CustomFormat(names) if names else self

    def encode_response(self, response: ChatResponse) -> bytes:
        """The response in this format."""
        return responses.encode_response(response, functions=self._functions, custom=self._custom)

    def says(self, said: Citation | Part) -> bool:
        """Whether an answer in this format has words for a source, or a place for media."""
        if isinstance(said, Citation):
            return citations.says(said)
        return isinstance(said, Blob | Uri) and said.modality == "image"

    def error_status(self, error: GatewayError) -> int:
        """The HTTP status of an error in this format, which knows no 529."""
        status = error.http_status
        return 503 if status == 529 else status

    def stream_reader(self, *, withhold_usage: bool = False) -> StreamReader:
        """A reader for one stream."""
        return ChatStreamReader(withhold_usage=withhold_usage)

    def stream_encoder(self, *, include_usage: bool = False) -> StreamEncoder:
        """An encoder for one stream."""
        return ChatStreamEncoder(include_usage=include_usage, functions=self._functions, custom=self._custom)


class _FunctionsFormat(OpenAIChatFormat):
    """The same for a client who reads calls of functions, as they were before tools."""

    _functions = True


class _CustomFormat(OpenAIChatFormat):
    """The same for a client who has custom tools, and reads calls of them as such.

    Args:
        names: The names of the tools.
    """

    def __init__(self, names: frozenset[str]) -> None:
        self._custom = names
