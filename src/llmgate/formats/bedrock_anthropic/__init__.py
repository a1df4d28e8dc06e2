"""The wire format ``bedrock-anthropic``: Anthropic Messages as InvokeModel of Amazon Bedrock takes them."""

from __future__ import annotations

from collections.abc import Mapping

from llmgate.formats.anthropic_messages import AnthropicMessagesFormat
from llmgate.formats.bedrock_converse import BedrockConverseFormat
from llmgate.spec import GatewayError, StreamEncoder, StreamReader

from . import errors, fitting, requests, responses
from .stream import InvokeStreamEncoder, InvokeStreamReader

__all__ = ["BedrockAnthropicFormat"]


class BedrockAnthropicFormat(AnthropicMessagesFormat):
    """Anthropic Messages in the envelope of Amazon Bedrock.

    The model and streaming stand in the address, the API's version in the body; an answer is the message itself, a
    stream is of AWS's own encoding with a message event in every chunk, and errors are AWS's.
    """

    name = "bedrock-anthropic"
    fields = fitting.FIELDS
    requests = requests
    responses = responses
    errors = errors
    fitting = fitting
    addressed = True
    longest_tool_name = 64
    stream_media_type = BedrockConverseFormat.stream_media_type
    heartbeat = BedrockConverseFormat.heartbeat
    request_id_header = BedrockConverseFormat.request_id_header
    request_header_prefixes = BedrockConverseFormat.request_header_prefixes
    response_headers = BedrockConverseFormat.response_headers
    response_header_prefixes = BedrockConverseFormat.response_header_prefixes

    def address(self, path: str, *, model: str, stream: bool) -> str:
        """Where a request goes: streams have an address of their own."""
        return super().address(path, model=model, stream=stream) + ("-with-response-stream" if stream else "")

    def error_status(self, error: GatewayError) -> int:
        """The HTTP status of an error."""
        return errors.error_status(error)

    def error_headers(self, error: GatewayError) -> Mapping[str, str]:
        """The class of an error, which clients read there."""
        return {errors.ERROR_TYPE: errors.type_of(error)}

    def stream_reader(self, *, withhold_usage: bool = False) -> StreamReader:  # noqa: ARG002 - usage has no event of its own
        """A reader for one stream."""
        return InvokeStreamReader()

    def stream_encoder(self, *, include_usage: bool = False) -> StreamEncoder:  # noqa: ARG002 - usage always comes
        """An encoder for one stream."""
        return InvokeStreamEncoder()
