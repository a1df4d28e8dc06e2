"""The wire format ``ollama-chat``: Ollama's own chat, and the servers that copy it."""

from __future__ import annotations

from llmgate.formats.chat_format import ChatFormat
from llmgate.spec import GatewayError, StreamEncoder, StreamReader

from . import errors, fitting, requests, responses
from .encoder import HEARTBEAT, LineEncoder
from .parts import FORMAT
from .stream import LineReader

__all__ = ["OllamaChatFormat"]


class OllamaChatFormat(ChatFormat):
    """Ollama chat. Its clients send no header that means anything, and the server answers with none."""

    requests = requests
    responses = responses
    errors = errors
    fitting = fitting

    name = FORMAT
    fields = fitting.FIELDS
    ends = responses.ENDS
    stream_media_type = "application/x-ndjson"
    heartbeat = HEARTBEAT
    response_headers = frozenset({"retry-after"})

    def error_status(self, error: GatewayError) -> int:
        """The HTTP status of an error in this format, which knows no 529."""
        status = error.http_status
        return 503 if status == 529 else status

    def stream_reader(self, *, withhold_usage: bool = False) -> StreamReader:  # noqa: ARG002 - usage has no line of its own
        """A reader for one stream."""
        return LineReader()

    def stream_encoder(self, *, include_usage: bool = False) -> StreamEncoder:  # noqa: ARG002 - usage always comes
        """An encoder for one stream."""
        return LineEncoder()
