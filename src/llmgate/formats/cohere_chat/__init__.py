"""The wire format ``cohere-chat``: version 2 of Cohere's chat, and the servers that copy it."""

from __future__ import annotations

from llmgate.formats.chat_format import ChatFormat
from llmgate.spec import Citation, GatewayError, Part, StreamEncoder, StreamReader

from . import citations, errors, fitting, requests, responses
from .encoder import EventStreamEncoder
from .parts import FORMAT
from .stream import EventStreamReader

__all__ = ["CohereChatFormat"]


class CohereChatFormat(ChatFormat):
    """Cohere chat, version 2.

    No client header goes upstream: ``x-client-name`` names the application for the vendor's own statistics.
    """

    requests = requests
    responses = responses
    errors = errors
    fitting = fitting

    name = FORMAT
    fields = fitting.FIELDS
    ends = responses.ENDS
    response_headers = frozenset(
        {
            "retry-after",
            "x-api-warning",
            "x-endpoint-monthly-call-limit",
            "x-trial-endpoint-call-limit",
            "x-trial-endpoint-call-remaining",
        }
    )

    def error_status(self, error: GatewayError) -> int:
        """The HTTP status of an error in this format, which knows no 529."""
        status = error.http_status
        return 503 if status == 529 else status

    def says(self, said: Citation | Part) -> bool:
        """Whether an answer in this format has words for a source."""
        return isinstance(said, Citation) and citations.says(said)

    def stream_reader(self, *, withhold_usage: bool = False) -> StreamReader:  # noqa: ARG002 - usage has no event of its own
        """A reader for one stream."""
        return EventStreamReader()

    def stream_encoder(self, *, include_usage: bool = False) -> StreamEncoder:  # noqa: ARG002 - usage always comes
        """An encoder for one stream."""
        return EventStreamEncoder()
