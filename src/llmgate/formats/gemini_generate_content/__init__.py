"""The wire format ``gemini-generate-content``: Google's Gemini API, and the same models on Vertex AI."""

from __future__ import annotations

from llmgate.formats.chat_format import ChatFormat
from llmgate.spec import Citation, GatewayError, Part, Reasoning, StreamEncoder, StreamReader, Unknown

from . import citations, errors, finishes, fitting, requests, responses
from .encoder import ContentStreamEncoder
from .keys import FORMAT
from .parts import SEALED
from .stream import ContentStreamReader

__all__ = ["GeminiGenerateContentFormat"]

_WHOLE = ":generateContent"
_STREAMED = ":streamGenerateContent?alt=sse"


class GeminiGenerateContentFormat(ChatFormat):
    """Gemini's generateContent. The model and whether the answer is streamed stand in the address.

    Google's own libraries take an SSE comment for a broken answer, so that a silent stream gets a blank line instead,
    which ends no event.
    """

    name = FORMAT
    fields = fitting.FIELDS
    ends = finishes.ENDS
    requests = requests
    responses = responses
    errors = errors
    fitting = fitting
    addressed = True
    longest_tool_name = 128
    heartbeat = b"\n"
    foreign_proofs = (SEALED,)
    response_headers = frozenset({"retry-after", "server-timing", "x-gemini-service-tier"})

    def address(self, path: str, *, model: str, stream: bool) -> str:
        """Where a request goes, below the provider's address."""
        where = super().address(path, model=model, stream=stream)
        return where.removesuffix(_WHOLE) + _STREAMED if stream else where

    def is_foreign(self, part: Reasoning) -> bool:
        """Whether reasoning carries the proof of another vendor: Gemini's own stand elsewhere."""
        return bool(part.signature) or "data" in part.extra

    def says(self, said: Citation | Part) -> bool:
        """Whether an answer in this format has words for a source; media of every kind have a place."""
        return citations.says(said) if isinstance(said, Citation) else not isinstance(said, Unknown)

    def error_status(self, error: GatewayError) -> int:
        """The HTTP status of an error in this format."""
        return errors.error_status(error)

    def stream_reader(self, *, withhold_usage: bool = False) -> StreamReader:  # noqa: ARG002 - usage has no event of its own
        """A reader for one stream."""
        return ContentStreamReader()

    def stream_encoder(self, *, include_usage: bool = False) -> StreamEncoder:  # noqa: ARG002 - usage always comes
        """An encoder for one stream."""
        return ContentStreamEncoder()
