"""The wire format ``openai-responses``: OpenAI's Responses, and the servers that speak them."""

from __future__ import annotations

from llmgate.formats.chat_format import ChatFormat
from llmgate.formats.openai_chat import OpenAIChatFormat
from llmgate.formats.sealing import SEAL
from llmgate.spec import (
    ChatResponse,
    Citation,
    Format,
    GatewayError,
    GatewayRequest,
    Part,
    Reasoning,
    StreamEncoder,
    StreamReader,
)

from . import citations, errors, fitting, requests, responses
from .asked import Asked
from .encoder import KEEP_ALIVE
from .following import FollowingEncoder
from .parts import FORMAT
from .reasoning import is_own
from .stream import ResponseStreamReader

__all__ = ["OpenAIResponsesFormat"]


class OpenAIResponsesFormat(ChatFormat):
    """OpenAI Responses. As for ``openai-chat``, no client header goes upstream.

    Args:
        asked: The request that is answered, since answers repeat what was asked.
    """

    name = FORMAT
    fields = fitting.FIELDS
    ends = responses.ENDS
    requests = requests
    responses = responses
    errors = errors
    fitting = fitting
    longest_tool_name = 64
    rate_limits = "openai"
    heartbeat = KEEP_ALIVE
    foreign_proofs = (SEAL.encode("ascii"),)
    response_headers = OpenAIChatFormat.response_headers

    def __init__(self, asked: Asked | None = None) -> None:
        self._asked = asked

    def answering(self, request: GatewayRequest) -> Format:
        """This format, for the answers to one request."""
        return OpenAIResponsesFormat(Asked(request))

    def encode_response(self, response: ChatResponse) -> bytes:
        """The response in this format."""
        return responses.encode_response(response, self._asked)

    def is_foreign(self, part: Reasoning) -> bool:
        """Whether reasoning carries the proof of a model of another format."""
        return not is_own(part)

    def says(self, said: Citation | Part) -> bool:
        """Whether an answer in this format has words for a source."""
        return isinstance(said, Citation) and citations.says(said)

    def error_status(self, error: GatewayError) -> int:
        """The HTTP status of an error in this format, which knows no 529."""
        status = error.http_status
        return 503 if status == 529 else status

    def stream_reader(self, *, withhold_usage: bool = False) -> StreamReader:  # noqa: ARG002 - usage has no event of its own
        """A reader for one stream."""
        return ResponseStreamReader()

    def stream_encoder(self, *, include_usage: bool = False) -> StreamEncoder:  # noqa: ARG002 - usage always comes
        """An encoder for one stream."""
        return FollowingEncoder(self._asked)
